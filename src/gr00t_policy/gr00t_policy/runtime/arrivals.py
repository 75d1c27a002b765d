# SPDX-License-Identifier: Apache-2.0
"""When a loop's input comes, before the command gate's slots: a tick that begins just before it answers one a period old."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.runtime.gate_grid import GateGrid

_KEPT = 512  # 4.3 s at 120 Hz
_KNOWN = 64
_OFTEN = 0.75  # of the span: what comes more often is never a whole period old
_SCATTERED = 0.25  # of the span: where the middle half varies more, there is no phase
_MARGIN_NS = 100_000  # from the callback to what a tick can read


class Arrivals:
    """``came`` is told by one thread; ``leads_ns`` may be asked by another, about once a second."""

    def __init__(self, grid: GateGrid) -> None:
        self._span_ns = grid.span_ns
        self._gate_ns = grid.gate_ns
        self._came_ns = np.zeros(_KEPT, np.int64)
        self._count = 0

    def came(self, now_ns: int) -> None:
        """An input is there, by the steady clock."""
        self._came_ns[self._count % _KEPT] = now_ns
        self._count += 1

    def leads_ns(self) -> NDArray[np.float64] | None:
        """How long before a slot each of the last inputs was there (N,), below 0 where it was later than its slot; None where
        they come at no fixed phase, or more often than ticks."""
        if self._count < _KNOWN:
            return None
        came_ns = np.sort(self._came_ns[: min(self._count, _KEPT)])
        if float(np.median(np.diff(came_ns))) < _OFTEN * self._span_ns:
            return None
        phases = came_ns % self._gate_ns % self._span_ns
        circle = np.exp(2j * np.pi * phases / self._span_ns)
        middle = float(np.angle(circle.mean())) / (2 * np.pi) * self._span_ns
        around = (phases - middle + self._span_ns / 2) % self._span_ns - self._span_ns / 2
        first, last = np.percentile(around, (25.0, 75.0))
        if last - first > _SCATTERED * self._span_ns:
            return None
        return np.asarray(-middle % self._span_ns - around - _MARGIN_NS, np.float64)
