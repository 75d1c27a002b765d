# SPDX-License-Identifier: Apache-2.0
"""Between the steps of a chunk: straight lines, or a smooth curve through the same points.

The curve is the monotone cubic of Fritsch and Butland (1984): its slope at a step is the harmonic mean of the slopes to both
sides, 0 where they differ in sign. So velocity has no steps, and the curve never leaves the range of the two targets it runs
between: joint limits that hold for the targets hold for it. A spline or Catmull-Rom curve would overshoot.
"""

import numpy as np
from numpy.typing import NDArray

INTERPOLATIONS = ("linear", "smooth")

Points = NDArray[np.float64]


def slopes_at(positions: Points) -> Points:
    """Of the smooth curve through positions (..., T, J), one step apart: (..., T, J) per step."""
    if positions.shape[-2] == 1:
        return np.zeros_like(positions)
    ways = np.diff(positions, axis=-2)
    before, after = ways[..., :-1, :], ways[..., 1:, :]
    product = before * after
    total = np.where(product > 0, before + after, 1.0)
    inner = np.where(product > 0, 2 * product / total, 0.0)
    return np.concatenate([ways[..., :1, :], inner, ways[..., -1:, :]], axis=-2)


def at_steps(positions: Points, steps: Points, slopes: Points | None = None) -> Points:
    """Chunk (T, J) at fractional steps (N,) -> (N, J); just outside its ends it goes on straight.

    slopes: those of ``slopes_at`` for the smooth curve, None for straight lines.
    """
    if len(positions) == 1:
        return np.repeat(positions, len(steps), axis=0)
    index = np.clip(steps.astype(np.intp), 0, len(positions) - 2)
    begin, way = positions[index], positions[index + 1] - positions[index]
    share = (steps - index)[:, None]
    if slopes is None:
        return begin + share * way
    inside = np.clip(share, 0.0, 1.0)
    return begin + hermite(inside, way, slopes[index], slopes[index + 1]) + (share - inside) * way


def hermite(share: Points, way: Points, begin_slope: Points, end_slope: Points) -> Points:
    """Way gone after ``share`` (0 to 1) of a step that goes ``way`` with these slopes at its ends."""
    rest = 1 - share
    return share * (share * (3 - 2 * share) * way + rest * (rest * begin_slope - share * end_slope))
