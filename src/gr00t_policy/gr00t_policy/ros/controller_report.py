# SPDX-License-Identifier: Apache-2.0
"""The controller's report -> its state message and diagnostics."""

from gr00t_msgs.msg import ControllerState

from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_policy.runtime.controller import ControllerReport
from gr00t_policy.runtime.inputs import Cause, State
from gr00t_policy.runtime.latency import Percentiles
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.slots import Slots

_STREAMS = {
    "tokens": (Cause.NO_TOKENS, Cause.TOKENS_SILENT, Cause.IMAGE_OLD, Cause.TOKENS_LATE),
    "joint states": (Cause.NO_JOINT_STATE, Cause.BAD_JOINT_STATE, Cause.JOINT_STATE_SILENT, Cause.JOINT_STATE_OLD),
}
_NAN = float("nan")


def report_to_message(report: ControllerReport, stamp_ns: int, loop: PacedLoop | None) -> ControllerState:
    """loop: the control loop, None while there is none. ``ticks`` are all that were due, also those that were skipped."""
    slots = loop.slots if loop else Slots(0)
    head = _three(report.head)
    from_image, from_state = _three(report.image_to_command), _three(report.joint_state_to_command)
    message = ControllerState(
        state=int(report.verdict.state),
        detail=report.verdict.detail,
        mode=int(report.mode),
        realtime_scheduling=loop is not None and loop.realtime,
        control_rate_hz=report.control_rate_hz,
        head_rate_hz=report.head_rate_hz,
        head_p50_s=head[0],
        head_p95_s=head[1],
        head_p99_s=head[2],
        ticks=slots.passed,
        deadline_misses=slots.missed,
        deadline_miss_fraction=slots.missed_fraction,
        token_age_s=report.token_age_s,
        joint_state_age_s=report.joint_state_age_s,
        image_to_command_p50_s=from_image[0],
        image_to_command_p95_s=from_image[1],
        image_to_command_p99_s=from_image[2],
        joint_state_to_command_p50_s=from_state[0],
        joint_state_to_command_p95_s=from_state[1],
        joint_state_to_command_p99_s=from_state[2],
        rejected_inputs=report.rejected_inputs,
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def report_to_statuses(report: ControllerReport) -> list[Status]:
    """The controller, its head and its two streams for `/diagnostics`."""
    verdict = report.verdict
    level = (
        Level.ERROR if verdict.state is State.HOLDING else Level.WARN if verdict.cause > Cause.NOT_ACTIVE else Level.OK
    )
    refused = {f"refused.{fault}": count for fault, count in report.refused.items()}
    values = {"state": verdict.state.name, "cause": verdict.cause.name, "mode": report.mode.name, **refused}
    ages = {"tokens": report.token_age_s, "joint states": report.joint_state_age_s}
    streams = [_stream(name, causes, report, ages[name]) for name, causes in _STREAMS.items()]
    return [
        Status("controller", level, verdict.detail or verdict.state.name, values),
        Status("head", Level.OK, report.mode.name, {"rate_hz": report.head_rate_hz, **_values(report.head)}),
        *streams,
    ]


def _stream(name: str, causes: tuple[Cause, ...], report: ControllerReport, age_s: float) -> Status:
    bad = report.verdict.cause in causes
    level = Level.STALE if bad and report.verdict.state is not State.RUNNING else Level.WARN if bad else Level.OK
    return Status(name, level, report.verdict.detail if bad else "", {"age_s": age_s})


def _three(measured: Percentiles) -> tuple[float, float, float]:
    return (measured.p50_s, measured.p95_s, measured.p99_s) if measured.count else (_NAN, _NAN, _NAN)


def _values(measured: Percentiles) -> dict[str, object]:
    p50_s, p95_s, p99_s = _three(measured)
    return {"p50_s": p50_s, "p95_s": p95_s, "p99_s": p99_s}
