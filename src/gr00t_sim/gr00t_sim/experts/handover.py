# SPDX-License-Identifier: Apache-2.0
"""The expert that hands a bottle over: low grip with one hand, up to the middle, high grip with the other, onto the plate."""

import numpy as np

from gr00t_sim.experts.grasp import hand_rotation
from gr00t_sim.experts.hand_expert import Step, Vector, rotation_between
from gr00t_sim.experts.side_grasp import SideGraspExpert, beside
from gr00t_sim.scene import TABLE_TOP_M, PlateKind
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
_CARRY_M_S = 0.35
_CARRIED_M = 0.05  # the bottle's foot above the table while carried to its plate
_OVER_M, _SET_DOWN_M = 0.015, 0.005
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
        axis = self._axis()
        low, high = centre + _LOW_M * axis, centre + _HIGH_M * axis
        given, received = self.grips(giving, low), self.grips(receiving, high)
        if self.task.delivered(self._sim.model, self._sim.data, self.task.goal) and not given:
            return {receiving: self._set_down(receiving, centre), giving: self._home(giving)}
        if received and (not given or self.closure(receiving) > 0.99):
            gone = self.let_go(giving, low, _low(giving))
            if self.closure(giving) > 0.1 or self.out(giving, low, _low(giving)) < _CLEAR_M:
                return {receiving: self._hold(receiving), giving: gone}
            return {receiving: self._bring(receiving, centre), giving: self._home(giving)}
        if given and self.closure(giving) > 0.93:
            return self._meet(giving, receiving, high)
        if axis[2] < _FALLEN_COS:  # no hand gets around a bottle that lies
            return {giving: self._home(giving), receiving: self._home(receiving)}
        return {giving: self.grasp(giving, low, _low(giving)), receiving: self._home(receiving)}

    def _meet(self, giving: str, receiving: str, high: Vector) -> dict[str, Step]:
        """Up and to the middle; the other hand waits beside, and grasps once the bottle is there."""
        mirrored = np.array([1.0, 1.0 if giving == "right" else -1.0, 1.0])
        meet = _MEET_M * mirrored + np.array([0.0, 0.0, _LOW_M])
        commanded = self.commanded(giving)
        free = float(np.clip((commanded[2] - TABLE_TOP_M - BOTTLE.height_m - _LOW_M - 0.03) / 0.06, 0.0, 1.0))
        xy = commanded[:2] + free * (meet[:2] - commanded[:2])
        give = Step(np.array([*xy, meet[2]]), self._righting(giving), 1.0, "offer", _CARRY_M_S)
        if float(np.linalg.norm(commanded - meet)) < _MET_M:
            return {giving: give, receiving: self.grasp(receiving, high, _high(receiving))}
        turned = _high(receiving)
        there = _MEET_M * mirrored + np.array([0.0, 0.0, _HIGH_M]) + _WAIT_M * beside(receiving, turned)
        return {giving: give, receiving: Step(there, turned, 0.0, "wait")}

    def _bring(self, side: str, centre: Vector) -> Step:
        """Over the plate, and down until the bottle all but stands on it."""
        commanded, place = self.commanded(side), self._sim.place_of(self.task.goal.target)
        rest = TABLE_TOP_M + self._plate.thickness_m + BOTTLE.height_m
        aside = place[:2] - centre[:2]
        distance = float(np.linalg.norm(aside))
        lower = distance < _OVER_M or (distance < 2 * _OVER_M and centre[2] - rest < 0.9 * _CARRIED_M)
        height = commanded[2] + (rest - centre[2]) + (0.0 if lower else _CARRIED_M)
        position = np.array([*(commanded[:2] + aside), height])
        return Step(position, self._righting(side), 1.0, "lower" if lower else "carry", _CARRY_M_S)

    def _set_down(self, side: str, centre: Vector) -> Step:
        """All the way down before the fingers open."""
        gap = centre[2] - TABLE_TOP_M - self._plate.thickness_m - BOTTLE.height_m
        if self.closure(side) > 0.93 and gap > _SET_DOWN_M and self.grips(side, centre + np.array([0.0, 0.0, _HIGH_M])):
            return self._bring(side, centre)
        return self.let_go(side, centre, self.turned(side))

    def _hold(self, side: str) -> Step:
        return Step(self.commanded(side), self._righting(side), 1.0, "hold")

    @property
    def _plate(self) -> PlateKind:
        return next(kind for kind in self.task.bins if kind.name == self.task.goal.target)

    def _righting(self, side: str) -> Vector:
        """The hand's attitude that brings the bottle it holds upright."""
        return np.asarray(rotation_between(self._axis(), np.array([0.0, 0.0, 1.0])) @ self.turned(side))

    def _axis(self) -> Vector:
        return np.array(self._sim.data.body(BOTTLE.name).xmat.reshape(3, 3)[:, 2])

    def _home(self, side: str) -> Step:
        position, rotation = self.homewards(side)
        return Step(position, rotation, 0.0, "home")


def _low(side: str) -> Vector:
    return hand_rotation(side, _YAW_RAD, _LOW_PITCH_RAD, 0)


def _high(side: str) -> Vector:
    return hand_rotation(side, _YAW_RAD, 0, 0)
