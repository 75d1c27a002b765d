# SPDX-License-Identifier: Apache-2.0
"""The clutch of devices that have none of their own: a topic, a key, or a gesture of both hands."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from gr00t_teleop.devices.clutch_gesture import HINT, ClutchGesture
from gr00t_teleop.devices.dead_man import DeadMan
from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.key_motion import HELD_FOR_NS, HOLD, LET_GO
from gr00t_teleop.devices.terminal import Terminal
from gr00t_teleop.devices.topics import Heard, SoleSender, Topics

TOPIC = "clutch"


class PersonClutch(Protocol):
    """Used by a device's thread, but for ``open`` and ``close``, which its owner calls."""

    topics: Mapping[str, str]

    def open(self) -> None:
        """Raises ConfigError when it cannot be had."""

    def close(self) -> None: ...

    def hear(self, heard: Heard) -> None:
        """A message of one of its topics."""

    def read(self, sample: DeviceSample) -> DeviceSample:
        """The new sample with its clutch: whether the person asks to drive. Without fingers while these say so."""

    def trouble(self) -> str:
        """Why it cannot close, as one sentence; empty when it can."""


class TopicClutch:
    """A pedal, button or switch as std_msgs/Bool on ``clutch``, true while pressed, ten times a second or more."""

    topics: Mapping[str, str] = {TOPIC: "std_msgs/msg/Bool"}

    def __init__(self, topics: Topics) -> None:
        self._sender = SoleSender(topics, time.monotonic_ns)
        self._dead_man = DeadMan()

    def open(self) -> None:
        self._dead_man.lose()

    def close(self) -> None:
        self._dead_man.lose()

    def hear(self, heard: Heard) -> None:
        self._dead_man.hear(bool(heard.message.data), time.monotonic_ns())

    def read(self, sample: DeviceSample) -> DeviceSample:
        if self._sender.count(TOPIC) != 1:
            self._dead_man.lose()
        return replace(sample, clutch=self._dead_man.is_closed(time.monotonic_ns()))

    def trouble(self) -> str:
        if crowd := self._sender.crowd(TOPIC):
            return crowd
        silent = self._dead_man.is_silent(time.monotonic_ns())
        return f"nothing comes on '{TOPIC}'; send std_msgs/Bool there, 10 times a second or more" if silent else ""


class KeyClutch:
    """The space bar of the terminal the node runs in. A terminal tells no release: it opens 0.6 s after the last repeat."""

    topics: Mapping[str, str] = {}

    def __init__(self, log: Callable[[str], None], terminal: int | None = None) -> None:
        """terminal: file descriptor; the standard input where none is given."""
        self._log = log
        self._terminal = Terminal(terminal)
        self._held_until_ns = 0
        self._is_gone = False

    def open(self) -> None:
        self._terminal.open()
        self._held_until_ns, self._is_gone = 0, False
        self._log("hold the space bar to drive; q lets go at once")

    def close(self) -> None:
        self._terminal.close()

    def hear(self, heard: Heard) -> None:
        """It has no topics."""

    def read(self, sample: DeviceSample) -> DeviceSample:
        keys = self._terminal.keys(0.0)
        self._is_gone = keys is None
        for key in keys or "":
            if key == HOLD:
                self._held_until_ns = time.monotonic_ns() + HELD_FOR_NS
            elif key == LET_GO:
                self._held_until_ns = 0
        return replace(sample, clutch=not self._is_gone and time.monotonic_ns() < self._held_until_ns)

    def trouble(self) -> str:
        return "the terminal with the clutch key is gone" if self._is_gone else ""


class GestureClutch:
    """Both thumbs on their little fingers, for devices that see fingers."""

    topics: Mapping[str, str] = {}

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._gesture = ClutchGesture()

    def open(self) -> None:
        self._gesture.reset()
        self._log(HINT)

    def close(self) -> None:
        self._gesture.reset()

    def hear(self, heard: Heard) -> None:
        """It has no topics."""

    def read(self, sample: DeviceSample) -> DeviceSample:
        return self._gesture.read(sample, time.monotonic_ns())

    def trouble(self) -> str:
        return ""
