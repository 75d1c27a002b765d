# SPDX-License-Identifier: Apache-2.0
"""The expert that lifts a box between both palms: beside it, together, up."""

import numpy as np

from gr00t_sim.experts.grasp import FLAT, hand_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step, Vector
from gr00t_sim.robot import SIDES
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.tasks.lift_box import BOX, LIFTED_M
from gr00t_sim.tasks.task import object_position

_PITCH_RAD = 0.6
_BESIDE_M, _SQUEEZE_M = 0.07, -0.05  # grasp site from the box's side: before, and aimed at while pressing
_PRESSED_M = -0.035
_ABOVE_CENTRE_M, _TRAVEL_M = 0.01, 0.22
_RISE_M = LIFTED_M + 0.04
_PRESS_M_S, _LIFT_M_S = 0.15, 0.12


class LiftBoxExpert(HandExpert):
    """Both hands do the same, mirrored; neither goes on before the other is there."""

    shape = FLAT

    def decide(self) -> dict[str, Step]:
        centre = object_position(self._sim.data, BOX.name)
        gaps = {side: self._gap(side, centre) for side in SIDES}
        offsets = {side: self.commanded(side) - centre for side in SIDES}
        low = all(abs(o[2] - _ABOVE_CENTRE_M) < 0.03 and abs(o[0]) < 0.03 for o in offsets.values())
        if all(gap < _PRESSED_M for gap in gaps.values()):
            height = min(self.commanded(side)[2] for side in SIDES) + 0.10
            top = TABLE_TOP_M + BOX.height_m + _ABOVE_CENTRE_M + _RISE_M
            between = np.mean([self.commanded(side) for side in SIDES], axis=0)  # straight up, wherever the box hangs
            return self._both(between, _SQUEEZE_M, min(height, top), "lift", _LIFT_M_S)
        if low and all(gap < _BESIDE_M + 0.03 for gap in gaps.values()):
            return self._both(centre, _SQUEEZE_M, centre[2] + _ABOVE_CENTRE_M, "press", _PRESS_M_S)
        beside = all(abs(gap - _BESIDE_M) < 0.03 and abs(offsets[s][0]) < 0.03 for s, gap in gaps.items())
        height = centre[2] + _ABOVE_CENTRE_M if beside else TABLE_TOP_M + _TRAVEL_M
        return self._both(centre, _BESIDE_M, height, "lower" if beside else "approach", 0.45)

    def _gap(self, side: str, centre: Vector) -> float:
        out = -1.0 if side == "right" else 1.0
        return float(out * (self.commanded(side)[1] - centre[1]) - BOX.size[1])

    def _both(self, centre: Vector, gap: float, height: float, phase: str, speed_m_s: float) -> dict[str, Step]:
        steps = {}
        for side, out in (("right", -1.0), ("left", 1.0)):
            place = np.array([centre[0], centre[1] + out * (BOX.size[1] + gap), height])
            steps[side] = Step(place, hand_rotation(side, 0.1, _PITCH_RAD, 0), 0.5, phase, speed_m_s)
        return steps
