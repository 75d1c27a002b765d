# SPDX-License-Identifier: Apache-2.0
"""A scripted expert for pick-and-place that decides from the present state alone.

It has no phase counter: where the hand, the fingers and the object are says what to do next. So it can take over from
any state, recover from its own and others' mistakes, and its demonstrations hold no hidden variable that a policy which
sees one image and one joint state could not know. It never stands still on the way, for the same reason.
It reads the true object pose; it commands only what a policy may command: joint position targets at 20 Hz.
"""

from dataclasses import dataclass

import mink
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.experts.grasp import (
    HAND_CLOSED,
    HAND_OPEN,
    PICK_YAW_RAD,
    PLACE_YAW_RAD,
    top_grasp_position,
    top_grasp_rotation,
)
from gr00t_sim.kinematics import InverseKinematics, Pose
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.task import object_position

_CARRY_HEIGHT_M = 0.20  # grasp site above the object's resting grasp height while carrying
_APPROACH_HEIGHT_M = 0.13
_DROP_HEIGHT_M = 0.085
_GAIN_HZ = 5.0
_SPEED_M_S = 0.45
_ACCELERATION_M_S2 = 3.0
_TURN_RAD_S = 2.0
_CLOSE_S = 0.6
_GRASP_TOLERANCE_M = 0.012
_HELD_WITHIN_M = 0.045
_LOWEST_PUSHED_M = 0.06


