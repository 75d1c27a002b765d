# SPDX-License-Identifier: Apache-2.0
"""Live-world types <-> messages. Joint signs are turned in ``gr00t_policy.ros.messages`` only."""

from gr00t_msgs.msg import TaskState
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import EmbodimentError, MessageError
from gr00t_policy.core.types import JointCommand
from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import JointOrder, command_from_message, ns_from_stamp, stamp_from_ns
from gr00t_sim.ros.live_world import LiveWorld, Verdict

_REAL_TIME_FACTOR_WARN = 0.98


class CommandReader:
    """Reads commands for any of the robot's joints; remembers the names of the last one. Owned by one thread."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._embodiment = embodiment
        self._order = JointOrder(embodiment.joints)

    def read(self, message: JointTrajectory) -> tuple[JointCommand, int]:
        """The command, and the stamp of the joint state it answers [ns], 0 if none. Raises MessageError."""
        names = tuple(message.joint_names)
        if names != self._order.names:
            try:
                self._order = JointOrder([self._embodiment.joint(name) for name in names])
            except EmbodimentError as error:
                raise MessageError(f"joint trajectory: {error}") from error
        return command_from_message(message, self._order), ns_from_stamp(message.header.stamp)


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
