# SPDX-License-Identifier: Apache-2.0
"""The retargeter's report -> its state message and diagnostics."""

from gr00t_msgs.msg import GateState, TeleopState

from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_policy.runtime.latency import Percentiles
from gr00t_teleop.retargeting.engagement import State
from gr00t_teleop.retargeting.retargeter import RetargeterReport

_LEVELS = {State.HOLDING: Level.WARN, State.STOPPED: Level.ERROR}
_NAN = float("nan")
_SOURCE = "teleop"  # the gate's name for these commands


def gate_trouble(message: GateState) -> str:
    """Why the command gate does not pass the retargeter's commands on, '' when it does."""
    if message.source != _SOURCE:
        return f"the gate's source is {message.source or 'nobody'!r}, not {_SOURCE!r}"
    return "" if message.state == GateState.ACTIVE else f"the gate waits: {message.reason}"


def report_to_message(report: RetargeterReport, stamp_ns: int) -> TeleopState:
    """The state topic's message."""
    message = TeleopState(
        state=int(report.state),
        reason=report.reason,
        source=report.source,
        device_rate_hz=report.device_rate_hz,
        operator_age_s=_NAN if report.operator_age_s == float("inf") else report.operator_age_s,
        solve_p50_s=report.solve.p50_s if report.solve.count else _NAN,
        solve_p99_s=report.solve.p99_s if report.solve.count else _NAN,
        samples=report.samples,
        samples_lost=report.lost,
        samples_rejected=report.rejected,
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def report_to_statuses(report: RetargeterReport) -> list[Status]:
    """The retargeter and the person's samples for `/diagnostics`."""
    values = {
        "state": report.state.name,
        "arm_scale": report.scale,
        "target_delay_s": report.delay_s,
        **_durations("solve", report.solve),
        **_durations("arms", report.arms),
        "steps_vetoed": report.vetoed,
        "steps_unsolved": report.unsolved,
    }
    person = {"rate_hz": report.device_rate_hz, "lost": report.lost, "rejected": report.rejected}
    ever = report.operator_age_s != float("inf")
    return [
        Status("retargeter", _LEVELS.get(report.state, Level.OK), report.reason or report.state.name, values),
        Status("operator", Level.OK if ever else Level.STALE, report.source or "nothing yet", person),
    ]


def _durations(what: str, measured: Percentiles) -> dict[str, object]:
    return {f"{what}_p50_s": measured.p50_s, f"{what}_p95_s": measured.p95_s, f"{what}_p99_s": measured.p99_s}
