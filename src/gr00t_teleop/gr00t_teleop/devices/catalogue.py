# SPDX-License-Identifier: Apache-2.0
"""Devices by name. Each is imported only when it is asked for: their libraries are heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gr00t_teleop.devices.config import DEVICES, OperatorConfig
from gr00t_teleop.devices.device import Clock, Device
from gr00t_teleop.devices.person_clutch import GestureClutch, KeyClutch, PersonClutch, TopicClutch
from gr00t_teleop.devices.topics import Topics

Log = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What a device is given. now_ns: the clock of the stamps. log: takes sentences for the person.

    data_folder: the user's, for what must last. topics: those of the node.
    """

    now_ns: Clock
    log: Log
    data_folder: Path
    topics: Topics


def make_device(config: OperatorConfig, given: Surroundings) -> Device:
    """The device of the configuration, not started yet. Raises ConfigError."""
    makers = {
        "webxr": _webxr,
        "vision_pro": _vision_pro,
        "trackers": _trackers,
        "xsens": _xsens,
        "isaac_teleop": _isaac_teleop,
        "gamepad": _gamepad,
        "keyboard": _keyboard,
        "replay": _replay,
    }
    assert set(makers) == set(DEVICES)
    return makers[config.device](config, given)


def _webxr(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.webxr import WebXr, WebXrOptions

    folder = Path(config.certificate_folder) if config.certificate_folder else given.data_folder / "webxr"
    options = WebXrOptions(config.host, config.port, folder, config.pairing_code, config.max_age_s)
    return WebXr(options, given.now_ns, given.log)


def _vision_pro(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.vision_pro import VisionPro

    return VisionPro(config.vision_pro_address, config.vision_pro_port, given.now_ns)


def _trackers(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.manus_gloves import ManusGloves
    from gr00t_teleop.devices.trackers import TrackerOptions, Trackers

    mounts = config.left_mount, config.right_mount, config.head_mount
    options = TrackerOptions(config.pose_axes == "y_up", *mounts, config.max_age_s)
    gloves = ManusGloves() if config.gloves == "manus" else None
    return Trackers(options, given.topics, _clutch(config, given), gloves, given.now_ns)


def _xsens(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.xsens import Xsens, XsensOptions

    options = XsensOptions(
        config.host, config.xsens_port, config.xsens_sender, config.xsens_character, config.max_age_s
    )
    return Xsens(options, given.topics, _clutch(config, given), given.now_ns)


def _isaac_teleop(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.isaac_teleop import IsaacTeleop

    is_y_up = config.pose_axes != "z_up"
    return IsaacTeleop(is_y_up, config.max_age_s, given.topics, _clutch(config, given), given.now_ns)


def _gamepad(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.gamepad import Gamepad

    speeds = config.speed_m_s, config.turn_rad_s
    return Gamepad(*speeds, config.max_age_s, given.topics, given.now_ns, given.log)


def _keyboard(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.keyboard import Keyboard

    return Keyboard(config.speed_m_s, config.turn_rad_s, given.now_ns, given.log)


def _replay(config: OperatorConfig, given: Surroundings) -> Device:
    from gr00t_teleop.devices.replay import Replay

    return Replay(Path(config.bag), given.now_ns, waits=config.replay_waits)


def _clutch(config: OperatorConfig, given: Surroundings) -> PersonClutch:
    if config.clutch == "topic":
        return TopicClutch(given.topics)
    return KeyClutch(given.log) if config.clutch == "keyboard" else GestureClutch(given.log)
