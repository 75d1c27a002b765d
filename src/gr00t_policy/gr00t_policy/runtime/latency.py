# SPDX-License-Identifier: Apache-2.0
"""Fixed-size records of durations: percentiles over the last few thousand values, no growth, no allocation per value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Percentiles:
    """p50, p95, p99 and largest of the values kept [s]; all 0 when there are none."""

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    count: int


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation, smallest and largest of ``count`` values, in their unit; all 0 when there are none."""

    mean: float
    std: float
    min: float
    max: float
    count: int


class DurationRing:
    """The newest ``capacity`` durations [s]. One writer thread; readers may run beside it and see a recent picture."""

    def __init__(self, capacity: int = 4096) -> None:
        self._values = np.zeros(capacity)
        self.total = 0

    def add(self, seconds: float) -> None:
        self._values[self.total % len(self._values)] = seconds
        self.total += 1

    @property
    def newest_s(self) -> float:
        """The last value, 0 before the first."""
        return float(self._values[(self.total - 1) % len(self._values)]) if self.total else 0.0

    def values(self) -> NDArray[np.float64]:
        """A copy of what is kept (N,) [s], in no order."""
        return self._values[: min(self.total, len(self._values))].copy()

    def percentiles(self) -> Percentiles:
        kept = self.values()
        if len(kept) == 0:
            return Percentiles(0.0, 0.0, 0.0, 0.0, 0)
        p50, p95, p99 = np.percentile(kept, (50, 95, 99))
        return Percentiles(float(p50), float(p95), float(p99), float(kept.max()), len(kept))


def spread(values: NDArray[np.float64]) -> Spread:
    """Of values (N,)."""
    if len(values) == 0:
        return Spread(0.0, 0.0, 0.0, 0.0, 0)
    return Spread(float(values.mean()), float(values.std()), float(values.min()), float(values.max()), len(values))


class RateMeter:
    """Events per second over the last ``capacity`` events, from their own stamps."""

    def __init__(self, capacity: int = 256) -> None:
        self._stamps_ns = np.zeros(capacity, np.int64)
        self._count = 0

    def add(self, now_ns: int) -> None:
        self._stamps_ns[self._count % len(self._stamps_ns)] = now_ns
        self._count += 1

    def rate_hz(self, now_ns: int) -> float:
        """0 with fewer than two events; falls when events stop, since the silence up to ``now_ns`` counts."""
        kept = min(self._count, len(self._stamps_ns))
        if kept < 2:
            return 0.0
        newest = int(self._stamps_ns[(self._count - 1) % len(self._stamps_ns)])
        oldest = int(self._stamps_ns[(self._count - kept) % len(self._stamps_ns)])
        period_ns = (newest - oldest) / (kept - 1)
        silent_ns = now_ns - newest
        span_ns = newest - oldest + (silent_ns if silent_ns > 2 * period_ns else 0)
        return 1e9 * (kept - 1) / span_ns if span_ns > 0 else 0.0
