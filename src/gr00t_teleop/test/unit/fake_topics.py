# SPDX-License-Identifier: Apache-2.0
"""Topics without ROS: messages put in by hand, with the arrival time that the test wants."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from gr00t_teleop.devices.topics import Heard


class FakeTopics:
    """``senders``: publishers per topic, one where none is said. ``types``: what a device opened."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.senders: dict[str, int] = {}
        self._waiting: list[Heard] = []

    def open(self, types: Mapping[str, str]) -> None:
        self.types = dict(types)

    def close(self) -> None:
        self.types = {}

    def take(self, wait_s: float) -> list[Heard]:
        taken, self._waiting = self._waiting, []
        return taken

    def publishers(self, topic: str) -> int:
        return self.senders.get(topic, 1)

    def put(self, topic: str, message: Any, arrival_ns: int) -> None:
        self._waiting.append(Heard(topic, message, arrival_ns))


def pose_message(pose: np.ndarray) -> Any:
    """geometry_msgs/Pose of (7,)."""
    x, y, z, qx, qy, qz, qw = (float(number) for number in pose)
    return SimpleNamespace(position=SimpleNamespace(x=x, y=y, z=z), orientation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw))
