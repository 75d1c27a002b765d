# SPDX-License-Identifier: Apache-2.0
"""The expert that pushes an object along the table with the flat of the hand: behind it, down, forward, back off."""

import numpy as np

from gr00t_sim.experts.grasp import FLAT, hand_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.tasks.task import object_position

_HEIGHT_M, _TRAVEL_M = 0.070, 0.16  # grasp site above the table while pushing, and on the way
_BEHIND_M = 0.09  # grasp site from the object's centre before the push; in contact it is about at the centre
_PITCH_RAD = 0.6  # finger tips down: a level hand does not come low enough
_THERE_M = 0.015
_MOST_YAW_RAD = 0.5  # what the wrist can give
_PUSH_M_S = 0.12


class PushExpert(HandExpert):
    """The palm faces the way the object is to go."""

    def decide(self) -> dict[str, Step]:
        goal = self._sim.task.goal
        return {goal.side: self._decide(goal.side, goal.object, goal.target)}

    def _decide(self, side: str, name: str, target: str) -> Step:
        self.shapes[side] = FLAT
        across = 1.0 if side == "right" else -1.0  # the way the palm looks
        commanded, centre = self.commanded(side), object_position(self._sim.data, name)[:2]
        way = self._sim.place_of(target)[:2] - centre
        left = float(np.linalg.norm(way))
        yaw = float(np.clip(np.arctan2(-way[0], across * way[1]), -_MOST_YAW_RAD, _MOST_YAW_RAD))
        low, high = TABLE_TOP_M + _HEIGHT_M, TABLE_TOP_M + _TRAVEL_M
        if left < _THERE_M or across * way[1] < 0:  # there, or past it
            if across * (centre[1] - commanded[1]) < _BEHIND_M and commanded[2] < high - 0.03:
                back = commanded + np.array([0, -0.12 * across, 0])
                return Step(back, hand_rotation(side, 0, _PITCH_RAD, 0), 1.0, "back off")
            position, home = self.homewards(side)
            return Step(position, home, 0.0, "leave")
        rotation = hand_rotation(side, yaw, _PITCH_RAD, 0)
        ahead = np.array([-np.sin(yaw), across * np.cos(yaw)])
        offset = commanded[:2] - centre
        along = float(offset @ ahead)
        aside = float(np.linalg.norm(offset - along * ahead))
        if commanded[2] < low + 0.015 and aside < 0.04 and along < 0.05:
            forward = commanded[:2] + 0.10 * ahead - (offset - along * ahead)
            return Step(np.array([*forward, low]), rotation, 1.0, "push", min(_PUSH_M_S, 0.03 + 2 * left))
        behind = centre - _BEHIND_M * ahead
        over = float(np.linalg.norm(commanded[:2] - behind)) < 0.035
        return Step(np.array([*behind, low if over else high]), rotation, 1.0, "lower" if over else "approach")
