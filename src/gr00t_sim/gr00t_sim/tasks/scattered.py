# SPDX-License-Identifier: Apache-2.0
"""Layouts that several tasks share: objects to the left and right of something in the middle."""

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.scene import ObjectKind
from gr00t_sim.tasks.task import mirrored_region, sample_apart

NEAR_M, FAR_M = np.array([0.33, 0.17]), np.array([0.42, 0.32])  # left side; where a hand grasps well from above
MIDDLE_M = np.array([0.42, 0.0])


def scattered(
    rng: np.random.Generator,
    kinds: tuple[ObjectKind, ...],
    *,
    apart_m: float = 0.13,
    near_m: NDArray[np.float64] = NEAR_M,
    far_m: NDArray[np.float64] = FAR_M,
) -> dict[str, NDArray[np.float64]]:
    """Object name -> (x, y, yaw), with objects on both sides as far as there are several, at most two on one."""
    signs = rng.permutation(([1.0, -1.0] * len(kinds))[: len(kinds)]) * rng.choice([1.0, -1.0])
    points = sample_apart(rng, [mirrored_region(near_m, far_m, sign) for sign in signs], apart_m)
    yaws = rng.uniform(-np.pi, np.pi, size=len(points))
    return {kind.name: np.array([*xy, yaw]) for kind, xy, yaw in zip(kinds, points, yaws, strict=True)}


def shuffled_left_right(
    rng: np.random.Generator, names: tuple[str, str], y_m: float = 0.10, x_m: float = 0.42
) -> dict[str, NDArray[np.float64]]:
    """Two things in the middle, side by side in random order: name -> (x, y)."""
    signs = rng.permutation([1.0, -1.0])
    return {
        name: np.array([x_m, sign * y_m]) + rng.uniform([-0.02, -0.005], [0.02, 0.005])
        for name, sign in zip(names, signs, strict=True)
    }
