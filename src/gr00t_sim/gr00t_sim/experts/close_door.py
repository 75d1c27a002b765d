# SPDX-License-Identifier: Apache-2.0
"""The expert that pushes a hinged door shut: the hand stays outside the door and leads its angle a little."""

import numpy as np

from gr00t_sim.experts.grasp import FLAT, hand_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step, Vector
from gr00t_sim.furniture import DOOR, DOOR_JOINT
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.tasks.furniture_task import CLOSED_RAD

_ALONG_M, _OUTSIDE_M, _HEIGHT_M = 0.21, 0.055, 0.13  # where the hand is against the door
_LEAD_RAD = 0.5
_FURTHEST_RAD = -0.08  # aimed at in the end, so that the servo's give does not leave the door ajar
_PUSH_M_S = 0.25


class CloseDoorExpert(HandExpert):
    """Left hand."""

    def decide(self) -> dict[str, Step]:
        side = self._sim.task.goal.side
        self.shapes[side] = FLAT
        angle = float(self._sim.data.joint(DOOR_JOINT).qpos[0])
        commanded = self.commanded(side)
        hinge = self._sim.place_of(DOOR)[:2]
        if angle < CLOSED_RAD - 0.02:
            if commanded[0] > hinge[0] - 0.16:
                back = commanded + np.array([-0.15, 0.05, 0])
                return {side: Step(back, hand_rotation(side, -0.2, 0, 0), 1.0, "back off")}
            position, home = self.homewards(side)
            return {side: Step(position, home, 0.0, "leave")}
        against = self._against(hinge, angle)
        rotation = hand_rotation(side, -0.2 + 0.5 * angle, 0, 0)
        outside = _outwards(angle)
        gap = float((commanded[:2] - against[:2]) @ outside)
        astray = float(np.linalg.norm(commanded[:2] - against[:2] - gap * outside))
        if astray < 0.06 and gap < 0.05 and abs(commanded[2] - against[2]) < 0.03:
            led = max(angle - _LEAD_RAD, _FURTHEST_RAD)
            ahead = self._against(hinge, led)
            return {side: Step(ahead, hand_rotation(side, -0.2 + 0.5 * led, 0, 0), 1.0, "push", _PUSH_M_S)}
        start = against + 0.04 * np.array([*outside, 0])
        return {side: Step(start, rotation, 1.0, "approach")}

    def _against(self, hinge: Vector, angle: float) -> Vector:
        along = np.array([-np.sin(angle), -np.cos(angle)])
        xy = hinge + _ALONG_M * along + _OUTSIDE_M * _outwards(angle) + [-0.02, 0]
        return np.array([*xy, TABLE_TOP_M + _HEIGHT_M])


def _outwards(angle: float) -> Vector:
    return np.array([-np.cos(angle), np.sin(angle)])
