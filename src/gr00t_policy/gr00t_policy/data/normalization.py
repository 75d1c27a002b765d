# SPDX-License-Identifier: Apache-2.0
"""Joint angles <-> the network's units, by mode. Pure functions on the last axis; values: (..., d).

Arithmetic of GR00T N1 (gr00t/data/transform/state_action.py), also where a dimension never changed in the data: min_max and
scale then give 0, q99 and mean_std pass the raw value. Only q99 clips.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.key_statistics import KeyStatistics

Array = NDArray[np.floating]


def min_max(values: Array, statistics: KeyStatistics) -> Array:
    """2 (x - min) / (max - min) - 1; 0 where the data never changed."""
    scaled, moving = _between(values, statistics.min, statistics.max)
    return np.where(moving, scaled, 0.0)


def undo_min_max(values: Array, statistics: KeyStatistics) -> Array:
    """(x + 1) / 2 (max - min) + min; the constant where the data never changed."""
    return (values + 1.0) / 2.0 * (statistics.max - statistics.min) + statistics.min


def q99(values: Array, statistics: KeyStatistics) -> Array:
    """2 (x - q01) / (q99 - q01) - 1, clipped to [-1, 1]; where both are equal the raw value, clipped."""
    scaled, moving = _between(values, statistics.q01, statistics.q99)
    return np.clip(np.where(moving, scaled, values), -1.0, 1.0)


def undo_q99(values: Array, statistics: KeyStatistics) -> Array:
    """(x + 1) / 2 (q99 - q01) + q01: undoes ``q99`` for what it did not clip."""
    return (values + 1.0) / 2.0 * (statistics.q99 - statistics.q01) + statistics.q01


def mean_std(values: Array, statistics: KeyStatistics) -> Array:
    """(x - mean) / std; the raw value where std is 0."""
    moving = statistics.std > 0
    return np.where(moving, (values - statistics.mean) / np.where(moving, statistics.std, 1.0), values)


def undo_mean_std(values: Array, statistics: KeyStatistics) -> Array:
    """x std + mean."""
    return values * statistics.std + statistics.mean


def scale(values: Array, statistics: KeyStatistics) -> Array:
    """x / max(|min|, |max|); 0 where both are 0. There is no way back in the published code."""
    largest = np.maximum(np.abs(statistics.min), np.abs(statistics.max))
    return np.where(largest > 0, values / np.where(largest > 0, largest, 1.0), 0.0)


def binary(values: Array, statistics: KeyStatistics) -> Array:
    """1 above 0.5, else 0; its own inverse."""
    return np.where(values > 0.5, 1.0, 0.0)


NORMALISERS: dict[str, Callable[[Array, KeyStatistics], Array]] = {
    "min_max": min_max,
    "q99": q99,
    "mean_std": mean_std,
    "scale": scale,
    "binary": binary,
}
INVERSES: dict[str, Callable[[Array, KeyStatistics], Array]] = {
    "min_max": undo_min_max,
    "q99": undo_q99,
    "mean_std": undo_mean_std,
    "binary": binary,
}


def sin_cos(angles: Array) -> Array:
    """(..., d) [rad] -> (..., 2 d): all sines of the key, then all its cosines."""
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def undo_sin_cos(values: Array) -> Array:
    """(..., 2 d) -> (..., d) [rad] in (-pi, pi]."""
    sines, cosines = np.split(values, 2, axis=-1)
    return np.arctan2(sines, cosines)


def _between(values: Array, low: Array, high: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Values with [low, high] stretched to [-1, 1], and where the two differ."""
    moving = high - low > 0
    return 2.0 * (values - low) / np.where(moving, high - low, 1.0) - 1.0, moving
