# SPDX-License-Identifier: Apache-2.0
"""Which of a long run's figures must not grow, and which must not fall, by how much they may, and whether they did."""

from collections.abc import Sequence
from dataclasses import dataclass

from gr00t_bringup.bench.trend import Limit, Trend, Verdict, judge
from gr00t_bringup.bench.vital_signs import (
    CONTROL_RATE,
    HANDLES,
    HEAD_P99,
    HEAD_RATE,
    IMAGE_AGE,
    JOINT_STATE_AGE,
    MEMORY,
    MISSES,
    PLANNER_RATE,
    REAL_TIME_FACTOR,
    SEGMENTS,
    THREADS,
    Sample,
)
from gr00t_policy.core.errors import ConfigError

TIME = "time_s"
NAN = float("nan")


@dataclass(frozen=True)
class SoakLimits:
    """Change per hour, to the worse, that is not called a trend. Memory: what the suite promises for eight hours."""

    memory_mb: float = 1.0
    """resident memory of each process [MB an hour]"""
    handles: float = 1.0
    """open file handles of each process [an hour]"""
    threads: float = 1.0
    """threads of each process [an hour]"""
    segments: float = 1.0
    """segments of shared memory that our processes made and that are still there [an hour]"""
    misses_percent: float = 0.5
    """share of commands that are missed [percentage points an hour]"""
    planner_rate_hz: float = 0.1
    """fall of the planner's rate [Hz an hour]"""
    control_rate_hz: float = 0.5
    """fall of the rate of commands [Hz an hour]"""
    head_rate_hz: float = 0.5
    """fall of the rate of the action head [Hz an hour]"""
    real_time_factor: float = 0.02
    """fall of the simulated seconds per second [an hour]"""
    head_p99_ms: float = 0.5
    """rise of the time of the action head, 99th percentile [ms an hour]"""
    image_to_command_p95_ms: float = 10.0
    """rise of the age of images behind commands, 95th percentile [ms an hour]"""
    joint_state_to_command_p99_ms: float = 1.0
    """rise of the age of joint states behind commands, 99th percentile [ms an hour]"""

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise ConfigError(f"limits are change to the worse per hour and must not be below 0: {self}")

    def of(self, name: str) -> Limit | None:
        """The limit of a series; None when it may do as it likes. Less than its ``least`` is within what a process does."""
        return {
            MEMORY: Limit(self.memory_mb, least=1.0),
            HANDLES: Limit(self.handles, least=2.0),
            THREADS: Limit(self.threads, least=2.0),
            SEGMENTS: Limit(self.segments, least=2.0),
            MISSES: Limit(self.misses_percent, least=0.5),
            PLANNER_RATE: Limit(self.planner_rate_hz, least=0.1, falls=True),
            CONTROL_RATE: Limit(self.control_rate_hz, least=0.5, falls=True),
            HEAD_RATE: Limit(self.head_rate_hz, least=0.5, falls=True),
            REAL_TIME_FACTOR: Limit(self.real_time_factor, least=0.02, falls=True),
            HEAD_P99: Limit(self.head_p99_ms, least=0.3),
            IMAGE_AGE: Limit(self.image_to_command_p95_ms, least=5.0),
            JOINT_STATE_AGE: Limit(self.joint_state_to_command_p99_ms, least=0.5),
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


def getting_worse(trends: dict[str, Trend]) -> list[str]:
    """What fails the run, in words."""
    return [
        f"{name} {trend.verdict} by {abs(trend.slope.per_hour):.3g} an hour ({trend.slope.low:+.3g} to {trend.slope.high:+.3g}); "
        f"allowed {trend.limit.per_hour:g}; {trend.growth:+.3g} in the time judged"
        for name, trend in trends.items()
        if trend.verdict in (Verdict.GROWS, Verdict.FALLS) and trend.slope is not None
    ]
