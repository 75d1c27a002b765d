# SPDX-License-Identifier: Apache-2.0
"""Does the robot follow? Drives that are off, or an arm that something holds, are not where they are told to be."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment

Vector = NDArray[np.float64]

_FOR_S = 0.5  # a command leads an arm in motion, by up to 0.3 rad for half a second in the simulator's tasks
_BACK = 0.25  # share of the limit from which the robot is where it is told to be again
_HANDS = "hand"  # groups that end so: fingers are told to close further than what they hold


class Following:
    """Whether the measured pose stays near the commanded one, in all joints but those of hands."""

    def __init__(self, embodiment: Embodiment, max_rad: float) -> None:
        self._names = embodiment.joint_names
        self._watched = np.array([not joint.group.endswith(_HANDS) for joint in embodiment.joints])
        self._max_rad = max_rad
        self._away_since_ns: int | None = None
        self.lost = ""  # the joint that does not follow; empty while all do

    def watch(self, now_ns: int, measured: Vector, commanded: Vector) -> str:
        """A sentence in the moment in which the robot is found not to follow, else ''; poses (J,) of the embodiment."""
        away_rad = np.abs(measured - commanded) * self._watched
        worst = int(away_rad.argmax())
        if away_rad[worst] <= self._max_rad * (_BACK if self.lost else 1.0):
            self._away_since_ns, self.lost = None, ""
        elif self._away_since_ns is None:
            self._away_since_ns = now_ns
        elif not self.lost and now_ns - self._away_since_ns >= 1e9 * _FOR_S:
            self.lost = self._names[worst]
            return (
                f"the robot does not follow: '{self.lost}' is {away_rad[worst]:.2f} rad from where it is told to be; "
                "are its drives on, does something hold it?"
            )
        return ""

    def where_found(self, measured: Vector, commanded: Vector) -> Vector:
        """The pose (J,) to hold of a robot that does not follow: hands keep their command, and with it what they hold."""
        return np.where(self._watched, measured, commanded)
