# SPDX-License-Identifier: Apache-2.0
"""The planner's report -> its state message and diagnostics."""

from gr00t_msgs.msg import PlannerState

from gr00t_planner.planner import PlannerReport, State
from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_policy.runtime.latency import Percentiles

_LEVELS = {
    State.WAITING_FOR_INSTRUCTION: Level.OK,
    State.WAITING_FOR_IMAGE: Level.WARN,
    State.ENCODING: Level.OK,
    State.STALE_IMAGE: Level.ERROR,
    State.INACTIVE: Level.OK,
}
_NAN = float("nan")


def report_to_message(report: PlannerReport, stamp_ns: int, checkpoint_hash: str) -> PlannerState:
    encode = _three(report.encode)
    message = PlannerState(
        state=int(report.verdict.state),
        detail=report.verdict.detail,
        instruction=report.instruction,
        instruction_id=report.instruction_id,
        checkpoint_hash=checkpoint_hash,
        rate_hz=report.rate_hz,
        encode_p50_s=encode[0],
        encode_p95_s=encode[1],
        encode_p99_s=encode[2],
        image_age_s=report.image_age_s,
        encoded=report.encoded,
        skipped=report.skipped,
        rejected=sum(report.refused.values()),
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def report_to_statuses(report: PlannerReport) -> list[Status]:
    """The planner and its camera for `/diagnostics`."""
    verdict = report.verdict
    p50_s, p95_s, p99_s = _three(report.encode)
    planner = Status(
        "planner",
        Level.WARN if verdict.state is State.ENCODING and verdict.detail else _LEVELS[verdict.state],
        verdict.detail or verdict.state.name,
        {
            "state": verdict.state.name,
            "instruction": report.instruction,
            "rate_hz": report.rate_hz,
            "encode_p50_s": p50_s,
            "encode_p95_s": p95_s,
            "encode_p99_s": p99_s,
            "skipped": report.skipped,
            **{f"refused.{kind}": count for kind, count in report.refused.items()},
        },
    )
    stale = verdict.state in (State.STALE_IMAGE, State.WAITING_FOR_IMAGE)
    late = f"the newest image is {report.image_age_s:.2f} s old" if report.image_is_late else ""
    level = Level.STALE if stale else Level.WARN if late else Level.OK
    images = Status("images", level, verdict.detail or late, {"age_s": report.image_age_s})
    return [planner, images]


def _three(measured: Percentiles) -> tuple[float, float, float]:
    return (measured.p50_s, measured.p95_s, measured.p99_s) if measured.count else (_NAN, _NAN, _NAN)
