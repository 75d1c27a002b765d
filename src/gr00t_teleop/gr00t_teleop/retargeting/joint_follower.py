# SPDX-License-Identifier: Apache-2.0
"""Joints that follow positions and not poses: fingers and neck. Within all limits, to rest where there is no goal."""

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.step_bounds import JointLimits, braking_step, step_towards

Vector = NDArray[np.float64]


class JointFollower:
    """Keeps the commanded positions (N,) [rad]; one owner."""

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self.reset(np.zeros(len(limits.lower)))

    def reset(self, positions: Vector) -> None:
        """Stand at these positions, without a goal."""
        self.positions = positions.copy()
        self._step = np.zeros(len(positions))
        self.goal: Vector | None = None

    def tick(self, pace: float) -> Vector:
        """Move on by one tick. pace: factor on speed and acceleration."""
        limits = self._limits if pace == 1.0 else self._limits.slower(pace)
        if self.goal is None:
            self._step = braking_step(limits, self._step)
        else:
            self._step = step_towards(limits, self.positions, self.goal, self._step)
        self.positions = self.positions + self._step
        return self.positions
