# SPDX-License-Identifier: Apache-2.0
"""What all scripted experts share: from "this hand there, its fingers so far closed" to joint targets at 20 Hz.

An expert decides from the present state alone. It has no phase counter: where the hands, the fingers and the things are
says what to do next. So it can take over from any state, recover from its own and others' mistakes, and its
demonstrations hold no hidden variable that a policy which sees one image and one joint state could not know. It never
stands still on the way, for the same reason. It reads the true state of the world; it commands only what a policy may
command: joint position targets.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import mink
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.experts.grasp import PICK_YAW_RAD, TOP_GRASP, HandShape, top_grasp_rotation
from gr00t_sim.kinematics import WAIST_POSTURE_COST, InverseKinematics, Pose
from gr00t_sim.robot import SIDES, finger_indices
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim

Vector = NDArray[np.float64]

_GAIN_HZ = 5.0
_SPEED_M_S = 0.45
_ACCELERATION_M_S2 = 3.0
_TURN_RAD_S = 2.0
_CLOSE_S = 0.6
_LOWEST_PUSHED_M = 0.06
_STANDING_RAD_S = 0.05
_CLEAR_M = 0.15  # above the table: from here a hand may travel sideways over what stands there


@dataclass(frozen=True)
class Step:
    """What a hand is to do now: site pose, finger closure (0 open, 1 closed), why, and how fast at most."""

    position: Vector
    rotation: Vector
    closure: float
    phase: str
    speed_m_s: float = _SPEED_M_S


class HandExpert(ABC):
    """One expert per simulator; call ``restart`` when the robot's pose was set from outside, then ``act`` at 20 Hz.

    waist_cost: see ``InverseKinematics``; experts that have to reach far let the waist help. shape: of both hands from a
    restart on, until the expert gives a hand another one in ``shapes``.
    """

    waist_cost: ClassVar[float] = WAIST_POSTURE_COST
    shape: ClassVar[HandShape] = TOP_GRASP

    def __init__(self, sim: TabletopSim, period_s: float = 0.05) -> None:
        self._sim = sim
        self._period_s = period_s
        self._ik = InverseKinematics(sim.embodiment, self.waist_cost)
        names = list(sim.embodiment.joint_names)
        self._arm_index = np.array([names.index(name) for name in self._ik.names])
        self._hand_index = finger_indices(sim.embodiment)
        self._arms = {
            side: np.array([i for i, j in enumerate(sim.embodiment.joints) if j.group == f"{side}_arm"])
            for side in SIDES
        }
        self._ik.set_positions(sim.home[self._arm_index])
        self._home_pose: dict[str, Pose] = {side: self._ik.pose(side) for side in SIDES}
        self.phase = ""
        self.restart()

    @abstractmethod
    def decide(self) -> dict[str, Step]:
        """What each working hand is to do; the first is the one that disturbances push. A hand left out is idle."""

    def idle(self, side: str) -> Pose | None:
        """Where an idle hand goes; None: its joints drift home."""
        return None

    def restart(self) -> None:
        """Continue from the targets the servos follow now; nothing of what was done before is left."""
        self.shapes = dict.fromkeys(SIDES, self.shape)
        targets = self._sim.joint_targets()
        self._ik.set_positions(targets[self._arm_index])
        self._velocity = {side: np.zeros(3) for side in SIDES}

    def act(self, push_m_s: Vector | None = None) -> Vector:
        """Joint targets (32,) to be reached one period from now. ``push_m_s`` (3,) disturbs the moving hand."""
        steps = self.decide()
        self.phase = ", ".join(step.phase for step in steps.values())
        poses = {side: self._move_towards(side, step) for side, step in steps.items()}
        if push_m_s is not None:
            pushed = next(iter(steps))
            position = poses[pushed][0] + push_m_s * self._period_s
            position[2] = max(position[2], TABLE_TOP_M + _LOWEST_PUSHED_M)
            poses[pushed] = (position, poses[pushed][1])
        for side in set(SIDES) - set(steps):
            goes = self.idle(side)
            if goes is None:
                self._velocity[side][:] = 0
            else:
                poses[side] = self._move_towards(side, Step(*goes, 0.0, ""))
        targets = self._sim.joint_targets()
        targets[self._arm_index] = self._ik.step(poses, self._period_s)
        for side in SIDES:
            closure = steps[side].closure if side in steps else 0.0
            fingers = self._hand_index[side]
            targets[fingers] = self._fingers(side, targets[fingers], closure)
        return targets

    def reach(self, side: str, position: Vector, seconds: float = 3.0) -> Vector:
        """Joint positions (32,) with one hand at ``position`` in the grasp attitude, the rest as targeted now."""
        targets = self._sim.joint_targets()
        self._ik.set_positions(targets[self._arm_index])
        for _ in range(round(seconds / self._period_s)):
            arm = self._ik.step({side: (position, top_grasp_rotation(side, PICK_YAW_RAD))}, self._period_s)
        targets[self._arm_index] = arm
        return targets

    def commanded(self, side: str) -> Vector:
        """Where the grasp site was told to be (3,)."""
        return self._ik.pose(side)[0]

    def turned(self, side: str) -> Vector:
        """How the grasp site was told to be turned (3, 3)."""
        return self._ik.pose(side)[1]

    def site(self, side: str) -> Vector:
        """Where the grasp site is (3,)."""
        return np.array(self._sim.data.site(f"{side}_grasp").xpos)

    def closure(self, side: str) -> float:
        """0 open .. 1 closed, from the commanded fingers."""
        shape = self.shapes[side]
        fingers = self._sim.joint_targets()[self._hand_index[side]]
        span = shape.closed - shape.open
        return float(np.clip(((fingers - shape.open) @ span) / (span @ span), 0, 1))

    def stands(self, side: str) -> bool:
        """Whether the arm does not move."""
        return float(np.abs(self._sim.joint_velocities()[self._arms[side]]).max()) < _STANDING_RAD_S

    def homewards(self, side: str) -> Pose:
        """The next pose on the way home: up first, then back."""
        position, _ = self._ik.pose(side)
        home, rotation = self._home_pose[side]
        risen = float(np.clip((position[2] - TABLE_TOP_M - _CLEAR_M) / 0.05, 0.0, 1.0))
        return np.array([*(position + risen * (home - position))[:2], home[2]]), rotation

    def _move_towards(self, side: str, step: Step) -> Pose:
        position, rotation = self._ik.pose(side)
        wanted = _GAIN_HZ * (step.position - position)
        speed = float(np.linalg.norm(wanted))
        if speed > step.speed_m_s:
            wanted *= step.speed_m_s / speed
        change = wanted - self._velocity[side]
        limit = _ACCELERATION_M_S2 * self._period_s
        size = float(np.linalg.norm(change))
        self._velocity[side] = self._velocity[side] + change * min(1.0, limit / max(size, 1e-9))
        turn = (mink.SO3.from_matrix(rotation).inverse() @ mink.SO3.from_matrix(step.rotation)).log()
        angle = float(np.linalg.norm(turn))
        rate = min(_GAIN_HZ * angle, _TURN_RAD_S) * self._period_s
        turned = (mink.SO3.from_matrix(rotation) @ mink.SO3.exp(turn * (rate / max(angle, 1e-9)))).as_matrix()
        return position + self._velocity[side] * self._period_s, turned

    def _fingers(self, side: str, now: Vector, closure: float) -> Vector:
        shape = self.shapes[side]
        wanted = shape.open + closure * (shape.closed - shape.open)
        limit = (np.abs(shape.closed - shape.open).max() / _CLOSE_S) * self._period_s
        return now + np.clip(wanted - now, -limit, limit)


def blend(a: Vector, b: Vector, part: float) -> Vector:
    """The rotation (3, 3) a ``part`` (0..1) of the way from ``a`` to ``b``."""
    start = mink.SO3.from_matrix(a)
    return (start @ mink.SO3.exp(part * (start.inverse() @ mink.SO3.from_matrix(b)).log())).as_matrix()


def turn_between(a: Vector, b: Vector) -> float:
    """Angle between two rotations (3, 3) [rad]."""
    return float(np.linalg.norm((mink.SO3.from_matrix(a).inverse() @ mink.SO3.from_matrix(b)).log()))


def rotation_between(a: Vector, b: Vector) -> Vector:
    """The smallest rotation (3, 3) that turns the unit vector ``a`` into ``b``; they must not be opposite."""
    cross = np.cross(a, b)
    sine = float(np.linalg.norm(cross))
    angle = float(np.arctan2(sine, a @ b))
    return np.asarray(mink.SO3.exp(cross * (angle / max(sine, 1e-9))).as_matrix())
