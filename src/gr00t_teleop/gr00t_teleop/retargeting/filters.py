# SPDX-License-Identifier: Apache-2.0
"""Against the shaking of hands and trackers: a low-pass whose cut-off rises with speed (the one-euro filter of Casiez et al.).

Its delay is known: a motion at constant speed v comes out late by 1 / (2 pi cut-off(v)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, rotation_vector

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class CutOff:
    """Cut-off frequency as a function of speed: ``lowest_hz`` at rest, ``per_speed`` more [Hz per m/s or rad/s]."""

    lowest_hz: float
    per_speed: float

    def at(self, speed: float) -> float:
        """[Hz]"""
        return self.lowest_hz + self.per_speed * speed

    def delay_s(self, speed: float) -> float:
        """How late a motion at this constant speed comes out."""
        return 1.0 / (2.0 * np.pi * self.at(speed))


# 5 Hz at rest takes a tracker's tremble of 8 to 12 Hz away; at 0.5 m/s and at 2 rad/s the delay is 11 ms.
POSITION = CutOff(5.0, 20.0)
ROTATION = CutOff(5.0, 5.0)
_SPEED_CUT_OFF_HZ = 5.0  # of the estimate of the speed itself


class PoseFilter:
    """One-euro filter of a pose; position and rotation have a cut-off each. Owned by one stream of samples."""

    def __init__(self, position: CutOff = POSITION, rotation: CutOff = ROTATION) -> None:
        self._cut_offs = (position, rotation)
        self.reset()

    def reset(self) -> None:
        """The next sample comes out as it goes in."""
        self._last: Pose | None = None
        self._raw: Pose | None = None
        self._velocities = (np.zeros(3), np.zeros(3))

    def step(self, pose: Pose, dt_s: float) -> Pose:
        """The smoothed pose after a sample that came ``dt_s`` after the one before."""
        last, raw = self._last, self._raw
        self._raw = pose
        if last is None or raw is None or dt_s <= 0.0:
            self._last = pose if last is None else last
            return self._last
        moved = (pose.position - raw.position, rotation_vector(pose.rotation @ raw.rotation.T))
        ahead = (pose.position - last.position, rotation_vector(pose.rotation @ last.rotation.T))
        trust = _share(_SPEED_CUT_OFF_HZ, dt_s)
        self._velocities = (
            self._velocities[0] + trust * (moved[0] / dt_s - self._velocities[0]),
            self._velocities[1] + trust * (moved[1] / dt_s - self._velocities[1]),
        )
        shift, turn = (
            _share(cut_off.at(float(np.linalg.norm(velocity))), dt_s) * way
            for cut_off, velocity, way in zip(self._cut_offs, self._velocities, ahead, strict=True)
        )
        self._last = Pose(last.position + shift, rotation_from_vector(turn) @ last.rotation)
        return self._last

    def delay_s(self) -> float:
        """Delay of the position at the present speed."""
        return self._cut_offs[0].delay_s(float(np.linalg.norm(self._velocities[0])))


def _share(cut_off_hz: float, dt_s: float) -> float:
    """Share of the way to a new sample that a low-pass goes. Exact for a ramp: it lags by 1 / (2 pi cut_off)."""
    time_constant_s = 1.0 / (2.0 * np.pi * cut_off_hz)
    return dt_s / (dt_s + time_constant_s)
