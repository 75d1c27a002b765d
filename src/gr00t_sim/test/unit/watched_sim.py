# SPDX-License-Identifier: Apache-2.0
"""A simulator that is looked at in every physics step: nothing may be moved by another hand than physics."""

import mujoco
import numpy as np

from gr00t_sim.simulation import TabletopSim


class WatchedSim(TabletopSim):
    """Fails when a joint or a loose object moves otherwise than by its velocity times the step, when somebody else than the
    physics changed positions or velocities between two steps, or pushed from outside. ``progress``: what the referee said
    since the last ``reset``.
    """

    def reset(self, *args, **names):
        self._left = None
        self.progress = []
        return super().reset(*args, **names)

    def step_physics(self, steps):
        for _ in range(steps):
            positions = self.data.qpos.copy()
            if self._left is not None:
                assert np.array_equal(positions, self._left[0]), "moved between two steps of physics"
                assert np.array_equal(self.data.qvel, self._left[1]), "pushed between two steps of physics"
            super().step_physics(1)
            assert not self.data.xfrc_applied.any() and not self.data.qfrc_applied.any(), "a force from nowhere"
            mujoco.mj_integratePos(self.model, positions, self.data.qvel, self.timestep_s)
            np.testing.assert_allclose(self.data.qpos, positions, rtol=0, atol=1e-9, err_msg="moved by no velocity")
            self._left = self.data.qpos.copy(), self.data.qvel.copy()

    def task_state(self):
        status = super().task_state()
        self.progress.append(status.progress)
        return status
