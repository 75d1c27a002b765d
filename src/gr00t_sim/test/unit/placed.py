# SPDX-License-Identifier: Apache-2.0
"""Things put where a test wants them, at rest, as if somebody had done it: for referees, which judge states."""

import mujoco
import numpy as np

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
LYING = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)


def put(sim, name, place, quat=UPRIGHT, *, speed_m_s=0.0):
    """The centre of a loose object to ``place`` (3,) [m], turned so, moving that fast along x."""
    joint = sim.data.joint(name)
    joint.qpos[:] = [*place, *quat]
    joint.qvel[:] = [speed_m_s, 0, 0, 0, 0, 0]
    mujoco.mj_forward(sim.model, sim.data)


def open_to(sim, joint, opening, *, speed=0.0):
    """A drawer [m, m/s] or a door [rad, rad/s] so far open and moving so fast."""
    sim.data.joint(joint).qpos[:] = opening
    sim.data.joint(joint).qvel[:] = speed
    mujoco.mj_forward(sim.model, sim.data)
