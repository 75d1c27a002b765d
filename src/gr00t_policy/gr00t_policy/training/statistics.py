# SPDX-License-Identifier: Apache-2.0
"""What training changes about the statistics of its data before it normalises by them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.statistics import KeyStatistics, Statistics


def widened(statistics: Statistics, min_range_rad: float) -> Statistics:
    """What moves less than ``min_range_rad`` normalised as if it moved as much, in whichever mode; 0 changes nothing.

    Minimum and maximum, and q01 and q99, are moved apart about their middle; the standard deviation is at least that of values
    spread evenly over the range.
    """
    if min_range_rad == 0:
        return statistics
    least_std = min_range_rad / np.sqrt(12)

    def apart(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        middle, half = (high + low) / 2, np.maximum((high - low) / 2, min_range_rad / 2)
        return middle - half, middle + half

    def widen(key: KeyStatistics) -> KeyStatistics:
        (low, high), (q01, q99) = apart(key.min, key.max), apart(key.q01, key.q99)
        return replace(key, min=low, max=high, q01=q01, q99=q99, std=np.maximum(key.std, least_std))

    return replace(
        statistics,
        state={name: widen(key) for name, key in statistics.state.items()},
        action={name: widen(key) for name, key in statistics.action.items()},
    )
