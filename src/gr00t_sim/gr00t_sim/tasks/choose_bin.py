# SPDX-License-Identifier: Apache-2.0
"""One object and two bins: the object goes into the bin that is named."""

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.scene import BINS, OBJECTS
from gr00t_sim.tasks.place_task import PlaceTask

_BIN_Y_M = 0.10


class ChooseBin(PlaceTask):
    """Which bin stands left and on which side the object lies are random."""

    name = "choose_bin"
    objects = (OBJECTS["red can"],)
    bins = (BINS["blue bin"], BINS["white bin"])
    templates = (
        "pick up the {object} and place it in the {bin}",
        "put the {object} into the {bin}",
        "place the {object} in the {bin}",
        "grab the {object} and drop it into the {bin}",
        "take the {object} and put it in the {bin}",
    )

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        side = rng.choice([1.0, -1.0])
        xy = rng.uniform([0.31, 0.25], [0.41, 0.33]) * [1, side]
        objects = {self.objects[0].name: np.array([*xy, rng.uniform(-np.pi, np.pi)])}
        left = rng.integers(2)
        bins = {}
        for index, kind in enumerate(self.bins):
            y = _BIN_Y_M if index == left else -_BIN_Y_M
            bins[kind.name] = np.array([0.42, y]) + rng.uniform([-0.02, -0.005], [0.02, 0.005])
        return objects, bins
