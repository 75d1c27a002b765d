# SPDX-License-Identifier: Apache-2.0
"""What may be set about the operator's device for one deployment."""

from dataclasses import dataclass, field
from typing import Any

from gr00t_policy.core.errors import ConfigError

DEVICES = ("webxr", "vision_pro", "keyboard", "replay")
_CODE_LENGTH = 6


def _setting(
    default: Any, description: str, unit: str = "", low: float | None = None, high: float | None = None
) -> Any:
    metadata: dict[str, Any] = {"description": description, "unit": unit}
    if low is not None and high is not None:
        metadata["range"] = (low, high)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class OperatorConfig:
    """Settings of the node ``operator``: which device, and the options of each."""

    autostart: bool = _setting(False, "configure and activate by itself after start")
    device: str = _setting("webxr", "what the person holds or wears: 'webxr', 'vision_pro', 'keyboard' or 'replay'")
    max_age_s: float = _setting(0.15, "age from which a sample is not published", "s", 0.02, 1.0)
    restart_s: float = _setting(1.0, "how long a broken device rests before it is started again", "s", 0.1, 60.0)
    host: str = _setting(
        "127.0.0.1", "webxr: address to listen on; '0.0.0.0' opens the page to the network, which a headset needs"
    )
    port: int = _setting(8443, "webxr: port of the page", "", 0, 65535)
    certificate_folder: str = _setting("", "webxr: where certificate and key lie; empty: in the user's data folder")
    pairing_code: str = _setting(
        "", "webxr: code a headset must give, 6 or more characters; empty: drawn at each start"
    )
    vision_pro_address: str = _setting("", "vision_pro: IPv4 address of the headset, as its app shows it")
    vision_pro_port: int = _setting(12345, "vision_pro: port of the headset's app", "", 1, 65535)
    speed_m_s: float = _setting(0.15, "keyboard: speed of a wrist", "m/s", 0.01, 0.5)
    turn_rad_s: float = _setting(0.6, "keyboard: turning speed of a wrist", "rad/s", 0.05, 2.0)
    bag: str = _setting("", "replay: folder of the bag whose operator_state is played")

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError(f"device '{self.device}' is unknown; known: {', '.join(DEVICES)}")
        if self.pairing_code and len(self.pairing_code) < _CODE_LENGTH:
            raise ConfigError(
                f"pairing_code has {len(self.pairing_code)} characters; give {_CODE_LENGTH} or more, or none for a drawn one"
            )
        if self.device == "vision_pro" and not self.vision_pro_address:
            raise ConfigError("vision_pro_address is empty; give the address that the app on the headset shows")
        if self.device == "replay" and not self.bag:
            raise ConfigError("bag is empty; name the folder of a recording that has operator_state")
