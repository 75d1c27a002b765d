# SPDX-License-Identifier: Apache-2.0
"""What the controller counted while it was looked at: its counts are of all its run, which may have begun hours before."""

from dataclasses import dataclass


@dataclass
class CountedCommands:
    """ticks: due since the first ``add``, skipped ones included; misses: of them, those without a command sent in time."""

    ticks: int = 0
    misses: int = 0
    _last: tuple[int, int] | None = None

    def add(self, ticks: int, misses: int) -> None:
        """The controller's two counts, in the order in which it told them. Both begin anew when it is activated again."""
        if self._last is not None:
            before = (0, 0) if ticks < self._last[0] else self._last
            self.ticks += ticks - before[0]
            self.misses += misses - before[1]
        self._last = (ticks, misses)
