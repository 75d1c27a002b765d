# SPDX-License-Identifier: Apache-2.0
"""The expert that pours: the cup beside the bowl, tipped slowly about the fingers, righted, and back onto its mat."""

import numpy as np

from gr00t_sim.experts.grasp import hand_rotation
from gr00t_sim.experts.hand_expert import Step, Vector
from gr00t_sim.experts.side_grasp import SideGraspExpert
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.pour import CUP, MAT, Pour
from gr00t_sim.tasks.task import TaskError, object_position

_AHEAD_M = 0.02  # along the fingers: they draw the cup towards the palm's root
_GRIP_M = 0.035  # above the cup's centre: lower, the wrist would not come
_PICK_YAW_RAD, _PICK_PITCH_RAD = 0.15, 0.10
_POUR_YAW_RAD = 0.40  # across the body the wrist turns no further with less
_BESIDE_M, _CLOSER_M = 0.085, 0.020  # cup's centre from the bowl's before it is tipped; so much nearer when it is
_POUR_HEIGHT_M = 0.16
_POUR_RAD = float(np.deg2rad(137))  # 112 degrees leave half of the beads in the cup
_LEAD_RAD = 0.24  # of the tilt asked for before the one there is: 0.8 rad/s
_RIGHTING_LEAD_RAD = 0.36  # 1.2 rad/s; faster, the cup slips
_TIPPED_RAD = 0.30
_OVER_M, _STILL_OVER_M = 0.02, 0.08
_CARRY_M_S, _TIP_M_S = 0.35, 0.10
_FALLEN_COS = 0.8


class PourExpert(SideGraspExpert):
    """What is in the cup, how it stands and who holds it says what the hand does."""

    waist_cost = 0.03  # a level hand comes low enough, and across the body, only when the robot leans

    def __init__(self, sim: TabletopSim, period_s: float = 0.05) -> None:
        if not isinstance(sim.task, Pour):
            raise TaskError(f"task '{sim.task.name}' pours nothing; it has an expert of its own")
        super().__init__(sim, period_s)
        self.task = sim.task

    def decide(self) -> dict[str, Step]:
        side = self.task.goal.side
        return {side: self._decide(side)}

    def _decide(self, side: str) -> Step:
        sim, axis = self._sim, self.axis(CUP.name)
        grip = object_position(sim.data, CUP.name) + _GRIP_M * axis
        held = self.grips(side, grip)
        if self.task.to_pour(sim.model, sim.data):
            if held and self.closure(side) > 0.93:
                return self._pour(side)
        elif self.task.put_back(sim.model, sim.data):
            return self.set_down(side, CUP.name, grip, self._rest, _PICK_YAW_RAD)
        elif held and self.closure(side) > 0.93:
            return self._return(side)
        if axis[2] < _FALLEN_COS and not held:  # no hand gets around a cup that lies
            return self.home(side)
        rotation = hand_rotation(side, _PICK_YAW_RAD, _PICK_PITCH_RAD, 0)
        return self.grasp(side, grip + _AHEAD_M * rotation[:, 0], rotation)

    def _pour(self, side: str) -> Step:
        """Beside the bowl, then tip; a cup that is tipped elsewhere is righted first."""
        centre, commanded, tilt = object_position(self._sim.data, CUP.name), self.commanded(side), self._tilt(side)
        across = 1.0 if side == "right" else -1.0
        bowl = self._sim.place_of(self.task.goal.target)
        nearer = _CLOSER_M * float(np.clip(tilt / _POUR_RAD, 0.0, 1.0))
        beside = np.array([bowl[0], bowl[1] - across * (_BESIDE_M - nearer), TABLE_TOP_M + _POUR_HEIGHT_M])
        away = beside - centre
        if float(np.linalg.norm(away)) < (_STILL_OVER_M if tilt > _TIPPED_RAD else _OVER_M):
            tipped = self._tipped(side, min(tilt + _LEAD_RAD, _POUR_RAD))
            return Step(commanded + away, tipped, 1.0, "pour", _TIP_M_S)
        risen = float(np.clip((centre[2] - TABLE_TOP_M - CUP.height_m - 0.03) / 0.06, 0.0, 1.0))
        yaw = _PICK_YAW_RAD + risen * (_POUR_YAW_RAD - _PICK_YAW_RAD)
        position = commanded + away * [risen, risen, 1.0]
        return Step(position, self.righting(side, CUP.name, yaw), 1.0, "carry", _CARRY_M_S)

    def _return(self, side: str) -> Step:
        """Upright first, then back."""
        tilt = self._tilt(side)
        if tilt > _TIPPED_RAD:
            return Step(self.commanded(side), self._tipped(side, tilt - _RIGHTING_LEAD_RAD), 1.0, "right")
        return self.bring(side, CUP.name, self._rest, _PICK_YAW_RAD)

    def _tilt(self, side: str) -> float:
        """How far the cup is tipped the way that the palm looks [rad]."""
        axis = self.axis(CUP.name)
        return float(np.arctan2(axis @ _palm(side), axis[2]))

    def _tipped(self, side: str, tilt_rad: float) -> Vector:
        """The hand's attitude (3, 3) with the cup tipped so far about the level fingers."""
        level = hand_rotation(side, _POUR_YAW_RAD, 0, -tilt_rad)
        upwards = np.sin(tilt_rad) * _palm(side) + np.cos(tilt_rad) * np.array([0.0, 0.0, 1.0])
        return self.tilting(side, CUP.name, level, upwards)

    @property
    def _rest(self) -> Vector:
        """Where the cup's centre is when it stands on its mat (3,)."""
        return self._sim.place_of(MAT.name) + np.array([0.0, 0.0, CUP.height_m])


def _palm(side: str) -> Vector:
    """Where the palm of a hand that holds the cup to pour looks (3,)."""
    return hand_rotation(side, _POUR_YAW_RAD, 0, 0)[:, 1] * (1.0 if side == "right" else -1.0)
