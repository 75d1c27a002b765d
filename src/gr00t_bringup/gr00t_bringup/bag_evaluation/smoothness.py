# SPDX-License-Identifier: Apache-2.0
"""How smooth the commanded motion is beside the demonstrated one, and how much successive chunks contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import GRID_HZ, Aligned, moving_joints, stretches
from gr00t_bringup.bag_evaluation.hand_timing import hand_groups

ORDERS = {"velocity_rad_s": 1, "acceleration_rad_s2": 2, "jerk_rad_s3": 3}
JUMPS = 2.5  # times a joint's usual motion in a step: a larger jump is one
_S_NS = 1_000_000_000


def smoothness(bags: Sequence[Aligned]) -> dict[str, Any]:
    """Root mean squares of first, second and third differences at 50 Hz: <name>.{policy, recorded, ratio}; over the joints
    that were moved, where both are known. Without the hands, which snap, unless only they were moved.
    """
    moving, hands = moving_joints(bags), np.zeros(len(bags[0].robot.policy_joints), np.bool_)
    for group in hand_groups(bags[0].robot):
        hands[bags[0].robot.policy_slices[group]] = True
    columns = moving & ~hands if (moving & ~hands).any() else moving
    result = {}
    for name, order in ORDERS.items():
        values = {"policy": _rms(bags, "executed", columns, order), "recorded": _rms(bags, "shown", columns, order)}
        ratio = values["policy"] / values["recorded"] if values["recorded"] > 0 else float("nan")
        result[name] = {**values, "ratio": ratio}
    return result


@dataclass(frozen=True)
class Borders:
    """Jumps from one chunk to the next at the next one's first step, of the joint that jumps most beside its usual motion.

    p95_rad, largest_rad: 95th percentile and largest. usual_rad: as much as it was moved within a chunk's step, 95th
    percentile. worst_s: when the largest was, from the bag's first chunk on.
    """

    joint: str
    p95_rad: float
    largest_rad: float
    usual_rad: float
    worst_s: float


def chunk_borders(bags: Sequence[Aligned]) -> Borders | None:
    """None when there are no two chunks that overlap."""
    jumps, times_s, moved = [], [], []
    for bag in bags:
        for before in range(len(bag.predicted) - 1):
            jump = _jump(bag, before)
            if jump is not None:
                jumps.append(jump)
                times_s.append((bag.made_ns[before + 1] - bag.made_ns[0]) / _S_NS)
        moved.append(np.abs(np.diff(bag.done, axis=1))[bag.known[:, 1:]])
    steps = np.concatenate(moved)
    if not jumps or not len(steps):
        return None
    table = np.stack(jumps)
    p95, usual = np.percentile(table, 95, axis=0), np.percentile(steps, 95, axis=0)
    joint = int((p95 - JUMPS * usual).argmax())
    worst = int(table[:, joint].argmax())
    name = bags[0].robot.policy_joint_names[joint]
    return Borders(name, float(p95[joint]), float(table[worst, joint]), float(usual[joint]), float(times_s[worst]))


def _jump(bag: Aligned, before: int) -> NDArray[np.float64] | None:
    """(J,) what the next chunk's first step changes of what this one says for that moment."""
    place = (bag.due_ns[before + 1, 0] - bag.due_ns[before, 0]) / _S_NS / bag.step_s if bag.step_s else -1.0
    index = int(place)
    if not 0 <= place < bag.predicted.shape[1] - 1:
        return None
    here, after = bag.predicted[before, index], bag.predicted[before, index + 1]
    return np.abs(bag.predicted[before + 1, 0] - (here + (place - index) * (after - here)))


def _rms(bags: Sequence[Aligned], which: str, columns: NDArray[np.bool_], order: int) -> float:
    squares = [
        (np.diff(getattr(bag, which)[part][:, columns], order, axis=0) * GRID_HZ**order) ** 2
        for bag in bags
        for part in stretches(bag.grid_known)
        if part.stop - part.start > order
    ]
    values = np.concatenate(squares) if squares else np.zeros((0, 1))
    return float(np.sqrt(values.mean())) if values.size else float("nan")
