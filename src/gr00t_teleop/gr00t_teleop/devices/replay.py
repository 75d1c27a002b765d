# SPDX-License-Identifier: Apache-2.0
"""A recorded person as a device: the ``operator_state`` of a bag, once, with its original timing."""

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
    """Samples keep their order, gaps, validity and age; stamps are moved to now. ``source`` of a sample is kept."""

    source = "replay"

    def __init__(self, bag: Path, now_ns: Clock) -> None:
        super().__init__()
        self._bag, self._now_ns = bag, now_ns
        self._counts = {"delivered": 0}
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
        self._why = ""

    def run(self, deliver: Deliver) -> None:
        """When the recording ends, or cannot be read further, the device is silent; it does not begin again."""
        try:
            self._play(deliver)
        except Gr00tError as error:
            self._why = f"the recording cannot be read further: {error}"
        else:
            self._why = "the recording has ended"
        self.stopping.wait()

    def silence(self) -> str:
        return self._why if self.is_running else "the recording is not played"

    def counters(self) -> Mapping[str, int]:
        return dict(self._counts)

    def _play(self, deliver: Deliver) -> None:
        guard = ClutchGuard()
        shift_ns: int | None = None  # of the steady clock against the recorder's
        for stretch, passed_ns, arrived_ns, state in self._recorded():
            if shift_ns is None:
                shift_ns = time.monotonic_ns() - passed_ns
            wait_s = (passed_ns + shift_ns - time.monotonic_ns()) / 1e9
            if self.stopping.wait(max(0.0, wait_s)):
                return
            age_ns = max(arrived_ns - state.stamp_ns, 0)
            engaged = guard.engaged(state.engaged, stretch, passed_ns)
            self._counts["delivered"] += 1
            deliver(replace(state, stamp_ns=self._now_ns() - age_ns, engaged=engaged))

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
