# SPDX-License-Identifier: Apache-2.0
"""Whether something grows, or falls, while a program runs: a robust slope with a confidence bound, blind to noise and to warm-up.

Memory after a start grows until everything was used once, and then wobbles; a leak goes on. Called a trend is only what
grows for certain over the whole time judged, is still growing for certain in its second half, and has grown by an amount
worth speaking of; what must not fall is judged in the same way.
Slopes: Theil 1950, their confidence interval: Sen 1968, over means of blocks that are long enough to
be taken as independent of each other (what is left of it widens the interval, as in Hamed and Rao 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

BLOCKS = 40
_FEWEST_BLOCKS = 12
_Z = 3.29  # 99.9 %, both sides: a run judges some thirty series, and an alarm without a leak costs a night
_Z_LATER = 1.64  # 90 % for the second half, which only has to say that it goes on
_HOUR_S = 3600.0


class Verdict(StrEnum):
    """What a series says."""

    FLAT = "flat"
    GROWS = "grows"
    FALLS = "falls"
    SHORT = "too short to say"


@dataclass(frozen=True)
class Limit:
    """What is not a trend yet: slopes below ``per_hour``, and growth below ``least`` within the run, in the series' unit.

    falls: it is falling that is bad, by so much; growing is welcome. Both numbers are positive all the same.
    """

    per_hour: float
    least: float
    falls: bool = False


@dataclass(frozen=True)
class Slope:
    """Units per hour: the median of all pairs' slopes, and its interval."""

    per_hour: float
    low: float
    high: float


@dataclass(frozen=True)
class Trend:
    """verdict by ``limit``; growth: of the slope over ``span_s``, the time judged, below 0 where it falls. Too few values have
    no slope.
    """

    verdict: Verdict
    slope: Slope | None
    growth: float
    span_s: float
    limit: Limit

    @property
    def visible_per_hour(self) -> float:
        """About the smallest slope, without its sign, that would have been called a trend; a longer run sees smaller ones."""
        if self.slope is None:
            return float("inf")
        edge = self.slope.high if self.limit.falls else self.slope.low
        noise = abs(self.slope.per_hour - edge)
        return max(self.limit.per_hour + noise, self.limit.least * _HOUR_S / self.span_s)


def judge(times_s: Sequence[float], values: Sequence[float], limit: Limit, warm_up_s: float = 0.0) -> Trend:
    """The trend of values (N,) at ascending times (N,) [s] from ``warm_up_s`` after the first on. NaN is left out."""
    times, series = np.asarray(times_s, float), np.asarray(values, float)
    kept = np.isfinite(series) & (times >= (times[0] if len(times) else 0.0) + warm_up_s)
    sign = -1.0 if limit.falls else 1.0
    middles, means = _blocks(times[kept], sign * series[kept])
    if len(means) < _FEWEST_BLOCKS:
        return Trend(Verdict.SHORT, None, 0.0, 0.0, limit)
    whole = robust_slope(middles, means)
    half = len(means) // 2
    later = robust_slope(middles[half:], means[half:], _Z_LATER)
    span_s = float(middles[-1] - middles[0])
    growth = whole.per_hour * span_s / _HOUR_S
    certain = whole.low > limit.per_hour and later.low > 0 and growth >= limit.least
    trend = Verdict.FALLS if limit.falls else Verdict.GROWS
    slope = Slope(-whole.per_hour, -whole.high, -whole.low) if limit.falls else whole
    return Trend(trend if certain else Verdict.FLAT, slope, sign * growth, span_s, limit)


def robust_slope(times_s: NDArray[np.float64], values: NDArray[np.float64], z: float = _Z) -> Slope:
    """Of values (N,) at different times (N,) [s], N at least 3. Outliers, up to 29 % of the values, do not move it far.

    z: how many standard deviations the interval is wide to each side, by default those of 99.9 %.
    """
    count = len(values)
    first, second = np.triu_indices(count, 1)
    slopes = np.sort((values[second] - values[first]) / (times_s[second] - times_s[first])) * _HOUR_S
    middle = float(np.median(slopes))
    residuals = values - middle / _HOUR_S * times_s
    deviation = z * np.sqrt(count * (count - 1) * (2 * count + 5) / 18 * _widening(residuals))
    low, high = (len(slopes) - deviation) / 2, (len(slopes) + deviation) / 2
    return Slope(
        middle,
        float(slopes[max(int(np.floor(low)) - 1, 0)]),
        float(slopes[min(int(np.ceil(high)), len(slopes) - 1)]),
    )


def _blocks(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most ``BLOCKS`` means of neighbouring values, and the means of their times."""
    parts = min(BLOCKS, len(values))
    if parts == 0:
        return times, values
    return (
        np.array([part.mean() for part in np.array_split(times, parts)]),
        np.array([part.mean() for part in np.array_split(values, parts)]),
    )


def _widening(residuals: NDArray[np.float64]) -> float:
    """How much neighbours that resemble each other add to the variance of a slope; 1 when they do not."""
    about = residuals - residuals.mean()
    power = float(about @ about)
    alike = float(about[1:] @ about[:-1]) / power if power > 0 else 0.0
    alike = min(max(alike, 0.0), 0.9)
    return (1 + alike) / (1 - alike)
