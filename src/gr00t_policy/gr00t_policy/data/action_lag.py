# SPDX-License-Identifier: Apache-2.0
"""How many frames the measured state follows the commanded action: found by shifting one against the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Above encoder noise and below any motion with a purpose; both are our own choice.
MOVING_STD_RAD = 0.005
_LEAST_MATCH = 0.5
_LEAST_FRAMES = 6


@dataclass(frozen=True)
class ActionLag:
    """frames: the state equals the action of so many frames before; negative: the action was recorded after its effect.

    match: mean correlation of the moving joints at that shift, 1 = alike but for offset and scale. joints: how many moved.
    """

    frames: int
    match: float
    joints: int


def action_lag(
    actions: NDArray[np.floating], states: NDArray[np.floating], max_frames: int, *, absolute: bool = True
) -> ActionLag | None:
    """The shift within ± ``max_frames`` at which actions and states (N, J) of one group correlate best.

    absolute: False when an action is a difference to the step before; it is summed up first. None when too little moves
    or is recorded to tell, or nothing correlates. Offsets (gravity) and scales (a gripper's 0 and 1) do not matter.
    """
    reach = min(max_frames, (len(states) - _LEAST_FRAMES) // 2)
    if reach < 1 or actions.shape != states.shape or not (np.isfinite(actions).all() and np.isfinite(states).all()):
        return None
    given = np.asarray(actions, np.float64)
    given = given if absolute else given.cumsum(axis=0)
    measured = np.asarray(states, np.float64)
    rows = np.arange(reach, len(measured) - reach)
    moving = (given[rows].std(axis=0) > MOVING_STD_RAD) & (measured[rows].std(axis=0) > MOVING_STD_RAD)
    if not moving.any():
        return None
    left = _standardised(given[rows][:, moving])
    shifts = np.arange(-reach, reach + 1)
    matches = np.array([(left * _standardised(measured[rows + shift][:, moving])).mean() for shift in shifts])
    best = int(matches.argmax())
    if matches[best] < _LEAST_MATCH:
        return None
    return ActionLag(int(shifts[best]), float(matches[best]), int(moving.sum()))


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 per column; 0 where nothing changes."""
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 0, deviation, 1.0)
