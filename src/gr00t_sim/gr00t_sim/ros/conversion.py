# SPDX-License-Identifier: Apache-2.0
"""Live-world types <-> messages."""

from gr00t_msgs.msg import TaskState

from gr00t_policy.core.command_wire import CommandReader
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import EmbodimentError, MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_sim.ros.live_world import LiveWorld, Verdict

_REAL_TIME_FACTOR_WARN = 0.98


def command_reader(embodiment: Embodiment) -> CommandReader:
    """Reads commands for any of the robot's joints."""

    def order_for(names: tuple[str, ...]) -> JointOrder:
        try:
            return JointOrder([embodiment.joint(name) for name in names])
        except EmbodimentError as error:
            raise MessageError(f"joint trajectory: {error}") from error

    return CommandReader(order_for)


def verdict_to_message(verdict: Verdict, stamp_ns: int) -> TaskState:
    message = TaskState(
        task=verdict.task,
        sentence=verdict.sentence,
        seed=verdict.seed,
        success=verdict.success,
        progress=verdict.progress,
        elapsed_s=verdict.elapsed_s,
        detail=verdict.detail,
        real_time_factor=verdict.real_time_factor,
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def world_to_status(world: LiveWorld, verdict: Verdict) -> Status:
    """The simulation for `/diagnostics`."""
    slow = verdict.real_time_factor < _REAL_TIME_FACTOR_WARN
    return Status(
        name="physics",
        level=Level.WARN if slow else Level.OK,
        message="slower than real time" if slow else "real time",
        values={
            "real_time_factor": verdict.real_time_factor,
            "commands_accepted": world.accepted,
            "command_timeouts": world.timeouts,
            **{f"refused.{kind}": count for kind, count in world.refused.items()},
        },
    )
