# SPDX-License-Identifier: Apache-2.0
"""Two low objects and a zone painted on the table: the one named is pushed there, not carried."""

import mujoco
import numpy as np

from gr00t_sim.furniture import Zone
from gr00t_sim.objects import COLOURS, can, cube
from gr00t_sim.tasks.place_task import hand_distance, is_lifted, left_alone, reaching
from gr00t_sim.tasks.scattered import scattered
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Task, Vector, object_position, side_of

INSIDE_M = 0.05  # centre of the object to centre of the zone


class PushToZone(Task):
    """Lifting the object off the table spoils the episode. Success: alone and at rest in the zone, hands away."""

    name = "push_to_zone"
    objects = (can("red puck", "red", height_m=0.05, radius_m=0.032), cube("green cube", "green"))
    fixtures = (Zone("yellow zone", COLOURS["yellow"]),)
    essential = ("zone",)
    templates = (
        "push the {object} into the yellow zone",
        "slide the {object} onto the yellow zone",
        "shove the {object} over to the yellow zone without lifting it",
        "move the {object} along the table into the yellow zone",
        "the {object} should be pushed to the yellow zone",
    )

    @property
    def slots(self) -> Slots:
        return {"object": tuple(kind.name for kind in self.objects)}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        objects = scattered(rng, self.objects, near_m=np.array([0.33, 0.15]), far_m=np.array([0.38, 0.22]))
        return objects, {"yellow zone": np.array([0.34, 0.0]) + rng.uniform([-0.02, -0.02], [0.02, 0.02])}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        self._spoiled = False
        self._start = object_position(data, wish["object"])
        return Goal(wish["object"], "yellow zone", side_of(self._start))

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.4, way to the zone 0.4 to 0.9, there and hands away 1; 0 with another."""
        name = self.goal.object
        self._spoiled = self._spoiled or is_lifted(self, data, name)
        if self._spoiled:
            return False, 0.0, f"{name} was lifted, not pushed"
        zone = data.body(self.goal.target).xpos[:2]
        ways = {kind.name: float(np.linalg.norm(object_position(data, kind.name)[:2] - zone)) for kind in self.objects}
        left = ways.pop(name)
        if others := [thing for thing, way in ways.items() if way < INSIDE_M]:
            how = "beside" if left < INSIDE_M else "instead of"
            return False, 0.0, f"{', '.join(others)} in {self.goal.target} {how} {name}"
        if left < INSIDE_M:
            done = left_alone(model, data, name)
            return done, 1.0 if done else 0.9, f"{name} in {self.goal.target}" + ("" if done else ", hand not yet away")
        whole = float(np.linalg.norm(self._start[:2] - zone))
        if left < whole - 0.01:
            return False, 0.4 + 0.5 * float(1 - left / whole), f"{name} {100 * left:.0f} cm from {self.goal.target}"
        return False, *reaching(hand_distance(data, self.goal.side, name), name)
