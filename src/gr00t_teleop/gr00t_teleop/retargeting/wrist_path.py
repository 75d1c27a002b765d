# SPDX-License-Identifier: Apache-2.0
"""One wrist from samples to targets: refuse what no hand can have done, smooth, clutch, spread over the ticks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.clutch import Clutch
from gr00t_teleop.retargeting.filters import PoseFilter
from gr00t_teleop.retargeting.inverse_kinematics import WristTarget
from gr00t_teleop.retargeting.outliers import OutlierGate
from gr00t_teleop.retargeting.pose import Pose, pose_from_numbers
from gr00t_teleop.retargeting.ramp import Ramp
from gr00t_teleop.types import tracked

Matrix = NDArray[np.float64]


class WristPath:
    """Owned by one wrist. ``fault`` says why the newest sample was not used, '' when it was."""

    def __init__(self, dt_s: float) -> None:
        self.fault = "no sample yet"
        self.follows = False  # whether there is a target
        self._gate, self._filter, self._clutch, self._ramp = OutlierGate(), PoseFilter(), Clutch(), Ramp(dt_s)
        self._last_s: float | None = None

    @property
    def delay_s(self) -> float:
        """From sample to target at the present speed: the filter's delay and one sample period."""
        return self._filter.delay_s() + self._ramp.period_s

    def look(self, numbers: NDArray[np.float64], stamp_s: float) -> Pose | None:
        """The pose (7,) of a sample if it may be used, whether or not the clutch is closed; else None, and ``fault``."""
        if not tracked(numbers):
            self.fault = "not tracked"
            self._gate.reset()
            return None
        pose = pose_from_numbers(numbers)
        self.fault = self._gate.fault(pose, stamp_s)
        return None if self.fault else pose

    def follow(self, pose: Pose, stamp_s: float, heading: Matrix, scale: float, home: Callable[[], Pose]) -> None:
        """Aim at a sample that may be used. home: see ``Clutch.follow``."""
        begins = self._clutch.is_owed
        if begins or self._last_s is None:
            self._filter.reset()
            self._last_s = stamp_s
        since_last_s, self._last_s = stamp_s - self._last_s, stamp_s
        target = self._clutch.follow(self._filter.step(pose, since_last_s), heading, scale, home)
        if begins:
            self._ramp.start(target)
        else:
            self._ramp.aim(target, since_last_s)
        self.follows = True

    def release(self) -> None:
        """No target from now on, and the next sample that is followed is latched anew."""
        self._clutch.release()
        self.follows = False

    def tick(self) -> WristTarget | None:
        """Target of this tick, None while there is none."""
        return self._ramp.tick() if self.follows else None
