# SPDX-License-Identifier: Apache-2.0
"""From what a device says to what the robot may see: dated, checked, counted, and only when it is new."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from gr00t_teleop.devices.clutch_guard import ClutchGuard
from gr00t_teleop.devices.device import FRAME, Deliver, DeviceSample
from gr00t_teleop.devices.device_clock import DeviceClock
from gr00t_teleop.devices.sample_checks import CheckLimits, SampleChecks
from gr00t_teleop.types import OperatorState

# A sample that the network held up for longer than this says where the person was, not where they are.
MAX_AGE_S = 0.15
_POSES = ("head", "left_wrist", "right_wrist", "left_hand", "right_hand")


class SampleStream:
    """All samples of one device, also over reconnections. Used by the device's thread; counters may be read by any.

    is_dated: the stamps of samples are of the receiver's clock already; else they are the device's and are mapped.
    """

    def __init__(
        self, source: str, limits: CheckLimits | None = None, max_age_s: float = MAX_AGE_S, *, is_dated: bool = False
    ) -> None:
        self._source, self._is_dated = source, is_dated
        self._checks = SampleChecks(limits or CheckLimits())
        self._clock, self._clutch = DeviceClock(), ClutchGuard()
        self._max_age_ns = int(max_age_s * 1e9)
        self._last: DeviceSample | None = None
        self._sequence = 0
        self._counts: Counter[str] = Counter({"delivered": 0, "lost": 0, "repeated": 0, "late": 0})
        self.last_arrival_ns: int | None = None

    def push(self, sample: DeviceSample, arrival_ns: int, deliver: Deliver) -> OperatorState | None:
        """Deliver the sample if it is new and young enough; what was delivered, or None."""
        last, self.last_arrival_ns = self._last, arrival_ns
        if last is not None and last.epoch == sample.epoch and _is_old(sample, last):
            self._counts["repeated"] += 1
            return None
        self._last = sample
        self._count_on(sample, last)
        if last is None or last.epoch != sample.epoch:
            self._clock.reset()
            self._checks.reset()
        stamp_ns = self._stamp_ns(sample.stamp_ns, arrival_ns)
        engaged = self._clutch.engaged(sample.clutch, sample.epoch, arrival_ns)
        checked = self._checks.check(sample, stamp_ns)
        if arrival_ns - stamp_ns > self._max_age_ns:
            self._counts["late"] += 1
            return None
        poses = {name: getattr(checked, name) for name in _POSES}
        state = OperatorState(stamp_ns, FRAME, self._source, self._sequence, engaged, **poses)
        self._counts["delivered"] += 1
        deliver(state)
        return state

    def counters(self) -> Mapping[str, int]:
        """How many samples were delivered, lost on the way, repeated or late, and parts refused by reason."""
        return {**self._counts, **self._checks.counts}

    def _stamp_ns(self, given_ns: int | None, arrival_ns: int) -> int:
        if given_ns is None:
            return arrival_ns
        return min(given_ns, arrival_ns) if self._is_dated else self._clock.to_receiver_ns(given_ns, arrival_ns)

    def _count_on(self, sample: DeviceSample, last: DeviceSample | None) -> None:
        """Our count goes on over reconnections; a gap in the device's own count is a gap in ours."""
        same = last is not None and last.epoch == sample.epoch
        step = sample.sequence - last.sequence if same and last is not None and sample.sequence > 0 else 1
        self._sequence += step
        self._counts["lost"] += step - 1


def _is_old(sample: DeviceSample, last: DeviceSample) -> bool:
    """A device that counts says so itself; of one that does not, the same numbers are the same sample."""
    if sample.sequence > 0:
        return sample.sequence <= last.sequence
    return all(
        np.array_equal(getattr(sample, item.name), getattr(last, item.name), equal_nan=item.name in _POSES)
        for item in fields(sample)
        if item.name != "stamp_ns"
    )
