# SPDX-License-Identifier: Apache-2.0
"""Gate types <-> messages."""

from gr00t_msgs.msg import GateState

from gr00t_policy.core.command_wire import CommandReader
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_safety.ladder import State
from gr00t_safety.report import GateReport

_LEVELS = {
    State.INACTIVE: Level.OK,
    State.ACTIVE: Level.OK,
    State.HOLD: Level.ERROR,
    State.DAMPED: Level.ERROR,
    State.STOPPED: Level.ERROR,
}


def command_reader(embodiment: Embodiment) -> CommandReader:
    """Reads commands for the policy's joints, or for all driven joints when as many are named."""
    policy, every = JointOrder(embodiment.policy_joints), JointOrder(embodiment.joints)
    return CommandReader(lambda names: every if len(names) == len(every.names) else policy)


def report_to_message(report: GateReport, stamp_ns: int, rate_hz: float) -> GateState:
    """Ages of streams that never came are NaN."""
    message = GateState(
        state=int(report.state),
        reason=report.reason,
        source=report.source,
        command_age_s=_known(report.command_age_s),
        joint_state_age_s=_known(report.joint_state_age_s),
        speed_scale=report.speed_scale,
        commands_accepted=report.accepted,
        commands_rejected=report.rejected,
        commands_limited=report.limited,
        rate_hz=rate_hz,
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def report_to_statuses(report: GateReport) -> list[Status]:
    """The gate and its streams for `/diagnostics`."""
    warn = report.state is State.ACTIVE and report.late
    gate = Status(
        name="gate",
        level=Level.WARN if warn else _LEVELS[report.state],
        message=f"late: {', '.join(report.late)}" if warn else report.reason or report.state.name,
        values={
            "state": report.state.name,
            "source": report.source or "nobody",
            "speed_scale": report.speed_scale,
            "commands_accepted": report.accepted,
            "commands_limited": report.limited,
            **{f"refused.{kind}": count for kind, count in report.refused.items()},
        },
    )
    return [
        gate,
        _stream("command stream", report.command_age_s),
        _stream("joint states", report.joint_state_age_s, report.joint_state_fault),
    ]


def _stream(name: str, age_s: float, fault: str = "") -> Status:
    ever = age_s != float("inf")
    level = Level.WARN if fault else Level.OK if ever else Level.STALE
    return Status(name, level, fault or ("received" if ever else "nothing yet"), {"age_s": age_s})


def _known(age_s: float) -> float:
    return float("nan") if age_s == float("inf") else age_s
