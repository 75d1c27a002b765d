# SPDX-License-Identifier: Apache-2.0
"""A small real node on the suite's base that tells what happens to it and fails where it is asked to. A program."""

import sys
import time
from dataclasses import dataclass, field

from rclpy.timer import Timer
from std_msgs.msg import String

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.ros import qos
from gr00t_policy.ros.lifecycle import SuiteNode, run


@dataclass(frozen=True)
class ProbeSettings:
    """fail_in: the hook that fails. fault: with an error of the user's (False) or one of ours (True). load_s: how long
    configuring takes."""

    autostart: bool = False
    fail_in: str = ""
    fault: bool = False
    load_s: float = 0.0
    rate_hz: float = field(default=50.0, metadata={"description": "rate", "unit": "Hz", "range": (1.0, 100.0)})
    live_gain: float = field(default=1.0, metadata={"range": (0.0, 2.0), "live": True})
    names: tuple[str, ...] = ("a", "b")

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"names repeat: {', '.join(self.names)}")


class ProbeNode(SuiteNode[ProbeSettings]):
    """Publishes on ``beat`` while it is active; ``story`` is what happened."""

    def __init__(self, **options: object) -> None:
        super().__init__("probe", ProbeSettings, **options)
        self.story: list[str] = []
        self._timer: Timer | None = None
        self._beats = self.create_publisher(String, "beat", qos.NEWEST)

    def configure(self, settings: ProbeSettings) -> None:
        self._happen("configure")
        time.sleep(settings.load_s)

    def activate(self) -> None:
        self._happen("activate")
        self._timer = self.create_steady_timer(1.0 / self.settings.rate_hz, self._beat)

    def deactivate(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._happen("deactivate")

    def cleanup(self) -> None:
        self._happen("cleanup")

    def _beat(self) -> None:
        self._beats.publish(String(data="beat"))
        if self.settings.fail_in == "callback":
            raise RuntimeError("the callback is broken")

    def _happen(self, hook: str) -> None:
        self.story.append(hook)
        self.get_logger().info(hook)
        if self.settings.fail_in == hook:
            raise RuntimeError(f"{hook} is broken") if self.settings.fault else ConfigError(f"{hook} cannot work")


if __name__ == "__main__":
    sys.exit(run(ProbeNode))
