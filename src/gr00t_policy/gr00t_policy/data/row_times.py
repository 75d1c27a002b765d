# SPDX-License-Identifier: Apache-2.0
"""Whether rows and pictures are as far apart as the dataset says: learnt at another speed, a motion is driven at it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError

# Recorders stamp with the jitter of their clocks, some milliseconds. From half a frame on a row is nearer to another one's
# place: one is lost or doubled, or the rate is another. Stamps in float32 (ours, LeRobot's) move a row by 1 % of a frame
# after two hours of 20 Hz.
_STEP = 0.5
# Clocks of cameras run by up to a percent apart (29.97 for 30); so does ``gr00t data check`` tell rates apart.
SAME_RATE = 0.02


def require_regular_times(path: Path, times_s: NDArray[np.float64], fps: float) -> None:
    """times_s: (N,) stamps of the rows in the file ``path``. Raises DatasetError when they are not 1 / fps apart."""
    steps = np.diff(times_s) * fps  # in frames
    wrong = np.flatnonzero(~(np.abs(steps - 1) <= _STEP))  # also NaN
    if len(wrong):
        row = int(wrong[0]) + 1
        found = f"row {row} is {steps[row - 1] / fps:.4f} s after the one before"
    elif len(steps) and abs(steps.sum() - len(steps)) > max(_STEP, SAME_RATE * len(steps)):
        found = f"rows are {steps.mean() / fps:.4f} s apart"
    else:
        return
    raise DatasetError(
        f"{path}: {found}, timestamps must be {1 / fps:.4f} s apart as fps {fps:g} in info.json demands; "
        "`gr00t data check DATASET` says where else"
    )
