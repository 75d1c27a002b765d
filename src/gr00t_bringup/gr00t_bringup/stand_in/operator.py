# SPDX-License-Identifier: Apache-2.0
"""The stand-in's head: look, move the hand by what is missing, wait until the robot is there, look again.

People who drive a robot do so in steps, each a smooth reach by the difference that they see; what the robot's frames are
they need not know. The script brings one thing to one place, and tries again when it slipped away.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.stand_in.eyes import Sight
from gr00t_sim.experts.grasp import PICK_YAW_RAD, PLACE_YAW_RAD, top_grasp_position, top_grasp_rotation
from gr00t_sim.robot import SIDES
from gr00t_teleop.person.human_hand import CLUTCH, GRASP, OPEN, RELAXED, HandShape
from gr00t_teleop.person.person import Person
from gr00t_teleop.retargeting.pose import Pose, rotation_vector

Vector = NDArray[np.float64]
Steps = Iterator[str]
"""One step is one sample of the headset; each says what the person is about."""

_LOOK_S = 0.35  # until the robot has come to rest and the eyes have seen it
_BEND_S = 0.7
_TOUCH_S = 1.1  # the gesture counts after 0.7 s; people wait for the colour around them to change
_ABOVE_M, _CARRY_M, _AWAY_M = 0.12, 0.16, 0.08
_DEEPEST_M = 0.045  # below a thing's top the palm would meet it before the fingers reach around
_LIFTED_M = 0.03
_TRIES, _CORRECTIONS, _GESTURES = 3, 5, 6


@dataclass(frozen=True)
class _Care:
    """How near is near enough."""

    position_m: float
    turn_rad: float


_ROUGH, _FINE, _OVER = _Care(0.025, 0.15), _Care(0.009, 0.10), _Care(0.018, 0.25)


class ScriptedOperator:
    """Moves ``person``. sight: what is seen now; follows: whether the robot follows; now_s: any steady clock.

    ``tries`` counts grasps; ``gave_up`` says why the person stopped before it was done, '' when it was done.
    """

    def __init__(
        self, person: Person, sight: Callable[[], Sight], follows: Callable[[], bool], now_s: Callable[[], float]
    ) -> None:
        self._person, self._sight, self._follows, self._now_s = person, sight, follows, now_s
        self._shapes = dict.fromkeys(SIDES, RELAXED)
        self.tries, self.gave_up = 0, ""

    def pick_and_place(self) -> Steps:
        """Close the clutch, do it, open the clutch; ends when done or given up."""
        yield from self._pause(0.5, "ready")
        side = self._sight().side
        while not self._sight().delivered:
            if not self._follows():
                yield from self._touch("close the clutch", wanted=True)
            if not self._follows():
                self.gave_up = "the robot did not follow"
                return
            if self._has(side):
                yield from self._place(side)
            elif self.tries < _TRIES:
                yield from self._pick(side)
            else:
                self.gave_up = f"it was not in the hand after {_TRIES} grasps"
                break
        yield from self._leave(side)
        yield from self._touch("open the clutch", wanted=False)

    def _pick(self, side: str) -> Steps:
        self.tries += 1
        turned = top_grasp_rotation(side, PICK_YAW_RAD)
        self._form(side, OPEN)
        yield from self._reach(side, lambda look: Pose(_above(_grip(look)), turned), _ROUGH, "over it")
        yield from self._reach(side, lambda look: Pose(_grip(look), turned), _FINE, "down")
        yield from self._bend(side, GRASP, "grasp")
        yield from self._lift(side, _CARRY_M, "lift")

    def _place(self, side: str) -> Steps:
        turned = top_grasp_rotation(side, PLACE_YAW_RAD)
        yield from self._reach(side, lambda look: Pose(_above(_goal(look), _CARRY_M), turned), _OVER, "carry")
        yield from self._reach(side, lambda look: Pose(_above(_goal(look), look.release_m), turned), _OVER, "lower")
        yield from self._bend(side, OPEN, "let go")
        yield from self._lift(side, _ABOVE_M, "rise")

    def _leave(self, side: str) -> Steps:
        yield from self._lift(side, _AWAY_M, "leave")
        yield from self._bend(side, RELAXED, "leave")

    def _has(self, side: str) -> bool:
        """Whether the thing came up with the hand."""
        look = self._sight()
        return bool(look.thing[2] > look.over[2] + _LIFTED_M) and bool(
            np.linalg.norm(look.grips[side].position - _grip(look)) < 0.07
        )

    def _reach(self, side: str, goal: Callable[[Sight], Pose], care: _Care, about: str) -> Steps:
        """Until the robot's grip is near the goal, or it comes no nearer."""
        for _ in range(_CORRECTIONS):
            shift, turn = _missing(self._sight(), side, goal(self._sight()))
            if np.linalg.norm(shift) < care.position_m and np.linalg.norm(turn) < care.turn_rad:
                return
            self._person.move(side, shift, turn)
            yield from self._until_done(about)
            yield from self._pause(_LOOK_S, about)

    def _lift(self, side: str, height_m: float, about: str) -> Steps:
        self._person.move(side, np.array([0.0, 0.0, height_m]), np.zeros(3))
        yield from self._until_done(about)
        yield from self._pause(_LOOK_S, about)

    def _bend(self, side: str, shape: HandShape, about: str) -> Steps:
        self._form(side, shape)
        yield from self._pause(_BEND_S + _LOOK_S, about)

    def _form(self, side: str, shape: HandShape) -> None:
        self._shapes[side] = shape
        self._person.bend(side, shape, _BEND_S)

    def _touch(self, about: str, *, wanted: bool) -> Steps:
        """The gesture of the clutch with both hands. It opens a clutch that is closed, so it may take two."""
        for _ in range(_GESTURES):
            for side in SIDES:
                self._person.bend(side, CLUTCH, _BEND_S)
            yield from self._pause(_BEND_S + _TOUCH_S, about)
            for side in SIDES:
                self._person.bend(side, self._shapes[side], _BEND_S)
            yield from self._pause(_BEND_S + _LOOK_S, about)
            if self._follows() == wanted:
                return

    def _until_done(self, about: str) -> Steps:
        while not self._person.rests:
            yield about

    def _pause(self, seconds: float, about: str) -> Steps:
        until_s = self._now_s() + seconds
        while self._now_s() < until_s:
            yield about


