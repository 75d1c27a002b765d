# SPDX-License-Identifier: Apache-2.0
"""Stamps of the world's clock as time of the sender's system clock: the same, or, in a simulation, by its joint states."""

from bisect import bisect_right
from collections import deque

_SAME_CLOCK_NS = 60 * 10**9
_KEPT = 1024  # joint states: 2 to 8 s, longer than any age worth measuring


class StampClock:
    """Fed with joint states in the order of sending. A stamp on another clock lies between two joint states."""

    def __init__(self) -> None:
        self._stamps: deque[int] = deque(maxlen=_KEPT)
        self._sent: deque[int] = deque(maxlen=_KEPT)
        self.translated = 0

    def add(self, stamp_ns: int, sent_ns: int) -> None:
        """A joint state; one whose stamp falls back begins a new time line."""
        if self._stamps and stamp_ns <= self._stamps[-1]:
            self._stamps.clear()
            self._sent.clear()
        self._stamps.append(stamp_ns)
        self._sent.append(sent_ns)

    def sent_clock_ns(self, stamp_ns: int, seen_ns: int) -> int | None:
        """The stamp on the clock of ``seen_ns``, when it was seen; None when that cannot be known, or it was not set."""
        if stamp_ns == 0:
            return None
        if is_same_clock(stamp_ns, seen_ns):
            return stamp_ns
        stamps = list(self._stamps)
        place = bisect_right(stamps, stamp_ns)
        if place == 0:
            return None
        self.translated += 1
        before, sent = stamps[place - 1], self._sent[place - 1]
        if place == len(stamps):
            return sent + stamp_ns - before
        share = (stamp_ns - before) / (stamps[place] - before)
        return sent + round(share * (self._sent[place] - sent))


def is_same_clock(stamp_ns: int, seen_ns: int) -> bool:
    """Clocks of one machine, or synchronised ones, show about the same; a simulation's begins at 0."""
    return abs(seen_ns - stamp_ns) < _SAME_CLOCK_NS
