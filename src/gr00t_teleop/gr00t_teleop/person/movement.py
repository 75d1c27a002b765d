# SPDX-License-Identifier: Apache-2.0
"""How people move: smoothly from rest to rest, never quite where they meant to, and trembling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_SHORTEST_S, _AVERAGE_M_S, _AVERAGE_RAD_S = (
    0.35,
    0.30,
    1.2,
)  # unhurried; the peak of a smooth reach is 1.9 times as fast


def smooth_share(part: float) -> float:
    """Share of the way after a ``part`` (0..1) of the time of a minimum-jerk movement (Flash and Hogan 1985)."""
    t = min(max(part, 0.0), 1.0)
    return t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)


def reach_time_s(distance_m: float, angle_rad: float) -> float:
    """How long a person takes for a movement of that size."""
    return _SHORTEST_S + max(distance_m / _AVERAGE_M_S, angle_rad / _AVERAGE_RAD_S)


@dataclass(frozen=True)
class Shaking:
    """Standard deviations of what is added to a hand, per axis: a slow drift, a tremor of 9 Hz, and the tracker's noise."""

    drift: float
    tremor: float
    tracker: float


# A hand held free drifts by millimetres and trembles below one (Elble and Koller); headsets add about half a millimetre.
POSITION_M = Shaking(0.0015, 0.0006, 0.0005)
ROTATION_RAD = Shaking(0.010, 0.004, 0.003)
_DRIFT_S, _TREMOR_HZ = 0.7, 9.0


class Tremor:
    """Noise of three axes over time. One owner."""

    def __init__(self, rng: np.random.Generator, size: Shaking) -> None:
        self._rng, self._size = rng, size
        self._drift = size.drift * rng.normal(size=3)
        self._phase = rng.uniform(0.0, 2.0 * np.pi, 3)

    def step(self, dt_s: float) -> Vector:
        """What is added (3,), ``dt_s`` after the call before."""
        kept = float(np.exp(-dt_s / _DRIFT_S))
        fresh = self._size.drift * np.sqrt(1.0 - kept * kept) * self._rng.normal(size=3)
        self._drift = kept * self._drift + fresh
        wander = 0.3 * np.sqrt(dt_s) * self._rng.normal(size=3)  # a tremor is no clockwork
        self._phase = self._phase + 2.0 * np.pi * _TREMOR_HZ * dt_s + wander
        shake = np.sqrt(2.0) * self._size.tremor * np.sin(self._phase)
        return np.asarray(self._drift + shake + self._size.tracker * self._rng.normal(size=3))
