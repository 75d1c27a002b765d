# SPDX-License-Identifier: Apache-2.0
"""Rows of a demonstration: the labels of localisation belong to the picture beside them, also where rows share one."""

import numpy as np
import pytest

from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.recording import goal_uv
from gr00t_sim.simulation import TabletopSim


class NumberedPictures(TabletopSim):
    """Draws the number of the picture instead of the world, and notes where the goal was in it."""

    def render(self, *args, **names):
        self.places.append(goal_uv(self))
        return np.full((2, 2, 3), len(self.places) - 1, np.uint8)

    places: list


@pytest.mark.parametrize("ticks", [1, 2, 4])
def test_labels_are_where_things_are_in_the_picture_of_their_row(ticks):
    sim = NumberedPictures("pick_named_object")
    moved = []
    for seed in range(3):
        sim.places = []
        made = Demonstrator(sim, Variety(ticks_per_picture=ticks)).run(seed)
        assert made.success
        shown = [int(image[0, 0, 0]) for image in made.images]
        assert shown == [row // ticks for row in range(len(shown))]
        np.testing.assert_array_equal(np.stack(made.uv), np.stack(sim.places)[shown])
        moved.append(np.abs(np.diff(sim.places, axis=0)[:, :2]).max())
    assert max(moved) > 0.01, "things move between pictures"
