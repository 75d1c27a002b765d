# SPDX-License-Identifier: Apache-2.0
"""What training changes about the statistics of its data before it normalises by them."""

from dataclasses import replace

import numpy as np

from gr00t_policy.data.statistics import KeyStatistics, Statistics


def widened(statistics: Statistics, min_range_rad: float) -> Statistics:
    """Minimum and maximum moved apart, about their middle, to at least ``min_range_rad``."""

    def widen(key: KeyStatistics) -> KeyStatistics:
        middle, half = (key.max + key.min) / 2, np.maximum((key.max - key.min) / 2, min_range_rad / 2)
        return replace(key, min=middle - half, max=middle + half)

    return replace(
        statistics,
        state={name: widen(key) for name, key in statistics.state.items()},
        action={name: widen(key) for name, key in statistics.action.items()},
    )
