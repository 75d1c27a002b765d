# SPDX-License-Identifier: Apache-2.0
"""Labels of the localisation loss: a projected point is where the renderer draws it."""

import numpy as np

from gr00t_sim.projection import project
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.task import object_position


def test_projected_ball_lies_in_the_middle_of_its_yellow_pixels():
    sim = TabletopSim("pick_named_object")
    for seed in range(3):
        sim.reset(seed, start=sim.home)
        picture = sim.render(width=224, height=224).astype(int)
        rows, columns = np.nonzero((picture[..., 0] > 150) & (picture[..., 1] > 130) & (picture[..., 2] < 60))
        u, v = project(sim.model, sim.data, HEAD_CAMERA, object_position(sim.data, "yellow ball")) * 224
        assert abs(columns.mean() + 0.5 - u) < 2.5 and abs(rows.mean() + 0.5 - v) < 2.5
    sim.close()
