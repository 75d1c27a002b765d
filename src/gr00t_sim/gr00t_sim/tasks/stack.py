# SPDX-License-Identifier: Apache-2.0
"""Two cubes and two blocks: the cube named is set on the block named."""

import mujoco
import numpy as np

from gr00t_sim.objects import cube
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.tasks.place_task import Destination, PlaceTask
from gr00t_sim.tasks.scattered import scattered, shuffled_left_right
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Vector, object_position, side_of

ASIDE_M, ABOVE_M = 0.025, 0.012  # centre over centre; height against one cube resting on the other
_RELEASE_M = 0.004


class Stack(PlaceTask):
    """Cubes of 5 cm, blocks of 6 cm; success needs the upper one at rest on the lower, hand away."""

    name = "stack"
    preposition = "on"
    time_limit_s = 16.0
    objects = (
        cube("red cube", "red"),
        cube("green cube", "green"),
        cube("blue block", "blue", side_m=0.06, mass_kg=0.15),
        cube("white block", "white", side_m=0.06, mass_kg=0.15),
    )
    ordered = True
    templates = (
        "stack the {object} on the {base}",
        "put the {object} on top of the {base}",
        "place the {object} onto the {base}",
        "set the {object} down on the {base}",
        "the {object} goes on top of the {base}",
    )

    @property
    def slots(self) -> Slots:
        return {"object": ("red cube", "green cube"), "base": ("blue block", "white block")}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        cubes = scattered(rng, self.objects[:2], near_m=np.array([0.33, 0.18]), far_m=np.array([0.42, 0.30]))
        blocks = shuffled_left_right(
            rng, ("blue block", "white block"), y_m=0.06, x_m=0.39
        )  # as far across as a hand can reach
        return cubes | {name: np.array([*xy, rng.uniform(-0.3, 0.3)]) for name, xy in blocks.items()}, {}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(wish["object"], wish["base"], side_of(object_position(data, wish["object"])))

    def destination(self, model: mujoco.MjModel, data: mujoco.MjData, goal: Goal) -> Destination:
        base = object_position(data, goal.target)
        return Destination(base[:2], base[2] - TABLE_TOP_M + self.kind(goal.target).height_m + _RELEASE_M, exact=True)

    def bin_of(self, model: mujoco.MjModel, data: mujoco.MjData, name: str) -> str:
        """The cube on which a cube lies, itself on the table, or ''."""
        position = object_position(data, name)
        for below in self.objects:
            base = object_position(data, below.name)
            offset = position - base - [0.0, 0.0, below.height_m + self.kind(name).height_m]
            stands = abs(base[2] - TABLE_TOP_M - below.height_m) < ABOVE_M
            if below.name != name and stands and np.hypot(*offset[:2]) < ASIDE_M and abs(offset[2]) < ABOVE_M:
                return below.name
        return ""
