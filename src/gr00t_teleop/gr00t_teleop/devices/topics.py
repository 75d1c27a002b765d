# SPDX-License-Identifier: Apache-2.0
"""ROS topics as a device sees them: what came, when, and from how many. The subscriptions are in ``ros/topic_inbox.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gr00t_teleop.devices.device import Clock

_COUNT_PERIOD_NS = 250_000_000


@dataclass(frozen=True)
class Heard:
    """A message (with the fields of its type), the topic it was subscribed as, and its arrival on the clock of stamps."""

    topic: str
    message: Any
    arrival_ns: int


class Topics(Protocol):
    """A source of messages. Opened and closed by the device's owner, read by the device's thread."""

    def open(self, types: Mapping[str, str]) -> None:
        """Listen to topics, each of a type like 'std_msgs/msg/Bool'. Raises ConfigError when a type is not installed."""

    def close(self) -> None:
        """Stop listening and forget what came. Also works when it was not open."""

    def take(self, wait_s: float) -> list[Heard]:
        """What came since the last call, oldest first; waits for the first message. Of a flood the oldest are left out."""

    def publishers(self, topic: str) -> int:
        """How many send the topic now."""


class SoleSender:
    """Which topics may be believed: two publishers of one pose or one clutch contradict each other. Steady clock [ns]."""

    def __init__(self, topics: Topics, now_ns: Clock) -> None:
        self._topics, self._now_ns = topics, now_ns
        self._counted: dict[str, tuple[int, int]] = {}  # topic: number, and when it was counted

    def count(self, topic: str) -> int:
        """How many send the topic, at most a quarter of a second ago."""
        now_ns = self._now_ns()
        number, counted_ns = self._counted.get(topic, (0, -_COUNT_PERIOD_NS))
        if now_ns - counted_ns >= _COUNT_PERIOD_NS:
            number = self._topics.publishers(topic)
            self._counted[topic] = number, now_ns
        return number

    def crowd(self, topic: str) -> str:
        """A sentence about more than one publisher; empty when there is no such trouble."""
        number = self.count(topic)
        return f"{number} publishers send '{topic}', expected one; stop the others" if number > 1 else ""


def stamp_ns(header: Any) -> int | None:
    """The stamp of a message's header [ns]; None where the sender left it empty."""
    return (header.stamp.sec * 1_000_000_000 + header.stamp.nanosec) or None
