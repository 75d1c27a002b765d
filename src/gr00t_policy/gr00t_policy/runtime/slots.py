# SPDX-License-Identifier: Apache-2.0
"""The slots of a loop on an absolute schedule: when the next tick is due, and which commands were missed. Reads no clock.

A command is missed when it was not sent for its period: each slot that was left out is one, and so is each tick that ended
after the next slot, since its command came after the period that it was for. Each counts once.
"""

_CLOSEST = 4  # two ticks begin at least a period / _CLOSEST apart


class Slots:
    """One slot each ``period_ns``; ``due_ns`` is the one to be run next. A late tick is never made up for.

    Slots that have passed when a tick ends are skipped, and so is one less than a quarter of a period after its begin.
    """

    def __init__(self, period_ns: int) -> None:
        self.period_ns = period_ns
        self.due_ns = 0
        self.ticks = 0  # slots that were run
        self.late_ticks = 0  # of them, those that ended after the next slot
        self.skipped = 0  # slots that were not run
        self._move_ns = 0

    @property
    def passed(self) -> int:
        """Slots so far, run or skipped: how many commands there should have been."""
        return self.ticks + self.skipped

    @property
    def missed(self) -> int:
        """Of ``passed``, those whose command was not sent in its period."""
        return self.late_ticks + self.skipped

    @property
    def missed_fraction(self) -> float:
        """0 to 1; 0 before the first."""
        passed = self.passed
        return self.missed / passed if passed else 0.0

    def move(self, by_ns: int) -> None:
        """The next slot and all after it come so much later, or earlier: in each tick by what costs no slot."""
        self._move_ns = by_ns

    def over(self, began_ns: int, ended_ns: int) -> None:
        """The tick of the slot that was due ran from ``began_ns`` to ``ended_ns``."""
        self.ticks += 1
        self.due_ns += self.period_ns
        if self._move_ns > 0:
            self._shift(self._move_ns)
        if ended_ns > self.due_ns:
            self.late_ticks += 1
            self._skip((ended_ns - self.due_ns) // self.period_ns + 1)
        if self.due_ns - began_ns < self.period_ns // _CLOSEST:
            self._skip(1)
        if self._move_ns < 0:  # by what is free: to wait for a tick that is short enough for all of it may be for ever
            earliest_ns = max(ended_ns, began_ns + self.period_ns // _CLOSEST)
            self._shift(max(self._move_ns, earliest_ns - self.due_ns))

    def _shift(self, by_ns: int) -> None:
        self.due_ns += by_ns
        self._move_ns -= by_ns

    def _skip(self, slots: int) -> None:
        self.skipped += slots
        self.due_ns += slots * self.period_ns
