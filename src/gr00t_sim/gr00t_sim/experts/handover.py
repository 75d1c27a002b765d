# SPDX-License-Identifier: Apache-2.0
"""The expert that hands a bottle over: low grip with one hand, up to the middle, high grip with the other, onto the plate."""

import numpy as np

from gr00t_sim.experts.grasp import hand_rotation
from gr00t_sim.experts.hand_expert import Step, Vector
from gr00t_sim.experts.side_grasp import SideGraspExpert, beside
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.handover import BOTTLE, Handover
from gr00t_sim.tasks.task import TaskError, object_position

_LOW_M, _HIGH_M = -0.045, 0.052  # the two grips, from the bottle's centre along its axis
_MEET_M = np.array([0.36, -0.02, TABLE_TOP_M + 0.20])  # the bottle's centre when a right hand gives
_YAW_RAD = 0.15
_LOW_PITCH_RAD = 0.30  # finger tips down: a level hand does not come low enough
_MET_M = 0.02
_WAIT_M = 1.4  # of the way out to where a grasp begins
_CLEAR_M = 0.09
_OFFER_M_S = 0.35
_FALLEN_COS = 0.8


class HandoverExpert(SideGraspExpert):
    """Who holds the bottle, and where it is, says what both hands do."""

    def __init__(self, sim: TabletopSim, period_s: float = 0.05) -> None:
        if not isinstance(sim.task, Handover):
            raise TaskError(f"task '{sim.task.name}' hands nothing over; it has an expert of its own")
        super().__init__(sim, period_s)
        self.task = sim.task

    def decide(self) -> dict[str, Step]:
        giving, receiving = self.task.goal.side, self.task.receiving_side
        centre = object_position(self._sim.data, BOTTLE.name)
        axis = self.axis(BOTTLE.name)
        low, high = centre + _LOW_M * axis, centre + _HIGH_M * axis
        given, received = self.grips(giving, low), self.grips(receiving, high)
        if self.task.delivered(self._sim.model, self._sim.data, self.task.goal) and not given:
            return {
                receiving: self.set_down(receiving, BOTTLE.name, high, self._rest, _YAW_RAD),
                giving: self.home(giving),
            }
        if received and (not given or self.closure(receiving) > 0.99):
            gone = self.let_go(giving, low, _low(giving))
            if self.closure(giving) > 0.1 or self.out(giving, low, _low(giving)) < _CLEAR_M:
                return {receiving: self._hold(receiving), giving: gone}
            return {receiving: self.bring(receiving, BOTTLE.name, self._rest, _YAW_RAD), giving: self.home(giving)}
        if given and self.closure(giving) > 0.93:
            return self._meet(giving, receiving, high)
        if axis[2] < _FALLEN_COS:  # no hand gets around a bottle that lies
            return {giving: self.home(giving), receiving: self.home(receiving)}
        return {giving: self.grasp(giving, low, _low(giving)), receiving: self.home(receiving)}

    def _meet(self, giving: str, receiving: str, high: Vector) -> dict[str, Step]:
        """Up and to the middle; the other hand waits beside, and grasps once the bottle is there."""
        mirrored = np.array([1.0, 1.0 if giving == "right" else -1.0, 1.0])
        meet = _MEET_M * mirrored + np.array([0.0, 0.0, _LOW_M])
        commanded = self.commanded(giving)
        free = float(np.clip((commanded[2] - TABLE_TOP_M - BOTTLE.height_m - _LOW_M - 0.03) / 0.06, 0.0, 1.0))
        xy = commanded[:2] + free * (meet[:2] - commanded[:2])
        give = Step(np.array([*xy, meet[2]]), self.righting(giving, BOTTLE.name, _YAW_RAD), 1.0, "offer", _OFFER_M_S)
        if float(np.linalg.norm(commanded - meet)) < _MET_M:
            return {giving: give, receiving: self.grasp(receiving, high, _high(receiving))}
        turned = _high(receiving)
        there = _MEET_M * mirrored + np.array([0.0, 0.0, _HIGH_M]) + _WAIT_M * beside(receiving, turned)
        return {giving: give, receiving: Step(there, turned, 0.0, "wait")}

    def _hold(self, side: str) -> Step:
        return Step(self.commanded(side), self.righting(side, BOTTLE.name, _YAW_RAD), 1.0, "hold")

    @property
    def _rest(self) -> Vector:
        """Where the bottle's centre is when it stands on its plate (3,)."""
        plate = next(kind for kind in self.task.bins if kind.name == self.task.goal.target)
        return self._sim.place_of(plate.name) + np.array([0.0, 0.0, plate.thickness_m + BOTTLE.height_m])


def _low(side: str) -> Vector:
    return hand_rotation(side, _YAW_RAD, _LOW_PITCH_RAD, 0)


def _high(side: str) -> Vector:
    return hand_rotation(side, _YAW_RAD, 0, 0)
