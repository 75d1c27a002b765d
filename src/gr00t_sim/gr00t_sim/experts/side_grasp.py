# SPDX-License-Identifier: Apache-2.0
"""Grasping an upright cylinder from the side: from behind and outside, past it, and in along the palm's normal.

A hand that came straight from above or behind would knock a tall thing over with its fingers.
"""

from abc import ABC

import numpy as np

from gr00t_sim.experts.grasp import SIDE_GRASP, hand_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step, Vector, rotation_between, turn_between
from gr00t_sim.tasks.task import object_position

_BESIDE_M, _SHORT_M = 0.10, 0.02  # before the grasp: so far out along the palm's normal, and back along the fingers
_BEHIND_M, _RAISED_M = 0.16, 0.04
_OUTSIDE_M = 0.07  # from here outwards the hand may move along its fingers without touching the thing
_ON_LINE_M, _FUNNEL_M = 0.010, 0.04
_GRASP_TOLERANCE_M, _NEAR_M = 0.012, 0.03
_HELD_WITHIN_M = 0.07  # fingers that close draw a thing towards the palm
_MOST_TURN_RAD = 0.20
_CARRIED_M = 0.10  # above where it will stand, while carried there: over a bowl
_OVER_M, _SET_DOWN_M = 0.015, 0.005
_CLOSE_IN_M_S, _BACK_OFF_M_S, _CARRY_M_S = 0.20, 0.25, 0.35


