# SPDX-License-Identifier: Apache-2.0
"""Several alike objects and one bin: the one meant differs in one property, its colour or its size."""

import numpy as np

from gr00t_sim.objects import ball, can, cube
from gr00t_sim.scene import BINS
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.scattered import MIDDLE_M, scattered
from gr00t_sim.tasks.task import Vector

_TEMPLATES = (
    "put the {object} into the {bin}",
    "pick up the {object} and place it in the {bin}",
    "take the {object} and drop it into the {bin}",
    "I want the {object} in the {bin}",
    "move the {object} over to the {bin}",
)


class _PickOneOf(PlaceTask):
    """Objects scattered left and right of the bin."""

    bins = (BINS["blue bin"],)
    templates = _TEMPLATES

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        middle = MIDDLE_M + rng.uniform([-0.02, -0.02], [0.02, 0.02])
        return scattered(rng, self.objects), {self.bins[0].name: middle}


class PickByColour(_PickOneOf):
    """Four cubes of one size; only the colour tells them apart."""

    name = "pick_by_colour"
    objects = (
        cube("red cube", "red"),
        cube("green cube", "green"),
        cube("yellow cube", "yellow"),
        cube("purple cube", "purple"),
    )


class PickBallByColour(_PickOneOf):
    """Three balls of one size; a ball rolls away when touched carelessly."""

    name = "pick_ball_by_colour"
    objects = (ball("orange ball", "orange"), ball("white ball", "white"), ball("green ball", "green"))


class PickTallOrShort(_PickOneOf):
    """Two cans of one colour, tall and short."""

    name = "pick_tall_or_short"
    objects = (can("tall can", "red", height_m=0.12), can("short can", "red", height_m=0.07))


class PickLargeOrSmall(_PickOneOf):
    """Two cubes of one colour, large and small."""

    name = "pick_large_or_small"
    objects = (cube("large cube", "yellow", side_m=0.06, mass_kg=0.12), cube("small cube", "yellow", side_m=0.04))
