# SPDX-License-Identifier: Apache-2.0
"""Whether a loop keeps its rate, judged as ros2_control's controller manager does: mean and deviation against thresholds."""

from dataclasses import dataclass
from enum import IntEnum

from gr00t_policy.runtime.duration_counts import Counts
from gr00t_policy.runtime.latency import Percentiles, Spread
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.pacing import PacedLoop, ThreadUsage

_JUDGED_S = 1.0  # of ticks, before there is a judgement


class Grade(IntEnum):
    """How good the loop is."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class LoopHealth:
    """A loop's figures of the last ten seconds; since its start: ticks, what was missed (``slots.py``) and lateness_counts.
    faults: one clause for each threshold that is passed.
    """

    nominal_hz: float
    periodicity_hz: Spread
    execution_us: Spread
    lateness: Percentiles
    duration: Percentiles
    rate_hz: float
    ticks: int
    deadline_misses: int
    late_ticks: int
    slots_skipped: int
    lateness_counts: Counts
    realtime: bool
    core: int
    usage: ThreadUsage
    grade: Grade
    faults: tuple[str, ...]


def loop_health(loop: PacedLoop, settings: LoopSettings) -> LoopHealth:
    """Figures and judgement. May be called from any thread; the loop is not stopped for it."""
    periodicity, execution = loop.periodicity_hz(), loop.execution_us()
    faults = _faults(loop.nominal_hz, periodicity, execution, settings)
    if settings.thread_priority > 0 and not loop.realtime:
        faults.append((Grade.WARN, "no real-time priority: may be late under load"))
    return LoopHealth(
        nominal_hz=loop.nominal_hz,
        periodicity_hz=periodicity,
        execution_us=execution,
        lateness=loop.lateness(),
        duration=loop.duration(),
        rate_hz=loop.rate_hz,
        ticks=loop.ticks,
        deadline_misses=loop.slots.missed,
        late_ticks=loop.slots.late_ticks,
        slots_skipped=loop.slots.skipped,
        lateness_counts=loop.lateness_counts.counts(),
        realtime=loop.realtime,
        core=loop.core,
        usage=loop.usage,
        grade=max((grade for grade, _ in faults), default=Grade.OK),
        faults=tuple(text for _, text in faults),
    )


def _faults(
    nominal_hz: float, periodicity: Spread, execution: Spread, settings: LoopSettings
) -> list[tuple[Grade, str]]:
    if periodicity.count < _JUDGED_S * nominal_hz:
        return []
    off_hz = abs(periodicity.mean - nominal_hz)
    judged = (
        (
            off_hz,
            settings.periodicity_mean_warn_hz,
            settings.periodicity_mean_error_hz,
            f"mean rate {periodicity.mean:.1f} Hz instead of {nominal_hz:g} Hz",
        ),
        (
            periodicity.std,
            settings.periodicity_deviation_warn_hz,
            settings.periodicity_deviation_error_hz,
            f"rate varies by {periodicity.std:.1f} Hz",
        ),
        (
            execution.mean,
            settings.execution_mean_warn_us,
            settings.execution_mean_error_us,
            f"a tick takes {execution.mean:.0f} us",
        ),
        (
            execution.std,
            settings.execution_deviation_warn_us,
            settings.execution_deviation_error_us,
            f"the time of a tick varies by {execution.std:.0f} us",
        ),
    )
    return [(Grade.ERROR if value > error else Grade.WARN, text) for value, warn, error, text in judged if value > warn]
