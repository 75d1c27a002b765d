# SPDX-License-Identifier: Apache-2.0
"""Three objects and one bin: the one named goes into the bin, with the hand on whose side it lies."""

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.scene import BINS, OBJECTS
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.task import mirrored_region, sample_apart

_NEAR = np.array([0.31, 0.16])
_FAR = np.array([0.41, 0.32])


class PickNamedObject(PlaceTask):
    """Objects lie left or right of the bin, never all on one side."""

    name = "pick_named_object"
    objects = (OBJECTS["red can"], OBJECTS["green cube"], OBJECTS["yellow ball"])
    bins = (BINS["blue bin"],)
    templates = (
        "pick up the {object} and place it in the {bin}",
        "put the {object} into the {bin}",
        "place the {object} in the {bin}",
        "grab the {object} and drop it into the {bin}",
        "take the {object} and put it in the {bin}",
    )

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        signs = rng.permutation([1.0, -1.0, rng.choice([1.0, -1.0])])
        regions = [mirrored_region(_NEAR, _FAR, sign) for sign in signs]
        points = sample_apart(rng, regions, apart_m=0.13)
        yaws = rng.uniform(-np.pi, np.pi, size=len(points))
        objects = {k.name: np.array([*xy, yaw]) for k, xy, yaw in zip(self.objects, points, yaws, strict=True)}
        bin_xy = np.array([0.42, 0.0]) + rng.uniform([-0.02, -0.02], [0.02, 0.02])
        return objects, {self.bins[0].name: bin_xy}
