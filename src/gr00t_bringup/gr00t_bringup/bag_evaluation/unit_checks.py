# SPDX-License-Identifier: Apache-2.0
"""Predictions that fit far better in other units, with another sign or under other joints' names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints

DEGREES = 180 / np.pi
# What is right must be far better than what is there, and what is there must be worse than not moving at all: a policy that is
# merely poor is not told that its units are wrong.
_FAR_BETTER = 0.4
_IMPROVED = 0.6  # of one joint, to be named
_LEAST_ERROR_RAD = 0.03


@dataclass(frozen=True)
class UnitFault:
    """kind: 'degrees', 'radians', 'order' or 'sign'. detail: what fits better, for people. better: share of the error left."""

    kind: str
    detail: str
    better: float


def unit_faults(bags: Sequence[Aligned]) -> list[UnitFault]:
    """What would explain the error; empty when predictions are as good as they are."""
    known = np.concatenate([bag.known for bag in bags])
    predicted, done = (np.concatenate([getattr(bag, name) for bag in bags])[known] for name in ("predicted", "done"))
    if not len(done):
        return []
    held = np.concatenate([np.broadcast_to(bag.held[:, None], bag.done.shape) for bag in bags])[known]
    moving = np.flatnonzero(moving_joints(bags))
    names = bags[0].robot.policy_joint_names
    here = np.abs(predicted - done).mean(axis=0)
    faults = _scales(predicted, done, held)
    if faults:
        return faults
    wrong = moving[here[moving] > np.maximum(np.abs(held - done).mean(axis=0)[moving], _LEAST_ERROR_RAD)]
    flipped = [
        joint for joint in wrong if np.abs(predicted[:, joint] + done[:, joint]).mean() < _FAR_BETTER * here[joint]
    ]
    if flipped:
        better = float(np.abs(predicted + done).mean(axis=0)[flipped].sum() / here[flipped].sum())
        listed = ", ".join(names[joint] for joint in flipped[:4])
        faults.append(UnitFault("sign", f"with the opposite sign they fit for {listed}", better))
    return faults + _order(predicted, done, [joint for joint in wrong if joint not in flipped], names)


def _scales(predicted: NDArray[np.float64], done: NDArray[np.float64], held: NDArray[np.float64]) -> list[UnitFault]:
    """All values alike in other units."""
    here, still = np.abs(predicted - done).mean(), np.abs(held - done).mean()
    if here <= max(still, _LEAST_ERROR_RAD):
        return []
    options = {
        "degrees": (1 / DEGREES, "predictions look like degrees where the recording has radians: divided by 57.3"),
        "radians": (DEGREES, "the recording looks like degrees where predictions are radians: multiplied by 57.3"),
    }
    for kind, (factor, text) in options.items():
        better = float(np.abs(factor * predicted - done).mean() / here)
        # A large factor makes anything small fit something small: the result must also beat staying in place, in kind.
        if better < _FAR_BETTER and _alike(predicted, done):
            return [UnitFault(kind, f"{text} they fit", better)]
    return []


def _alike(predicted: NDArray[np.float64], done: NDArray[np.float64]) -> bool:
    """Whether they agree but for one factor."""
    product, sizes = float((predicted * done).sum()), float(np.sqrt((predicted**2).sum() * (done**2).sum()))
    return sizes > 0 and product / sizes > 0.8


def _order(
    predicted: NDArray[np.float64], done: NDArray[np.float64], wrong: list[int], names: Sequence[str]
) -> list[UnitFault]:
    """Of the joints that are wrong: those whose motion another joint's prediction fits, each used once, best first."""
    cost = np.abs(predicted[:, None, wrong] - done[:, wrong, None]).mean(axis=0)  # (done, predicted)
    here = np.diag(cost).copy()
    pairs, taken_done, taken_predicted = [], set(), set()
    for place in np.argsort(cost, axis=None):
        to, source = divmod(int(place), len(wrong))
        if to in taken_done or source in taken_predicted:
            continue
        taken_done.add(to)
        taken_predicted.add(source)
        if to != source and cost[to, source] < _IMPROVED * here[to]:
            pairs.append((to, source))
    if len(pairs) < 2:
        return []
    better = float(sum(cost[pair] for pair in pairs) / sum(here[to] for to, _ in pairs))
    if better >= _FAR_BETTER:
        return []
    listed = ", ".join(f"{names[wrong[to]]} moves as {names[wrong[source]]} is predicted" for to, source in pairs[:4])
    more = f" and {len(pairs) - 4} more" if len(pairs) > 4 else ""
    return [UnitFault("order", f"with joints in another order they fit: {listed}{more}", better)]
