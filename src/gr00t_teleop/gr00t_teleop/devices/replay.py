# SPDX-License-Identifier: Apache-2.0
"""A recorded person as a device: the ``operator_state`` of a bag with its original timing, once each time it is asked for."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gr00t_policy.core.errors import ConfigError, Gr00tError
from gr00t_policy.data.bag import MessageDecoder, bag_topics
from gr00t_policy.data.bag_clock import recorded_time
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_teleop.devices.clutch_guard import ClutchGuard
from gr00t_teleop.devices.device import Clock, Deliver, Device
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import OperatorState

TOPIC = "operator_state"


class Replay(Device):
    """Samples keep their order, gaps, validity and age; stamps are moved to now. ``source`` of a sample is kept.

    waits: whether the recording begins when ``begin`` is called, by any thread, not with the device. Each playing is a
    connection of its own: sequences count on, and a clutch that the recording has closed at its start does not count.
    """

    source = "replay"

    def __init__(self, bag: Path, now_ns: Clock, *, waits: bool = False) -> None:
        super().__init__()
        self._bag, self._now_ns, self._waits = bag, now_ns, waits
        self._asked = threading.Event()
        self._guard = ClutchGuard()
        self._counts = {"delivered": 0, "playings": 0}
        self._last_sequence = 0
        self._why = ""

    def open(self) -> None:
        try:
            self._topics = bag_topics(self._bag)
        except Gr00tError as error:
            raise ConfigError(f"bag: {error}") from error
        named = [name for name in self._topics if name.rsplit("/", 1)[-1] == TOPIC]
        if len(named) != 1:
            raise ConfigError(
                f"bag {self._bag} has {len(named)} topics {TOPIC}, expected one; it has: {', '.join(self._topics) or 'none'}"
            )
        self._topic = named[0]
        self._asked.clear()
        self._why = "the recording waits to be begun (service operator/replay)"
        if not self._waits:
            self._asked.set()

    def begin(self) -> bool:
        """Play from the beginning, also when it is being played. False: the device does not run."""
        if self.is_running:
            self._asked.set()
        return self.is_running

    def wake(self) -> None:
        self._asked.set()

    def run(self, deliver: Deliver) -> None:
        """When the recording ends, or cannot be read further, the device is silent; it does not begin again by itself."""
        while True:
            self._asked.wait()
            self._asked.clear()
            if self.stopping.is_set():
                return
            self._why = ""
            self._counts["playings"] += 1
            try:
                self._play(deliver)
            except Gr00tError as error:
                self._why = f"the recording cannot be read further: {error}"
            else:
                self._why = "the recording has ended"

    def silence(self) -> str:
        return self._why if self.is_running else "the recording is not played"

    def counters(self) -> Mapping[str, int]:
        return dict(self._counts)

    def _play(self, deliver: Deliver) -> None:
        """Once, or until something else is asked for."""
        playing = self._counts["playings"]
        shift_ns: int | None = None  # of the steady clock against the recorder's
        shift = 0  # of sequences
        for stretch, passed_ns, arrived_ns, state in self._recorded():
            if shift_ns is None:
                shift_ns = time.monotonic_ns() - passed_ns
                shift = self._last_sequence + 1 - state.sequence if playing > 1 else 0
            wait_s = (passed_ns + shift_ns - time.monotonic_ns()) / 1e9
            if self._asked.wait(max(0.0, wait_s)):
                return
            stamp_ns = self._now_ns() - max(arrived_ns - state.stamp_ns, 0)
            engaged = self._guard.engaged(state.engaged, (playing, stretch), passed_ns)
            self._last_sequence = state.sequence + shift
            self._counts["delivered"] += 1
            deliver(replace(state, stamp_ns=stamp_ns, engaged=engaged, sequence=self._last_sequence))

    def _recorded(self) -> Iterator[tuple[int, int, int, OperatorState]]:
        """(stretch, time that had passed [ns], time of receipt [ns], sample).

        Where the recorder's clock was set, nobody knows for how long the person was away: a new stretch, for the clutch.
        """
        decoder = MessageDecoder({self._topic: self._topics[self._topic]})
        recorded = recorded_time(bag_contents(self._bag))
        for number, message in recorded.messages([self._topic]):
            stretch = recorded.stretches[number]
            inside_ns = min(message.log_ns - stretch.start_ns, stretch.duration_ns)
            passed_ns = recorded.passed_ns(number) + inside_ns
            yield number, passed_ns, message.log_ns, state_from_message(decoder.decode(message))