def _missing(look: Sight, side: str, goal: Pose) -> tuple[Vector, Vector]:
    """How the robot's wrist has to be moved (3,) [m] and turned (3,) [rad] so that its grip is at the goal."""
    grip, wrist = look.grips[side], look.wrists[side]
    in_hand = grip.rotation.T @ (wrist.position - grip.position)
    shift = goal.position + goal.rotation @ in_hand - wrist.position
    return shift, rotation_vector(goal.rotation @ grip.rotation.T)


def _grip(look: Sight) -> Vector:
    """Where the robot's grip has to be to take the thing where it is."""
    return _about(look, look.thing)


def _goal(look: Sight) -> Vector:
    """Where the grip is when the thing lies at the goal."""
    return _about(look, look.over)


def _about(look: Sight, centre: Vector) -> Vector:
    return top_grasp_position(look.side, _above(centre, max(0.0, look.half_height_m - _DEEPEST_M)))


def _above(place: Vector, height_m: float = _ABOVE_M) -> Vector:
    return place + np.array([0.0, 0.0, height_m])


def comfortable(look: Sight) -> dict[str, Vector]:
    """How a person turns the hands (3, 3) before they take over: as the robot's are, palms and fingers alike."""
    right, left = (look.grips[side].rotation for side in ("right", "left"))
    return {
        "right": np.stack([right[:, 0], right[:, 2], -right[:, 1]], axis=1),
        "left": np.stack([left[:, 0], -left[:, 2], left[:, 1]], axis=1),
    }
