# SPDX-License-Identifier: Apache-2.0
"""By how much predicted motion is late or early: the shift at which it is most like what was done."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import MOVED_RAD, Aligned, moving_joints

REACH_S = 0.6
_STEP_S = 0.01
_LEAST_VALUES = 20
_S_NS = 1_000_000_000


@dataclass(frozen=True)
class TimeShift:
    """late_s: positive when predicted motion comes after the recorded one. match: correlation of all joints
    there, match_unshifted: at no shift."""

    late_s: float
    match: float
    match_unshifted: float


def chunk_shift(bags: Sequence[Aligned], columns: NDArray[np.bool_] | None = None) -> TimeShift | None:
    """Of all steps of all chunks. columns: (J,) which joints; default: all that moved. None when nothing can be told."""
    return _shift(bags, columns, [(bag.due_ns.ravel(), _flat(bag.predicted)) for bag in bags])


def executed_shift(bags: Sequence[Aligned]) -> TimeShift | None:
    """Of the blended commands, which are one tick ahead."""
    return _shift(bags, None, [(bag.grid_ns[bag.grid_known], bag.executed[bag.grid_known]) for bag in bags])


def _shift(
    bags: Sequence[Aligned],
    columns: NDArray[np.bool_] | None,
    motions: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> TimeShift | None:
    """motions: (times (N,) [ns], positions (N, J)) of each bag."""
    moving = moving_joints(bags)
    moving = moving if columns is None else moving & columns
    shifts_s = np.arange(-REACH_S, REACH_S + _STEP_S / 2, _STEP_S)
    matches = np.zeros(len(shifts_s))
    used = 0
    for bag, (times_ns, motion) in zip(bags, motions, strict=True):
        # Only what has a counterpart at every shift: else another shift would be judged on other moments.
        reach_ns = round(REACH_S * _S_NS)
        inside = (times_ns - reach_ns >= bag.recorded.times_ns[0]) & (times_ns + reach_ns <= bag.recorded.times_ns[-1])
        if inside.sum() < _LEAST_VALUES:
            continue
        seen = motion[inside][:, moving]
        if np.ptp(seen, axis=0).max(initial=0.0) < MOVED_RAD:
            continue
        used += 1
        for place, shift_s in enumerate(shifts_s):
            done, _ = bag.recorded.at(times_ns[inside] - round(shift_s * _S_NS))
            matches[place] += _alike(seen, done[:, moving])
    if not used:
        return None
    matches /= used
    best = int(matches.argmax())
    return TimeShift(
        late_s=float(shifts_s[best] + _STEP_S * _vertex(matches, best)),
        match=float(matches[best]),
        match_unshifted=float(matches[len(shifts_s) // 2]),
    )


def _flat(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(-1, values.shape[-1])


def _vertex(values: NDArray[np.float64], best: int) -> float:
    """Where between the neighbours of the best value the parabola through the three is highest."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation of all joints together, each about its own mean: those that move more count more."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    sizes = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / sizes if sizes > 0 else 0.0
