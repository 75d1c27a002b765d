# SPDX-License-Identifier: Apache-2.0
"""Tasks that bring a named object into or onto something: what counts as brought, and where the hand lets go."""

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.robot import SIDES
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.tasks.sentences import Wish
from gr00t_sim.tasks.task import Goal, Task, object_position, object_speed_m_s, side_of, touches

AT_REST_M_S = 0.05
HAND_AWAY_M = 0.10
LIFTED_M = 0.03


@dataclass(frozen=True)
class Destination:
    """Where a goal's object is let go: (x, y), and its centre that far above where it would rest on the table [m].

    exact: the object itself must be over the place before it is let go, not just the hand.
    """

    xy: NDArray[np.float64]
    release_m: float
    exact: bool = False


class PlaceTask(Task):
    """Success: the named object, alone, at rest in the named bin or on the named plate, hands away."""

    preposition: ClassVar[str] = "in"

    def destination(self, model: mujoco.MjModel, data: mujoco.MjData, goal: Goal) -> Destination:
        """Where to let go of the goal's object."""
        kind = next(box for box in self.bins if box.name == goal.target)
        return Destination(np.array(model.body(goal.target).pos[:2]), kind.release_m)

    def delivered(self, model: mujoco.MjModel, data: mujoco.MjData, goal: Goal) -> bool:
        """Whether the goal's object is where it belongs, held or not."""
        return self.bin_of(model, data, goal.object) == goal.target

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(wish["object"], wish["bin"], side_of(object_position(data, wish["object"])))

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.4, lifted 0.6, delivered 0.9, let go and at rest 1; 0 in a wrong place."""
        name, target = self.goal.object, self.goal.target
        places = {kind.name: self.bin_of(model, data, kind.name) for kind in self.objects}
        inside = [thing for thing, place in places.items() if place == target]
        if inside == [name]:
            done = left_alone(model, data, name)
            said = f"{name} {self.preposition} {target}" + ("" if done else ", hand not yet away")
            return done, 1.0 if done else 0.9, said
        if name in inside:
            others = ", ".join(thing for thing in inside if thing != name)
            return False, 0.0, f"{others} {self.preposition} {target} beside {name}"
        if places[name]:
            return False, 0.0, f"{name} {self.preposition} {places[name]} instead of {target}"
        if is_lifted(self, data, name):
            return False, 0.6, f"{name} lifted"
        if inside:
            return False, 0.0, f"{', '.join(inside)} {self.preposition} {target} instead of {name}"
        return False, *reaching(hand_distance(data, self.goal.side, name), name)


def left_alone(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> bool:
    """Whether a loose object is at rest, touched by no hand, and both hands are away from it."""
    still = object_speed_m_s(model, data, name) < AT_REST_M_S
    away = all(hand_distance(data, side, name) > HAND_AWAY_M for side in SIDES)
    return still and away and not held(model, data, name)


def held(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> bool:
    """Whether any hand touches a body."""
    return any(touches(model, data, side, body) for side in SIDES)


def hand_distance(data: mujoco.MjData, side: str, name: str) -> float:
    """From the grasp point of a hand to the centre of a loose object [m]."""
    return float(np.linalg.norm(data.site(f"{side}_grasp").xpos - object_position(data, name)))


def is_lifted(task: Task, data: mujoco.MjData, name: str) -> bool:
    """Whether a loose object is off the table."""
    return bool(object_position(data, name)[2] > TABLE_TOP_M + task.kind(name).height_m + LIFTED_M)


def reaching(distance_m: float, name: str) -> tuple[float, str]:
    """Progress 0 to 0.4 and detail while the hand is on its way to something."""
    return 0.4 * float(np.clip(1 - distance_m / 0.4, 0, 1)), f"hand {100 * distance_m:.0f} cm from {name}"