@dataclass
class Step:
    """What the expert wants now: site pose, finger closure (0 open, 1 closed), and why."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    closure: float
    phase: str


class PickPlaceExpert:
    """One expert per simulator; call ``restart`` when the robot's pose was set from outside, then ``act`` at 20 Hz."""

    def __init__(self, sim: TabletopSim, period_s: float = 0.05) -> None:
        self._sim = sim
        self._period_s = period_s
        self._ik = InverseKinematics(sim.embodiment)
        names = list(sim.embodiment.joint_names)
        self._arm_index = np.array([names.index(name) for name in self._ik.names])
        self._hand_index = {
            side: np.array([i for i, j in enumerate(sim.embodiment.joints) if j.group == f"{side}_hand"])
            for side in ("left", "right")
        }
        self._home_pose: dict[str, Pose] = {}
        self._ik.set_positions(sim.home[self._arm_index])
        for side in ("left", "right"):
            self._home_pose[side] = self._ik.pose(side)
        self.phase = ""
        self.restart()

    def restart(self) -> None:
        """Continue from the targets the servos follow now."""
        targets = self._sim.joint_targets()
        self._ik.set_positions(targets[self._arm_index])
        self._velocity = {side: np.zeros(3) for side in ("left", "right")}

    def act(self, push_m_s: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Joint targets (32,) to be reached one period from now. ``push_m_s`` (3,) disturbs the moving hand."""
        side = self._sim.task.goal.side
        step = self._decide(side)
        self.phase = step.phase
        pose = self._move_towards(side, step)
        if push_m_s is not None:
            position = pose[0] + push_m_s * self._period_s
            position[2] = max(position[2], TABLE_TOP_M + _LOWEST_PUSHED_M)
            pose = (position, pose[1])
        self._velocity[_other(side)][:] = 0
        targets = self._sim.joint_targets()
        arm = self._ik.step({side: pose}, self._period_s)
        targets[self._arm_index] = arm
        targets[self._hand_index[side]] = self._fingers(targets[self._hand_index[side]], step.closure)
        idle = self._hand_index[_other(side)]
        targets[idle] = self._fingers(targets[idle], 0.0)
        return targets

    def reach(self, side: str, position: NDArray[np.float64], seconds: float = 3.0) -> NDArray[np.float64]:
        """Joint positions (32,) with one hand at ``position`` in the grasp attitude, the rest as targeted now."""
        targets = self._sim.joint_targets()
        self._ik.set_positions(targets[self._arm_index])
        for _ in range(round(seconds / self._period_s)):
            arm = self._ik.step({side: (position, top_grasp_rotation(side, PICK_YAW_RAD))}, self._period_s)
        targets[self._arm_index] = arm
        return targets

    def _decide(self, side: str) -> Step:
        sim, goal = self._sim, self._sim.task.goal
        centre = object_position(sim.data, goal.object)
        closure = self._closure(side)
        site = sim.data.site(f"{side}_grasp").xpos.copy()
        commanded, _ = self._ik.pose(side)
        resting = next(kind.height_m for kind in sim.task.objects if kind.name == goal.object) + TABLE_TOP_M
        bin_xy = np.array(sim.model.body(goal.bin).pos[:2])
        pick_rotation = top_grasp_rotation(side, PICK_YAW_RAD)
        place_rotation = top_grasp_rotation(side, PLACE_YAW_RAD)
        in_hand = top_grasp_position(side, centre)
        held = float(np.linalg.norm(site - in_hand)) < _HELD_WITHIN_M and closure > 0.75
        over_bin = top_grasp_position(side, np.array([*bin_xy, resting]))
        carry_z = over_bin[2] + _CARRY_HEIGHT_M
        to_bin = float(np.linalg.norm(commanded[:2] - over_bin[:2]))
        in_bin = bool(np.all(np.abs(centre[:2] - bin_xy) < [0.10, 0.09])) and centre[2] < TABLE_TOP_M + 0.10

        if in_bin and not held:
            if closure > 0.35:
                return Step(commanded, place_rotation, 0.0, "open")
            return self._leave(side, commanded, over_bin, place_rotation)
        if to_bin < 0.05 and closure > 0.05 and commanded[2] < over_bin[2] + _DROP_HEIGHT_M + 0.03:
            ready = commanded[2] < over_bin[2] + _DROP_HEIGHT_M + 0.015 and to_bin < 0.03
            if closure < 0.75 or ready:  # letting go: hold still until the fingers are open
                return Step(np.array([*over_bin[:2], commanded[2]]), place_rotation, 0.0, "open")
        if held and closure > 0.93:
            height = commanded[2] - over_bin[2]
            if to_bin > 0.04:
                free = float(np.clip((height - 0.06) / 0.08, 0.0, 1.0))  # travel only as far as the lift allows
                xy = commanded[:2] + free * (over_bin[:2] - commanded[:2])
                return Step(np.array([*xy, carry_z]), _blend(pick_rotation, place_rotation, free), 1.0, "carry")
            return Step(np.array([*over_bin[:2], over_bin[2] + _DROP_HEIGHT_M]), place_rotation, 1.0, "lower")
        error = commanded - in_hand
        near = float(np.linalg.norm(error[:2])) < 0.03 and abs(error[2]) < 0.03
        arrived = float(np.linalg.norm(error)) < _GRASP_TOLERANCE_M and float(np.linalg.norm(site - in_hand)) < 0.02
        if near and (arrived or closure > 0.05):
            return Step(in_hand, pick_rotation, 1.0, "close")
        if closure > 0.05 and not near:  # missed or lost: open before coming back
            up = max(commanded[2], in_hand[2] + _APPROACH_HEIGHT_M)
            return Step(np.array([*commanded[:2], up]), pick_rotation, 0.0, "reopen")
        aside = float(np.linalg.norm(error[:2]))
        funnel = _APPROACH_HEIGHT_M * float(np.clip((aside - 0.012) / 0.05, 0.0, 1.0))
        clear = in_hand[2] + _APPROACH_HEIGHT_M - 0.05
        free = 1.0 if aside < 0.06 else float(np.clip((commanded[2] - clear) / 0.04, 0.1, 1.0))
        xy = commanded[:2] + free * (in_hand[:2] - commanded[:2])
        return Step(np.array([*xy, in_hand[2] + funnel]), pick_rotation, 0.0, "approach")

    def _leave(self, side: str, commanded: NDArray, over_bin: NDArray, rotation: NDArray) -> Step:
        home_position, home_rotation = self._home_pose[side]
        risen = float(np.clip((commanded[2] - over_bin[2] - 0.08) / 0.08, 0.0, 1.0))
        if float(np.linalg.norm(commanded[:2] - over_bin[:2])) > 0.16:
            risen = 1.0
        target = commanded + risen * (home_position - commanded)
        target[2] = home_position[2] if risen == 1.0 else max(target[2], over_bin[2] + 0.20)
        return Step(target, _blend(rotation, home_rotation, risen), 0.0, "leave")

    def _move_towards(self, side: str, step: Step) -> Pose:
        position, rotation = self._ik.pose(side)
        wanted = _GAIN_HZ * (step.position - position)
        speed = float(np.linalg.norm(wanted))
        if speed > _SPEED_M_S:
            wanted *= _SPEED_M_S / speed
        change = wanted - self._velocity[side]
        limit = _ACCELERATION_M_S2 * self._period_s
        size = float(np.linalg.norm(change))
        self._velocity[side] = self._velocity[side] + change * min(1.0, limit / max(size, 1e-9))
        turn = (mink.SO3.from_matrix(rotation).inverse() @ mink.SO3.from_matrix(step.rotation)).log()
        angle = float(np.linalg.norm(turn))
        rate = min(_GAIN_HZ * angle, _TURN_RAD_S) * self._period_s
        turned = (mink.SO3.from_matrix(rotation) @ mink.SO3.exp(turn * (rate / max(angle, 1e-9)))).as_matrix()
        return position + self._velocity[side] * self._period_s, turned

    def _closure(self, side: str) -> float:
        """0 open .. 1 closed, from the commanded fingers."""
        fingers = self._sim.joint_targets()[self._hand_index[side]]
        span = HAND_CLOSED - HAND_OPEN
        return float(np.clip(((fingers - HAND_OPEN) @ span) / (span @ span), 0, 1))

    def _fingers(self, now: NDArray[np.float64], closure: float) -> NDArray[np.float64]:
        wanted = HAND_OPEN + closure * (HAND_CLOSED - HAND_OPEN)
        limit = (np.abs(HAND_CLOSED - HAND_OPEN).max() / _CLOSE_S) * self._period_s
        return now + np.clip(wanted - now, -limit, limit)


def _other(side: str) -> str:
    return "left" if side == "right" else "right"


def _blend(a: NDArray[np.float64], b: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    start = mink.SO3.from_matrix(a)
    return (start @ mink.SO3.exp(part * (start.inverse() @ mink.SO3.from_matrix(b)).log())).as_matrix()
