# SPDX-License-Identifier: Apache-2.0
"""Devices by name. Each is imported only when it is asked for: their libraries are heavy."""

from collections.abc import Callable
from pathlib import Path

from gr00t_teleop.devices.config import DEVICES, OperatorConfig
from gr00t_teleop.devices.device import Clock, Device

Log = Callable[[str], None]


def make_device(config: OperatorConfig, now_ns: Clock, log: Log, data_folder: Path) -> Device:
    """The device of the configuration, not started yet. Raises ConfigError.

    now_ns: the clock of the stamps. log: takes sentences for the person. data_folder: the user's, for what must last.
    """
    makers = {"webxr": _webxr, "vision_pro": _vision_pro, "keyboard": _keyboard, "replay": _replay}
    assert set(makers) == set(DEVICES)
    return makers[config.device](config, now_ns, log, data_folder)


def _webxr(config: OperatorConfig, now_ns: Clock, log: Log, data_folder: Path) -> Device:
    from gr00t_teleop.devices.webxr import WebXr, WebXrOptions

    folder = Path(config.certificate_folder) if config.certificate_folder else data_folder / "webxr"
    return WebXr(WebXrOptions(config.host, config.port, folder, config.pairing_code, config.max_age_s), now_ns, log)


def _vision_pro(config: OperatorConfig, now_ns: Clock, log: Log, data_folder: Path) -> Device:
    from gr00t_teleop.devices.vision_pro import VisionPro

    return VisionPro(config.vision_pro_address, config.vision_pro_port, now_ns)


def _keyboard(config: OperatorConfig, now_ns: Clock, log: Log, data_folder: Path) -> Device:
    from gr00t_teleop.devices.keyboard import Keyboard

    return Keyboard(config.speed_m_s, config.turn_rad_s, now_ns, log)


def _replay(config: OperatorConfig, now_ns: Clock, log: Log, data_folder: Path) -> Device:
    from gr00t_teleop.devices.replay import Replay

    return Replay(Path(config.bag), now_ns)
