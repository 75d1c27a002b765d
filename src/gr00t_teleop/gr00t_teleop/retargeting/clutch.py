# SPDX-License-Identifier: Apache-2.0
"""The clutch of one wrist: the robot moves as the hand moves from where both were when it was closed.

Output = home position + scale * (hand - origin), rotation = (R_hand R_origin^T) R_home, along the axes of the person's
heading at that time. In the frame of closing the output is exactly home. The latch stays *owed* until a sample can be
used, and every sample that is disengaged, not tracked or stale owes it again, so that what the hand did meanwhile never shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.pose import Pose

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class _Latch:
    home: Pose
    origin: Pose
    heading: Matrix


class Clutch:
    """Owned by one wrist (or head)."""

    def __init__(self) -> None:
        self._latch: _Latch | None = None

    @property
    def is_owed(self) -> bool:
        """Whether the next sample that can be used will be latched."""
        return self._latch is None

    def release(self) -> None:
        """Owe the latch again."""
        self._latch = None

    def follow(self, hand: Pose, heading: Matrix, scale: float, home: Callable[[], Pose]) -> Pose:
        """Where the robot's wrist shall be.

        home: the robot's pose to start from, asked for only when the latch is owed.
        heading (3, 3): from the person's forward axes to the frame of the samples; scale: robot's metres per person's.
        Both count at the latch alone, scale excepted.
        """
        if self._latch is None:
            self._latch = _Latch(home(), hand, heading)
            return self._latch.home
        latch = self._latch
        shift = latch.heading.T @ (hand.position - latch.origin.position)
        turn = latch.heading.T @ (hand.rotation @ latch.origin.rotation.T) @ latch.heading
        return Pose(latch.home.position + scale * shift, turn @ latch.home.rotation)
