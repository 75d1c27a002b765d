# SPDX-License-Identifier: Apache-2.0
"""What may be set about the operator's device for one deployment."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.config import check_choice, setting

DEVICES = ("webxr", "vision_pro", "trackers", "xsens", "isaac_teleop", "gamepad", "keyboard", "replay")
CLUTCHES = ("topic", "keyboard", "gesture")
GLOVES = ("none", "manus")
POSE_AXES = ("auto", "z_up", "y_up")
_CODE_LENGTH = 6


@dataclass(frozen=True)
class OperatorConfig:
    """Settings of the node ``operator``: which device, and the options of each."""

    autostart: bool = setting(False, "configure and activate by itself after start")
    device: str = setting("webxr", f"what the person holds or wears: {', '.join(DEVICES)}")
    max_age_s: float = setting(0.15, "age from which a sample is not published", "s", 0.02, 1.0)
    restart_s: float = setting(1.0, "how long a broken device rests before it is started again", "s", 0.1, 60.0)
    process_priority: int = setting(
        5,
        "SCHED_FIFO priority of the process where allowed, below all loops: samples pass other programs; 0: none",
        "",
        0,
        40,
    )
    host: str = setting(
        "127.0.0.1", "webxr, xsens: address to listen on; '0.0.0.0' opens it to the network, which a headset needs"
    )
    port: int = setting(8443, "webxr: port of the page", "", 0, 65535)
    certificate_folder: str = setting("", "webxr: where certificate and key lie; empty: in the user's data folder")
    pairing_code: str = setting("", "webxr: code a headset must give, 6 or more characters; empty: drawn at each start")
    vision_pro_address: str = setting("", "vision_pro: IPv4 address of the headset, as its app shows it")
    vision_pro_port: int = setting(12345, "vision_pro: port of the headset's app", "", 1, 65535)
    clutch: str = setting(
        "topic",
        "clutch of trackers, xsens and isaac_teleop: 'topic', 'keyboard' (space bar) or 'gesture' (needs gloves)",
    )
    gloves: str = setting("none", "trackers: where fingers come from, 'none' or 'manus'")
    pose_axes: str = setting(
        "auto",
        "axes of the poses of trackers and isaac_teleop: 'z_up' (x forward, y left), 'y_up' (x right, z back) or "
        "'auto': y_up for isaac_teleop alone",
    )
    left_mount: tuple[float, ...] = setting(
        (0.0,) * 6, "trackers: the left wrist in its tracker's axes: x, y, z, then roll, pitch, yaw", "m, rad"
    )
    right_mount: tuple[float, ...] = setting(
        (0.0,) * 6, "trackers: the right wrist in its tracker's axes: x, y, z, then roll, pitch, yaw", "m, rad"
    )
    head_mount: tuple[float, ...] = setting(
        (0.0,) * 6,
        "trackers: the head, looking along x, in its tracker's axes: x, y, z, then roll, pitch, yaw",
        "m, rad",
    )
    xsens_port: int = setting(9763, "xsens: UDP port to which MVN's Network Streamer sends", "", 0, 65535)
    xsens_sender: str = setting(
        "", "xsens: IPv4 address of MVN's computer, where it is another; datagrams of others are refused"
    )
    xsens_character: int = setting(0, "xsens: which of MVN's characters drives", "", 0, 255)
    speed_m_s: float = setting(0.15, "keyboard, gamepad: speed of a wrist", "m/s", 0.01, 0.5)
    turn_rad_s: float = setting(0.6, "keyboard, gamepad: turning speed of a wrist", "rad/s", 0.05, 2.0)
    bag: str = setting("", "replay: folder of the bag whose operator_state is played")
    replay_waits: bool = setting(
        False, "replay: the recording begins each time the service operator/replay is called, not with the device"
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(f"device '{self.device}' is unknown; known: {', '.join(DEVICES)}")
        check_choice("clutch", self.clutch, CLUTCHES)
        check_choice("gloves", self.gloves, GLOVES)
        check_choice("pose_axes", self.pose_axes, POSE_AXES)
        if self.device == "trackers" and self.clutch == "gesture" and self.gloves == "none":
            raise ConfigError("clutch 'gesture' needs fingers, and gloves is 'none'; set gloves, or another clutch")
        if self.pairing_code and len(self.pairing_code) < _CODE_LENGTH:
            raise ConfigError(
                f"pairing_code has {len(self.pairing_code)} characters; give {_CODE_LENGTH} or more, or none for a drawn one"
            )
        if self.device == "vision_pro" and not self.vision_pro_address:
            raise ConfigError("vision_pro_address is empty; give the address that the app on the headset shows")
        if self.device == "replay" and not self.bag:
            raise ConfigError("bag is empty; name the folder of a recording that has operator_state")
