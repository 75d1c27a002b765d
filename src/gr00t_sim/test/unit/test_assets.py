# SPDX-License-Identifier: Apache-2.0
"""Meshes of the robot are made lighter by merging corners; which corners are the same is found quickly, and exactly."""

import numpy as np
import pytest

from gr00t_sim.assets import _different_points


@pytest.mark.parametrize("seed", range(5))
def test_different_points_are_those_of_a_comparison_row_by_row(seed):
    rng = np.random.default_rng(seed)
    grid = np.round(rng.normal(0, 10.0 ** rng.integers(-6, 2), (40, 3)), 6).astype(np.float32)
    points = rng.choice(grid.ravel(), (3000, 3))
    points[rng.random(points.shape) < 0.1] = rng.choice([0.0, -0.0])
    points = np.concatenate([points, rng.permutation(points)])
    expected, place = np.unique(points, axis=0, return_inverse=True)
    found, which = _different_points(points)
    assert found.dtype == points.dtype and len(found) < len(points)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(which, place.reshape(-1))
