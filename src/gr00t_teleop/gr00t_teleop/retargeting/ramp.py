# SPDX-License-Identifier: Apache-2.0
"""From samples at the device's rate to one target per tick: straight towards the newest sample over one sample period.

It arrives when the next sample is due and then waits: nothing is extrapolated. The price is one sample period of delay.
"""

import numpy as np

from gr00t_teleop.retargeting.inverse_kinematics import WristTarget
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, rotation_vector

_FIRST_PERIOD_S = 1 / 72  # the slowest headset in use, until samples say otherwise
_LONGEST_PERIOD_S = 0.05  # after a gap the target still comes within this time
_MEMORY = 0.1  # share of a new period in the mean


class Ramp:
    """Owned by one wrist; ``dt_s`` is the period of ticks."""

    def __init__(self, dt_s: float) -> None:
        self._dt_s = dt_s
        self.period_s = _FIRST_PERIOD_S
        self._now: Pose | None = None
        self._goal: Pose | None = None
        self._ticks_left = 0

    def start(self, pose: Pose) -> None:
        """Be at ``pose`` at once."""
        self._now = self._goal = pose
        self._ticks_left = 0

    def aim(self, pose: Pose, since_last_s: float) -> None:
        """A new sample, ``since_last_s`` after the one before."""
        period_s = float(np.clip(since_last_s, self._dt_s, _LONGEST_PERIOD_S))
        self.period_s += _MEMORY * (period_s - self.period_s)
        self._goal = pose
        self._ticks_left = max(int(np.ceil(self.period_s / self._dt_s - 0.1)), 1)

    def tick(self) -> WristTarget | None:
        """Target of this tick; None before ``start``."""
        if self._now is None or self._goal is None:
            return None
        if self._ticks_left == 0:
            return WristTarget(self._goal)
        before, share = self._now, 1.0 / self._ticks_left
        shift = share * (self._goal.position - before.position)
        turn = share * rotation_vector(self._goal.rotation @ before.rotation.T)
        self._ticks_left -= 1
        self._now = (
            self._goal
            if self._ticks_left == 0
            else Pose(before.position + shift, rotation_from_vector(turn) @ before.rotation)
        )
        return WristTarget(self._now, shift, turn)
