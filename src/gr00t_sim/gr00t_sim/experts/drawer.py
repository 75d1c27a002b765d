# SPDX-License-Identifier: Apache-2.0
"""Experts for a drawer: pulled open by its bar handle with a pinch from above, pushed shut with a fist."""

import numpy as np

from gr00t_sim.experts.grasp import FIST, MIRROR, PINCH, hand_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step
from gr00t_sim.furniture import DRAWER_HANDLE, DRAWER_JOINT
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.furniture_task import CLOSED_M, OPEN_M

_PINCH_YAW_PITCH_ROLL = (0.20, 0.68, -1.43)
_PINCH_OFFSET_M = np.array([-0.030, -0.013, 0.008])  # grasp site relative to the bar, right hand
_PULLED_M = OPEN_M + 0.015
_PULL_M_S, _PUSH_M_S = 0.12, 0.15
_FIST_YAW_PITCH_ROLL = (0.0, 0.0, -1.4)  # palm down
_FIST_HEIGHT_M, _FIST_TRAVEL_M = 0.075, 0.17
_BEHIND_M = 0.10


class OpenDrawerExpert(HandExpert):
    """Over the bar, down, pinch, pull, let go, up."""

    shape = PINCH

    def decide(self) -> dict[str, Step]:
        side = self._sim.task.goal.side
        rotation = hand_rotation(side, *_PINCH_YAW_PITCH_ROLL)
        offset = _PINCH_OFFSET_M if side == "right" else MIRROR @ _PINCH_OFFSET_M
        grip = self._sim.place_of(DRAWER_HANDLE) + offset
        commanded, closure = self.commanded(side), self.closure(side)
        error = commanded - grip
        aside = float(np.linalg.norm(error[:2]))
        if opening(self._sim) > _PULLED_M or (opening(self._sim) > OPEN_M and closure < 0.9):
            if closure > 0.1:
                return {side: Step(commanded, rotation, 0.0, "open")}
            if aside < 0.05 and error[2] < 0.10:
                return {side: Step(commanded + np.array([0, 0, 0.15]), rotation, 0.0, "rise")}
            position, home = self.homewards(side)
            return {side: Step(position, home, 0.0, "leave")}
        holding = closure > 0.93 and float(np.linalg.norm(self.site(side) - grip)) < 0.04
        if holding:
            return {side: Step(commanded + np.array([-0.10, 0, 0]), rotation, 1.0, "pull", _PULL_M_S)}
        arrived = aside < 0.012 and abs(error[2]) < 0.012
        if arrived or (closure > 0.05 and aside < 0.04 and abs(error[2]) < 0.03):
            return {side: Step(grip, rotation, 1.0, "close")}
        if closure > 0.05:
            return {side: Step(commanded + np.array([0, 0, 0.15]), rotation, 0.0, "reopen")}
        funnel = 0.10 * float(np.clip((aside - 0.008) / 0.05, 0.0, 1.0))
        return {side: Step(grip + np.array([0, 0, funnel]), rotation, 0.0, "approach")}


class CloseDrawerExpert(HandExpert):
    """Behind the handle, down, forward."""

    def decide(self) -> dict[str, Step]:
        side = self._sim.task.goal.side
        return {side: self.close_drawer(side)}

    def close_drawer(self, side: str) -> Step:
        """The next step of the hand of the cabinet's side."""
        self.shapes[side] = FIST
        rotation = hand_rotation(side, *_FIST_YAW_PITCH_ROLL)
        handle, commanded = self._sim.place_of(DRAWER_HANDLE), self.commanded(side)
        low = TABLE_TOP_M + _FIST_HEIGHT_M
        behind = np.array([handle[0] - _BEHIND_M, handle[1], low])
        if opening(self._sim) < CLOSED_M - 0.001:
            if commanded[0] > behind[0] + 0.02 and commanded[2] < low + 0.05:
                return Step(commanded + np.array([-0.12, 0, 0]), rotation, 1.0, "back off")
            position, home = self.homewards(side)
            return Step(position, home, 0.0, "leave")
        level = abs(commanded[1] - behind[1]) < 0.02 and abs(commanded[2] - low) < 0.02
        if level and commanded[0] < handle[0] + 0.07:
            return Step(commanded + np.array([0.10, 0, 0]), rotation, 1.0, "push", _PUSH_M_S)
        if float(np.linalg.norm(commanded[:2] - behind[:2])) < 0.03:
            return Step(behind, rotation, 1.0, "lower")
        high = TABLE_TOP_M + _FIST_TRAVEL_M
        return Step(np.array([*behind[:2], high]), rotation, 1.0, "approach")


def opening(sim: TabletopSim) -> float:
    """How far the drawer is open [m]."""
    return float(sim.data.joint(DRAWER_JOINT).qpos[0])
