# SPDX-License-Identifier: Apache-2.0
"""A can or a cube and two plates: the object named goes onto the plate named."""

import numpy as np

from gr00t_sim.objects import COLOURS, can, cube
from gr00t_sim.scene import PlateKind
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.scattered import scattered, shuffled_left_right
from gr00t_sim.tasks.task import Vector


class ChoosePlate(PlaceTask):
    """Which plate stands left, and which object lies on which side, is random."""

    name = "choose_plate"
    preposition = "on"
    objects = (can("red can", "red"), cube("green cube", "green"))
    bins = (PlateKind("white plate", COLOURS["white"]), PlateKind("blue plate", COLOURS["blue"]))
    templates = (
        "put the {object} on the {bin}",
        "place the {object} onto the {bin}",
        "set the {object} down on the {bin}",
        "move the {object} to the {bin}",
        "the {object} belongs on the {bin}",
    )

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        objects = scattered(rng, self.objects, near_m=np.array([0.33, 0.25]), far_m=np.array([0.41, 0.33]))
        return objects, shuffled_left_right(rng, ("white plate", "blue plate"), y_m=0.088)
