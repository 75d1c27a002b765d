# SPDX-License-Identifier: Apache-2.0
"""A node's loop for `/diagnostics`: periodicity, execution time, lateness of waking up, misses; the same for every node."""

from collections.abc import Mapping

from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.runtime.duration_counts import counts_to_text
from gr00t_policy.runtime.latency import Spread
from gr00t_policy.runtime.loop_health import Grade, LoopHealth, loop_health
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_policy.runtime.tick_lead import TickLead

_LEVELS = {Grade.OK: Level.OK, Grade.WARN: Level.WARN, Grade.ERROR: Level.ERROR}


def loop_status(
    name: str,
    loop: PacedLoop | None,
    settings: LoopSettings,
    process: QuietProcess | None = None,
    more: Mapping[str, object] | None = None,
) -> Status:
    """loop: None while the node is not active. process: of loops that collect their own garbage. more: further values."""
    if loop is None:
        return Status(name, Level.OK, "not active")
    health = loop_health(loop, settings)
    values = _values(health)
    if process is not None:
        values["garbage_collections"] = process.collections
        values["garbage_collection_max_us"] = process.longest_collection_ns / 1e3
        values["memory_locked"] = process.memory_locked
    values.update(more or {})
    good = f"SCHED_FIFO {loop.priority}" if health.realtime else "ordinary scheduling"
    return Status(name, _LEVELS[health.grade], "; ".join(health.faults) or good, values)


def _values(health: LoopHealth) -> dict[str, object]:
    lateness = health.lateness
    return {
        "rate_hz": health.rate_hz,
        "desired_rate_hz": health.nominal_hz,
        **_spread("periodicity", "hz", health.periodicity_hz),
        **_spread("execution_time", "us", health.execution_us),
        "execution_time.p99_us": 1e6 * health.duration.p99_s,
        "wake_up_lateness.p50_us": 1e6 * lateness.p50_s,
        "wake_up_lateness.p99_us": 1e6 * lateness.p99_s,
        "wake_up_lateness.max_us": 1e6 * lateness.max_s,
        "wake_up_lateness.counts": counts_to_text(health.lateness_counts),
        "ticks": health.ticks,
        "deadline_misses": health.deadline_misses,
        "late_ticks": health.late_ticks,
        "slots_skipped": health.slots_skipped,
        "scheduling": "SCHED_FIFO" if health.realtime else "ordinary",
        "core": health.core if health.core >= 0 else "any",
        "page_faults": health.usage.page_faults,
        "disk_page_faults": health.usage.disk_page_faults,
        "preempted": health.usage.preempted,
    }


def _spread(name: str, unit: str, spread: Spread) -> dict[str, object]:
    return {
        f"{name}.mean_{unit}": spread.mean,
        f"{name}.standard_deviation_{unit}": spread.std,
        f"{name}.min_{unit}": spread.min,
        f"{name}.max_{unit}": spread.max,
    }


def lead_values(lead: TickLead | None, no_lead: str) -> dict[str, object]:
    """How long before the command gate's ticks a loop's begin, for its status. no_lead: why there is none."""
    if lead is None:
        return {"tick_lead": f"none: {no_lead}" if no_lead else "none"}
    return {
        "tick_lead": "fixed" if lead.fixed else "measured",
        "tick_lead.us": lead.lead_ns / 1e3,
        "tick_lead.input_us": float("nan") if lead.input_ns is None else lead.input_ns / 1e3,
        "tick_lead.late": lead.late,
    }
