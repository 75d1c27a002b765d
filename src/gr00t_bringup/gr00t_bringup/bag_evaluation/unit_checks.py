# SPDX-License-Identifier: Apache-2.0
"""Predictions that fit far better in other units, with another sign or under other joints' names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints

DEGREES = 180 / np.pi
IN_DEGREES = "recording_in_degrees"
# What is right must be far better than what is there, and what is there must be worse than not moving at all: a policy that is
# merely poor is not told that its units are wrong.
_FAR_BETTER = 0.4
_IMPROVED = 0.6  # of one joint, to be named
_LEAST_ERROR_RAD = 0.03
_TWO_TURNS_RAD = 4 * np.pi  # no joint of a robot goes there
_SAME_MOTION = 0.7  # correlation: what stands still fits something by chance, what moves does not


@dataclass(frozen=True)
class UnitFault:
    """kind: 'recording_in_degrees', 'degrees', 'order' or 'sign'. detail: what fits better, for people. better: share of the
    error that is left then, NaN where it was not tried."""

    kind: str
    detail: str
    better: float


def unit_faults(bags: Sequence[Aligned]) -> list[UnitFault]:
    """What would explain the error; empty when predictions are as good as they are."""
    highest = max(
        float(np.abs(values).max(initial=0.0)) for bag in bags for values in (bag.held, bag.recorded.positions)
    )
    if highest > _TWO_TURNS_RAD:
        text = f"the recording looks like degrees: its joints reach {highest:.0f}, as radians more than two turns"
        return [UnitFault(IN_DEGREES, text, float("nan"))]
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
    same = _correlations(done, predicted)
    flipped = [
        joint
        for joint in wrong
        if same[joint, joint] < -_SAME_MOTION
        and np.abs(predicted[:, joint] + done[:, joint]).mean() < _FAR_BETTER * here[joint]
    ]
    if flipped:
        better = float(np.abs(predicted + done).mean(axis=0)[flipped].sum() / here[flipped].sum())
        listed = ", ".join(names[joint] for joint in flipped[:4])
        faults.append(UnitFault("sign", f"with the opposite sign they fit for {listed}", better))
    return faults + _order(predicted, done, same, [joint for joint in wrong if joint not in flipped], names)


def _scales(predicted: NDArray[np.float64], done: NDArray[np.float64], held: NDArray[np.float64]) -> list[UnitFault]:
    """All values alike in other units."""
    here, still = np.abs(predicted - done).mean(), np.abs(held - done).mean()
    if here <= max(still, _LEAST_ERROR_RAD):
        return []
    for kind, factor in (("divided", 1 / DEGREES), ("multiplied", DEGREES)):
        better = float(np.abs(factor * predicted - done).mean() / here)
        # A factor makes anything small fit something small: they must also move alike.
        if better < _FAR_BETTER and _alike(predicted, done):
            looks = "look like degrees" if factor < 1 else "look as if turned into radians twice"
            text = f"predictions {looks}: {kind} by 57.3 they fit"
            return [UnitFault("degrees", text, better)]
    return []


def _alike(predicted: NDArray[np.float64], done: NDArray[np.float64]) -> bool:
    """Whether they agree but for one factor, in where they are and in how they move."""

    def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        sizes = float(np.sqrt((one**2).sum() * (other**2).sum()))
        return float((one * other).sum()) / sizes if sizes > 0 else 0.0

    moved = cosine(predicted - predicted.mean(axis=0), done - done.mean(axis=0))
    return cosine(predicted, done) > _SAME_MOTION and moved > _SAME_MOTION


def _correlations(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(J, J) of each column with each; 0 for what stands still."""

    def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
        deviation = values.std(axis=0)
        return (values - values.mean(axis=0)) / np.where(deviation > 1e-6, deviation, np.inf)

    return standardised(one).T @ standardised(other) / len(one)


def _order(
    predicted: NDArray[np.float64],
    done: NDArray[np.float64],
    same: NDArray[np.float64],
    wrong: list[int],
    names: Sequence[str],
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
        moves_alike = same[wrong[to], wrong[source]] > _SAME_MOTION
        if to != source and moves_alike and cost[to, source] < _IMPROVED * here[to]:
            pairs.append((to, source))
    if len(pairs) < 2:
        return []
    better = float(sum(cost[pair] for pair in pairs) / sum(here[to] for to, _ in pairs))
    if better >= _FAR_BETTER:
        return []
    listed = ", ".join(f"{names[wrong[to]]} moves as {names[wrong[source]]} is predicted" for to, source in pairs[:4])
    more = f" and {len(pairs) - 4} more" if len(pairs) > 4 else ""
    return [UnitFault("order", f"with joints in another order they fit: {listed}{more}", better)]
