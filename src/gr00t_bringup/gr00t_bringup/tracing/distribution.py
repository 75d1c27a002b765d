# SPDX-License-Identifier: Apache-2.0
"""Durations of a recording of any length in bounded memory: exact counts and extremes, percentiles, and values over time."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# 18 minutes at 120 Hz, 2 MB. Of more values a uniform sample of so many is kept: a p99 is then one of the ranks
# 98.96 to 99.04 % in 95 of 100 recordings.
CAPACITY = 131_072


@dataclass(frozen=True)
class Figures:
    """Of ``count`` values, in their unit; NaN without values. exact: percentiles are of all values, not of a sample."""

    count: int
    mean: float
    std: float
    min: float
    p50: float
    p95: float
    p99: float
    max: float
    exact: bool


class Distribution:
    """Collects values with the time at which each was seen [ns]."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.count = 0
        self._values, self._times_ns = np.empty(capacity), np.empty(capacity, np.int64)
        self._chance = np.random.default_rng(0)
        self._mean = self._squares = 0.0
        self._min, self._max = math.inf, -math.inf

    def add(self, value: float, at_ns: int) -> None:
        self.count += 1
        step = value - self._mean
        self._mean += step / self.count
        self._squares += step * (value - self._mean)
        self._min, self._max = min(self._min, value), max(self._max, value)
        place = self.count - 1
        if place >= len(self._values):  # each value so far stays with the same chance: Vitter's algorithm R
            place = int(self._chance.integers(self.count))
        if place < len(self._values):
            self._values[place], self._times_ns[place] = value, at_ns

    def figures(self) -> Figures:
        values, _ = self.kept()
        if not self.count:
            nan = math.nan
            return Figures(0, nan, nan, nan, nan, nan, nan, nan, exact=True)
        p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
        std = math.sqrt(self._squares / self.count)
        return Figures(self.count, self._mean, std, self._min, p50, p95, p99, self._max, self.count == len(values))

    def kept(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values (N,) and their times [ns] (N,), in order of time; all of them, or a sample."""
        kept = min(self.count, len(self._values))
        order = np.argsort(self._times_ns[:kept], kind="stable")
        return self._values[:kept][order], self._times_ns[:kept][order]
