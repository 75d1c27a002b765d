# SPDX-License-Identifier: Apache-2.0
"""What is left out of a picture because it is beside it, is beside it."""

import mujoco
import numpy as np
import pytest

from gr00t_sim import simulation
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim("close_drawer", looks="strong")
    yield sim
    sim.close()


def _left_out(sim, width, height) -> int:
    scene = sim._renderers[(width, height)].scene
    return sum(geom.type == mujoco.mjtGeom.mjGEOM_NONE for geom in scene.geoms[: scene.ngeom])


@pytest.mark.parametrize(("camera", "width", "height"), [(HEAD_CAMERA, 224, 224), (OUTSIDE_CAMERA, 120, 60)])
def test_pictures_are_to_the_bit_those_with_everything_drawn(sim, monkeypatch, camera, width, height):
    rng = np.random.default_rng(0)
    arms = np.array([joint.group.endswith("arm") for joint in sim.embodiment.joints])
    left_out = []
    for seed in range(25):  # arms anywhere: in view, beside it, across its edges
        sim.reset(seed)
        sim.place_joints(sim.home + arms * rng.normal(size=arms.size) * 0.5)
        culled = sim.render(camera, width, height)
        left_out.append(_left_out(sim, width, height))
        with monkeypatch.context() as patch:
            patch.setattr(simulation, "drop_out_of_view", lambda *_: None)
            np.testing.assert_array_equal(culled, sim.render(camera, width, height))
    if camera == HEAD_CAMERA:
        assert np.mean(left_out) > 8, "hardly anything is saved"