class SideGraspExpert(HandExpert, ABC):
    """Building blocks in the present state; ``grip`` is where the grasp site of a hand shall be (3,) [m]."""

    shape = SIDE_GRASP

    def grips(self, side: str, grip: Vector) -> bool:
        """Whether the hand is closed about there."""
        return float(np.linalg.norm(self.site(side) - grip)) < _HELD_WITHIN_M and self.closure(side) > 0.75

    def grasp(self, side: str, grip: Vector, rotation: Vector) -> Step:
        """The next step of an open hand on its way to ``grip``, and of closing it there."""
        along, out, up = self._seen_from(grip, side, rotation)
        commanded, closure = self.commanded(side), self.closure(side)
        distance = float(np.linalg.norm(commanded - grip))
        settled = float(np.linalg.norm(self.site(side) - grip)) < 0.02 or self.stands(side)
        if distance < _NEAR_M and (closure > 0.05 or (distance < _GRASP_TOLERANCE_M and settled)):
            return Step(grip, rotation, 1.0, "close")
        if closure > 0.05:  # missed or lost: open before coming back
            return Step(commanded, rotation, 0.0, "reopen")
        turned = turn_between(self.turned(side), rotation) < _MOST_TURN_RAD
        off_line = float(np.hypot(along + out * _SHORT_M / _BESIDE_M, up))
        if turned and off_line < _ON_LINE_M + _FUNNEL_M:
            far = float(np.clip((off_line - _ON_LINE_M) / _FUNNEL_M, 0.0, 1.0))
            return Step(grip + far * beside(side, rotation), rotation, 0.0, "close in", _CLOSE_IN_M_S)
        if out > _OUTSIDE_M and turned:
            return Step(grip + beside(side, rotation), rotation, 0.0, "beside")
        back = np.array(
            [min(along, -_BEHIND_M), _BESIDE_M + 0.03, max(up, _RAISED_M) if out < _OUTSIDE_M else _RAISED_M]
        )
        return Step(grip + self._from_hand(back, side, rotation), rotation, 0.0, "behind")

    def bring(self, side: str, name: str, rest: Vector, yaw_rad: float) -> Step:
        """Carry what the hand holds to where its centre shall be (3,), from above, upright."""
        commanded, centre = self.commanded(side), object_position(self._sim.data, name)
        aside = rest[:2] - centre[:2]
        distance = float(np.linalg.norm(aside))
        above = centre[2] - rest[2]
        lower = distance < _OVER_M or (distance < 2 * _OVER_M and above < 0.9 * _CARRIED_M)
        free = 1.0 if lower else float(np.clip((above - 0.4 * _CARRIED_M) / (0.4 * _CARRIED_M), 0.0, 1.0))
        height = commanded[2] - above + (0.0 if lower else _CARRIED_M)
        position = np.array([*(commanded[:2] + free * aside), height])
        return Step(position, self.righting(side, name, yaw_rad), 1.0, "lower" if lower else "carry", _CARRY_M_S)

    def set_down(self, side: str, name: str, grip: Vector, rest: Vector, yaw_rad: float) -> Step:
        """A thing that is all but there: down to the end, or as far as the arm comes, then let go."""
        centre = object_position(self._sim.data, name)
        higher = centre[2] - rest[2] > _SET_DOWN_M and not self.stands(side)
        if self.closure(side) > 0.93 and higher and self.grips(side, grip):
            return self.bring(side, name, rest, yaw_rad)
        return self.let_go(side, centre, self.turned(side))

    def righting(self, side: str, name: str, yaw_rad: float) -> Vector:
        """The hand's attitude (3, 3) in which the thing it holds is upright, fingers at a yaw (as in ``hand_rotation``)."""
        return self.tilting(side, name, hand_rotation(side, yaw_rad, 0, 0), np.array([0.0, 0.0, 1.0]))

    def tilting(self, side: str, name: str, level: Vector, upwards: Vector) -> Vector:
        """The attitude (3, 3) nearest to ``level`` in which the held thing's axis, as it lies in the hand, is ``upwards``."""
        in_hand = self._sim.data.site(f"{side}_grasp").xmat.reshape(3, 3).T @ self.axis(name)
        return np.asarray(rotation_between(level @ in_hand, upwards) @ level)

    def axis(self, name: str) -> Vector:
        """The upward axis of a thing (3,)."""
        return np.array(self._sim.data.body(name).xmat.reshape(3, 3)[:, 2])

    def home(self, side: str) -> Step:
        """Open, on the way home."""
        position, rotation = self.homewards(side)
        return Step(position, rotation, 0.0, "home")

    def let_go(self, side: str, thing: Vector, rotation: Vector) -> Step:
        """Open, back off from a thing's centre along the palm's normal, go home."""
        commanded = self.commanded(side)
        if self.closure(side) > 0.1:
            return Step(commanded, rotation, 0.0, "open")
        if self.out(side, thing, rotation) < _BESIDE_M and float(np.linalg.norm(commanded - thing)) < 0.25:
            return Step(commanded + beside(side, rotation), rotation, 0.0, "back off", _BACK_OFF_M_S)
        position, home = self.homewards(side)
        return Step(position, home, 0.0, "leave")

    def out(self, side: str, thing: Vector, rotation: Vector) -> float:
        """How far a hand was told to be from a thing, along its palm's normal [m]."""
        return float(self._seen_from(thing, side, rotation)[1])

    def _seen_from(self, grip: Vector, side: str, rotation: Vector) -> Vector:
        """(ahead along the fingers, out along the palm's normal, up along the hand) of the commanded hand [m]."""
        return (self.commanded(side) - grip) @ _axes(side, rotation)

    def _from_hand(self, offset: Vector, side: str, rotation: Vector) -> Vector:
        return np.asarray(_axes(side, rotation) @ offset)


def beside(side: str, rotation: Vector) -> Vector:
    """From a grip to the place before it, from which the hand closes in (3,) [m]."""
    return np.asarray(_axes(side, rotation) @ [-_SHORT_M, _BESIDE_M, 0.0])


def _axes(side: str, rotation: Vector) -> Vector:
    """Columns: along the fingers, out of the back of the hand, towards the index finger."""
    outwards = -1.0 if side == "right" else 1.0  # y leaves the right palm and enters the left one
    return rotation * np.array([1.0, outwards, 1.0])
