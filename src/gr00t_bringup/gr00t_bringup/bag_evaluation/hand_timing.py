# SPDX-License-Identifier: Apache-2.0
"""When hands close and open: commanded by the policy beside done in the recording."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import Aligned, stretches
from gr00t_policy.core.embodiment import Embodiment

_WORDS = ("hand", "gripper", "finger")
_LEAST_RANGE_RAD = 0.2  # a hand that is moved by less does not close
_NEAR_S = 1.5  # events further apart are not the same
_BAND = 0.1  # of the range, on either side of the middle: a hand that trembles there closes once
_S_NS = 1_000_000_000


@dataclass(frozen=True)
class HandEvent:
    """A hand that closed (or opened) in bag number ``bag`` at ``done_s`` of it; early_s: how much sooner the policy would have.

    early_s is NaN when the policy would not have done so within 1.5 s.
    """

    bag: int
    group: str
    closes: bool
    done_s: float
    early_s: float


def hand_groups(robot: Embodiment) -> list[str]:
    """Groups of the policy that are hands, by their names."""
    return [group for group in robot.policy_groups if any(word in group.lower() for word in _WORDS)]


def hand_events(bags: Sequence[Aligned]) -> list[HandEvent]:
    """Every closing and opening in the recordings, where the policy drove, with its counterpart in the policy's commands."""
    found = []
    for number, bag in enumerate(bags):
        for group in hand_groups(bag.robot):
            found += _events_of(bag, number, group)
    return found


def _events_of(bag: Aligned, number: int, group: str) -> list[HandEvent]:
    part = bag.robot.policy_slices[group]
    shown, executed = bag.shown[:, part].mean(axis=1), bag.executed[:, part].mean(axis=1)
    if not bag.grid_known.any():
        return []
    low, high = np.percentile(shown[bag.grid_known], (2, 98))
    if high - low < _LEAST_RANGE_RAD:
        return []
    events = []
    seconds = (bag.grid_ns - bag.grid_ns[0]) / _S_NS
    predicted = _crossings(executed, bag.grid_known, low, high)
    for place, closes in _crossings(shown, bag.grid_known, low, high):
        distances = [seconds[place] - seconds[other] for other, also in predicted if also == closes]
        nearest = min(distances, key=abs, default=float("inf"))
        early_s = float(nearest) if abs(nearest) <= _NEAR_S else float("nan")
        events.append(HandEvent(number, group, closes, float(seconds[place]), early_s))
    return events


def _crossings(
    values: NDArray[np.float64], known: NDArray[np.bool_], low: float, high: float
) -> list[tuple[int, bool]]:
    """(place, True = upwards) where the middle is crossed, each time the band around it was left on the other side."""
    share = (values - low) / (high - low)
    found = []
    for part in stretches(known):
        side = 0
        for place in range(part.start, part.stop):
            now = 1 if share[place] > 0.5 + _BAND else -1 if share[place] < 0.5 - _BAND else 0
            if now and side and now != side:
                middle = place
                while middle > part.start and (share[middle - 1] - 0.5) * now > 0:
                    middle -= 1
                found.append((middle, now > 0))
            side = now or side
    return found
