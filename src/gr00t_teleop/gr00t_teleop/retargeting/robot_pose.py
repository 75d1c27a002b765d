# SPDX-License-Identifier: Apache-2.0
"""The whole commanded pose of the robot, made of arms, hands and neck, and the gentle ways between its poses."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.runtime.latency import DurationRing
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.inverse_kinematics import InverseKinematics, WristTarget
from gr00t_teleop.retargeting.joint_follower import JointFollower
from gr00t_teleop.retargeting.pose import Pose
from gr00t_teleop.retargeting.step_bounds import joint_limits

Vector = NDArray[np.float64]

FOLLOWERS = ("left_hand", "right_hand", "neck")


class RobotPose:
    """Keeps the command of every driven joint, in the embodiment's order, and moves it tick by tick. One owner.

    arm_steps: how long the inverse kinematics of the arms took, by ``clock_ns``, what was prepared for it included.
    """

    def __init__(self, embodiment: Embodiment, config: RetargeterConfig, clock_ns: Callable[[], int]) -> None:
        self.arm_steps, self._clock_ns = DurationRing(), clock_ns
        self._prepared_ns = 0
        dt_s = 1.0 / config.rate_hz
        speed, acceleration = config.velocity_scale, config.acceleration_scale
        self.arms = InverseKinematics(
            embodiment, dt_s, use_waist=config.use_waist, speed=speed, acceleration=acceleration
        )
        self._columns = {group: _indices(embodiment, group) for group in FOLLOWERS}
        self._of_arms = np.array([embodiment.joint_names.index(name) for name in self.arms.names])
        self._arms_alone = np.array(
            [column for column in range(len(self.arms.names)) if "waist" not in self.arms.names[column]]
        )
        self._followers = {
            group: JointFollower(
                joint_limits(
                    tuple(joint for joint in embodiment.joints if joint.group == group), dt_s, speed, acceleration, 0.0
                )
            )
            for group in FOLLOWERS
        }
        self._lower = np.array([joint.lower_rad for joint in embodiment.joints])
        self._upper = np.array([joint.upper_rad for joint in embodiment.joints])
        self._size = len(embodiment.joints)

    @property
    def positions(self) -> Vector:
        """(J,) [rad] of all driven joints."""
        whole = np.empty(self._size)
        whole[self._of_arms] = self.arms.positions
        for group, follower in self._followers.items():
            whole[self._columns[group]] = follower.positions
        return whole

    def part(self, group: str) -> Vector:
        """Commanded positions of a hand or of the neck."""
        return self._followers[group].positions

    def reset(self, positions: Vector) -> None:
        """Stand at (J,), at rest, without goals."""
        within = np.clip(positions, self._lower, self._upper)
        self.arms.reset(within[self._of_arms])
        for group, follower in self._followers.items():
            follower.reset(within[self._columns[group]])

    def aim(self, group: str, goal: Vector | None) -> None:
        """Goal of a hand or of the neck; None: come to rest."""
        self._followers[group].goal = goal

    def tick(self, targets: Mapping[str, WristTarget], pace: float) -> None:
        """Move on by one tick."""
        began_ns = self._clock_ns()
        self.arms.step(targets, pace)
        self.arm_steps.add((self._clock_ns() - began_ns + self._prepared_ns) / 1e9)
        self._prepared_ns = 0
        for follower in self._followers.values():
            follower.tick(pace)

    def prepare(self) -> None:
        """Compute now what the arms' next step needs of the commanded pose alone."""
        began_ns = self._clock_ns()
        self.arms.prepare()
        self._prepared_ns += self._clock_ns() - began_ns

    def arm_lead_rad(self, measured: Vector) -> float:
        """How far the arms' command is from the measured pose (J,), at the worst joint."""
        return float(np.abs(self.arms.positions - measured[self._of_arms])[self._arms_alone].max())

    def home(self, side: str) -> Pose:
        """Where a wrist starts from: where it is commanded to be.

        Where it is measured to be is off by the error of tracking, which would add up over many closings of the clutch and
        each time that the hand is seen again.
        """
        return self.arms.wrist(side)


def _indices(embodiment: Embodiment, group: str) -> NDArray[np.intp]:
    return np.array([index for index, joint in enumerate(embodiment.joints) if joint.group == group], np.intp)
