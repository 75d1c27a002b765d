# SPDX-License-Identifier: Apache-2.0
"""Which of a long run's figures must not grow, by how much they may, and whether they did."""

from collections.abc import Sequence
from dataclasses import dataclass

from gr00t_bringup.bench.trend import Limit, Trend, Verdict, judge
from gr00t_bringup.bench.vital_signs import HANDLES, MEMORY, MISSES, SEGMENTS, THREADS, Sample
from gr00t_policy.core.errors import ConfigError

TIME = "time_s"
NAN = float("nan")


@dataclass(frozen=True)
class SoakLimits:
    """Growth per hour that is not called a trend. Memory: what the suite promises for eight hours."""

    memory_mb: float = 1.0
    """resident memory of each process [MB an hour]"""
    handles: float = 1.0
    """open file handles of each process [an hour]"""
    threads: float = 1.0
    """threads of each process [an hour]"""
    segments: float = 1.0
    """segments of shared memory that our processes made and that are still there [an hour]"""
    misses_percent: float = 0.5
    """share of control ticks that miss their deadline [percentage points an hour]"""

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise ConfigError(f"limits are growth per hour and must not be below 0: {self}")

    def of(self, name: str) -> Limit | None:
        """The limit of a series; None when it may do as it likes. Less than its ``least`` is within what a process does."""
        return {
            MEMORY: Limit(self.memory_mb, least=1.0),
            HANDLES: Limit(self.handles, least=2.0),
            THREADS: Limit(self.threads, least=2.0),
            SEGMENTS: Limit(self.segments, least=2.0),
            MISSES: Limit(self.misses_percent, least=0.5),
        }.get(name.partition("/")[0])


def series_of(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each name's values, one a sample; NaN where a sample lacks it."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: [sample.get(name, NAN) for sample in samples] for name in names}


def trends_of(samples: Sequence[Sample], limits: SoakLimits, warm_up_s: float) -> dict[str, Trend]:
    """The trend of each series that has a limit, by name. Samples have ``TIME`` [s], ascending."""
    series = series_of(samples)
    times = series.get(TIME, [])
    return {
        name: judge(times, values, limit, warm_up_s)
        for name, values in series.items()
        if (limit := limits.of(name)) is not None
    }


def growing(trends: dict[str, Trend]) -> list[str]:
    """What fails the run, in words."""
    return [
        f"{name} grows by {trend.slope.per_hour:.3g} an hour ({trend.slope.low:.3g} to {trend.slope.high:.3g}); "
        f"allowed {trend.limit.per_hour:g}; {trend.growth:+.3g} in the time judged"
        for name, trend in trends.items()
        if trend.verdict is Verdict.GROWS and trend.slope is not None
    ]
