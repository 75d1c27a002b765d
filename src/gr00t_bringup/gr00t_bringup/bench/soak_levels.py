# SPDX-License-Identifier: Apache-2.0
"""Whether a long run stayed at work: a step to the worse that lasts is no trend, and a robot that stands still has none at all.

The time judged is looked at in quarters, each by its middle value, which what a shared machine does for minutes does not move.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bench.soak_verdict import TIME, series_of
from gr00t_bringup.bench.vital_signs import (
    CONTROL_RATE,
    DRIVEN,
    HEAD_RATE,
    MISSES,
    PLANNER_RATE,
    REAL_TIME_FACTOR,
    Sample,
)
from gr00t_policy.core.errors import ConfigError

_MUST_NOT_FALL = (PLANNER_RATE, CONTROL_RATE, HEAD_RATE, REAL_TIME_FACTOR)
_QUARTERS = 4


@dataclass(frozen=True)
class SoakLevels:
    """What every quarter of the time judged must keep to."""

    rate_percent: float = 10.0
    """how far the median of a rate, and of the real-time factor, may lie below that of the first quarter [%]"""
    misses_percent: float = 10.0
    """median of the share of commands that are missed [%]"""
    driven_percent: float = 80.0
    """the robot is driven in at least this share of the samples [%]"""

    def __post_init__(self) -> None:
        if not (self.rate_percent >= 0 and self.misses_percent >= 0 and self.driven_percent <= 100):
            raise ConfigError(f"levels are percentages, those that are allowed not below 0, driven at most 100: {self}")


def levels_lost(samples: Sequence[Sample], levels: SoakLevels, warm_up_s: float) -> list[str]:
    """What fails the run, in words that say what, when and by how much; of each figure its worst quarter. Samples have ``TIME``
    [s], ascending; those of the first ``warm_up_s`` after the first are not judged, nor is what a quarter has no value of."""
    series = {name: np.asarray(values, float) for name, values in series_of(samples).items()}
    if not samples:
        return []
    judged = series[TIME] >= series[TIME][0] + warm_up_s
    minutes = series.pop(TIME)[judged] / 60
    inside = {name: values[judged] for name, values in series.items()}
    return [
        *_fallen(minutes, inside, levels.rate_percent),
        *_missed(minutes, inside, levels.misses_percent),
        *_held(minutes, inside, levels.driven_percent),
    ]


def _fallen(minutes: NDArray[np.float64], series: dict[str, NDArray[np.float64]], allowed: float) -> Iterator[str]:
    for name in _MUST_NOT_FALL:
        if name in series:
            first, *later = _quarters(minutes, series[name])
            below = [each for each in later if each.median < (1 - allowed / 100) * first.median]
            if below:
                worst = min(below, key=lambda each: each.median)
                yield (
                    f"{name} fell from {first.median:.4g} to {worst.median:.4g}: medians of {first.when} and of {worst.when}; "
                    f"allowed {allowed:g} %"
                )


def _missed(minutes: NDArray[np.float64], series: dict[str, NDArray[np.float64]], allowed: float) -> Iterator[str]:
    if MISSES in series:
        above = [each for each in _quarters(minutes, series[MISSES]) if each.median > allowed]
        if above:
            worst = max(above, key=lambda each: each.median)
            yield f"{MISSES} was {worst.median:.3g}, the median of {worst.when}; allowed {allowed:g}"


def _held(minutes: NDArray[np.float64], series: dict[str, NDArray[np.float64]], wanted: float) -> Iterator[str]:
    if DRIVEN in series:
        below = [each for each in _quarters(minutes, series[DRIVEN]) if 100 * each.mean < wanted]
        if below:
            worst = min(below, key=lambda each: each.mean)
            yield (
                f"the robot was driven in {100 * worst.mean:.3g} % of the samples of {worst.when}; wanted at least {wanted:g} %"
            )


@dataclass(frozen=True)
class _Quarter:
    """NaN: it has no value of this figure."""

    when: str
    median: float
    mean: float


def _quarters(minutes: NDArray[np.float64], values: NDArray[np.float64]) -> list[_Quarter]:
    """Of the time judged, alike in samples. At fewer than four samples some are empty."""
    found = []
    for at, part in zip(np.array_split(minutes, _QUARTERS), np.array_split(values, _QUARTERS), strict=True):
        known = part[np.isfinite(part)]
        when = f"minute {at[0]:.1f} to {at[-1]:.1f}" if len(at) else "no time"
        median, mean = (float(np.median(known)), float(known.mean())) if len(known) else (np.nan, np.nan)
        found.append(_Quarter(when, median, mean))
    return found
