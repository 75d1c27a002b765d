# SPDX-License-Identifier: Apache-2.0
"""How sure a success rate is."""

import numpy as np


def wilson95(successes: int, episodes: int) -> tuple[float, float]:
    """95 % Wilson score interval of a success rate (Wilson 1927, z = 1.96)."""
    if episodes == 0:
        return 0.0, 1.0
    z, rate = 1.959964, successes / episodes
    centre = rate + z * z / (2 * episodes)
    half = z * np.sqrt(rate * (1 - rate) / episodes + z * z / (4 * episodes**2))
    scale = 1 + z * z / episodes
    return float(max(0.0, (centre - half) / scale)), float(min(1.0, (centre + half) / scale))
