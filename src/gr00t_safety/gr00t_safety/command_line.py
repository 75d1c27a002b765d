# SPDX-License-Identifier: Apache-2.0
"""Joins stamped commands into one line in time, so that the gate's ticks and the sender's need not fall together.

Two loops of the same rate drift past each other: now and then a tick sees no new command, or two. Taking the newest
command each tick would turn that into a stutter. Here the commands are placed by the time they are meant for, and
the line through them is sampled one sender period late: smooth motion for one tick of delay.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_KEPT = 4  # commands; two suffice unless arrivals jitter by more than a period
_OFFSET_GAIN = 0.05  # of the newest arrival: settles in about 20 commands
_MAX_OFFSET_STEP_NS = 50_000_000  # a larger change is a step of the stamping clock, not jitter
_MAX_PERIOD_NS = 25_000_000  # slower senders are not delayed further


class CommandLine:
    """Keeps the newest commands (J,) of one sender by the time they are to be reached.

    The sender's stamps may come from any clock: only their spacing is used, tied to the receiver's steady clock by
    a slowly adapted offset. Never extrapolates: past the newest command its positions are kept.
    """

    def __init__(self) -> None:
        self._reach_ns: deque[int] = deque(maxlen=_KEPT)
        self._positions: deque[Vector] = deque(maxlen=_KEPT)
        self._offset_ns = 0.0

    @property
    def newest(self) -> Vector | None:
        """The positions (J,) last added."""
        return self._positions[-1] if self._positions else None

    def clear(self) -> None:
        self._reach_ns.clear()
        self._positions.clear()

    def add(self, now_ns: int, reach_ns: int, positions: Vector) -> None:
        """A command for ``reach_ns`` (sender's clock) arrived at ``now_ns`` (steady clock). One that is not for later than the
        one before means that the sender's clock was set back: then a new line begins."""
        offset_ns = float(now_ns - reach_ns)
        is_back = bool(self._reach_ns) and reach_ns <= self._reach_ns[-1]
        if not self._reach_ns or is_back or abs(offset_ns - self._offset_ns) > _MAX_OFFSET_STEP_NS:
            self.clear()
            self._offset_ns = offset_ns
        self._offset_ns += _OFFSET_GAIN * (offset_ns - self._offset_ns)
        self._reach_ns.append(reach_ns)
        self._positions.append(positions.copy())

    def sample(self, now_ns: int) -> Vector | None:
        """Where the line is at ``now_ns`` (J,), or None before the first command."""
        if not self._reach_ns:
            return None
        if len(self._reach_ns) == 1:
            return self._positions[0].copy()
        period_ns = min(self._reach_ns[-1] - self._reach_ns[-2], _MAX_PERIOD_NS)
        at_ns = now_ns - self._offset_ns - period_ns
        for later in range(len(self._reach_ns) - 1, 0, -1):
            start_ns, end_ns = self._reach_ns[later - 1], self._reach_ns[later]
            if at_ns >= start_ns or later == 1:
                part = min(max((at_ns - start_ns) / (end_ns - start_ns), 0.0), 1.0)
                return self._positions[later - 1] + part * (self._positions[later] - self._positions[later - 1])
        raise AssertionError("the loop returns at its last turn")
