# SPDX-License-Identifier: Apache-2.0
"""Recorded joint states where the checkpoint was never trained: of another robot, with other signs or names, or another task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import Aligned
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.statistics import Statistics

_BEYOND_RAD = 0.15  # less is a pose that a demonstration more would have held
_OFTEN = 0.2


@dataclass(frozen=True)
class TrainingRange:
    """Lowest and highest joint state (J,) [rad] of the training data; infinite where it is not known."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Stranger:
    """A joint that is recorded outside of the training data: at which share of the moments, and how far at most."""

    joint: str
    share: float
    beyond_rad: float


def training_range(statistics: Statistics, robot: Embodiment) -> TrainingRange:
    """Of the groups whose statistics are of joints."""
    low = np.full(len(robot.policy_joints), -np.inf)
    high = -low
    for group, part in robot.policy_slices.items():
        keys = statistics.state.get(group)
        if keys is not None and len(keys.min) == part.stop - part.start:
            low[part], high[part] = keys.min, keys.max
    return TrainingRange(low, high)


def strangers(bags: Sequence[Aligned], trained: TrainingRange) -> list[Stranger]:
    """Joints that are far outside at a fifth of the moments or more, the furthest first."""
    held = np.concatenate([bag.held for bag in bags])
    beyond = np.maximum(np.maximum(trained.low - held, held - trained.high), 0.0)
    shares = (beyond > _BEYOND_RAD).mean(axis=0)
    names = bags[0].robot.policy_joint_names
    found = [
        Stranger(names[joint], float(shares[joint]), float(beyond[:, joint].max()))
        for joint in np.flatnonzero(shares >= _OFTEN)
    ]
    return sorted(found, key=lambda each: -each.beyond_rad)
