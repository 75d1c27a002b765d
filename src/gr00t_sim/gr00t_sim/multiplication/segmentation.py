# SPDX-License-Identifier: Apache-2.0
"""Cuts a demonstration into its subtasks: where each ends is told by what was lifted, let go and touched."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.multiplication.geometry import Place
from gr00t_sim.multiplication.meeting import let_go, presented, received
from gr00t_sim.multiplication.subtasks import PlannedSubtask
from gr00t_sim.multiplication.trace import SegmentationError, Trace
from gr00t_sim.tasks.place_task import LIFTED_M

_HIGH_SHARE = 0.8  # lifted: this share of the way to the highest point of the last carry
_ON_TABLE_M = 0.015
_CLEAR_M = 0.20  # grasp point to the object's centre
_UPRIGHT_COS, _UP_AGAIN_M = 0.95, 0.01


@dataclass(frozen=True)
class HandMotion:
    """What one hand was told during a subtask: grasp-site poses (N, 4, 4) [m], fingers (N, 6) [rad], whether to imitate (N,)."""

    poses: NDArray[np.float64]
    fingers: NDArray[np.float64]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class Segment:
    """The part of a demonstration that shows one subtask. start: where its reference stood as it began; None: the world.

    goes_to: where the end of its way stood then, if it follows one; shut: see ``geometry.swung``, (N,) if it swings.
    """

    subtask: PlannedSubtask
    first_row: int
    motions: dict[str, HandMotion]
    start: Place | None
    goes_to: Place | None = None
    shut: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def boundaries(trace: Trace) -> list[tuple[int, int]]:
    """(first row, row after the last) of each subtask of the trace's plan. Raises SegmentationError."""
    free_from: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for subtask in trace.plan:
        waits = [free_from.get(hand, 0) for hand in subtask.hands]
        if subtask.after is not None:
            waits.append(found[subtask.after][1])
        first = max(waits)
        end = _end(subtask, trace, first)
        found.append((first, end))
        free_from |= dict.fromkeys(subtask.hands, end)
    return found


def _end(subtask: PlannedSubtask, trace: Trace, first: int) -> int:
    if subtask.until == "end" or first >= len(trace):
        return len(trace)
    hand = subtask.hands[0]
    if subtask.until == "touched":
        assert subtask.body is not None
        return _first_true(trace.touching[hand, subtask.body], first, f"the {hand} hand never touched {subtask.body}")
    if subtask.until == "parted":
        touched = np.flatnonzero(trace.touching[hand, subtask.object])
        return max(first, int(touched[-1]) + 1) if len(touched) else first
    if subtask.until == "lifted":
        return _lifted(trace, subtask, hand, first)
    if subtask.until == "presented":
        return max(first, presented(trace, subtask.object, subtask.lead))
    if subtask.until == "received":
        return max(first, received(trace, subtask.object, subtask.lead))
    if subtask.until == "poured":
        return _poured(trace, subtask, hand, first)
    if subtask.until == "released":
        return let_go(trace, subtask.object, hand, first)
    objects = np.array([place.position for place in trace.places[subtask.object]])
    far = np.linalg.norm(trace.grasp_points[hand] - objects, axis=1) > _CLEAR_M
    return first + int(np.argmax(far[first:])) if far[first:].any() else len(trace)


def _lifted(trace: Trace, subtask: PlannedSubtask, hand: str, first: int) -> int:
    """The first row of the last carry in which the object is most of the way up."""
    heights = np.array([place.position[2] for place in trace.places[subtask.object]])
    risen = heights - heights[0]
    touched = np.flatnonzero(trace.touching[hand, subtask.object])
    held_until = int(touched[-1]) + 1 if len(touched) else first
    if held_until <= first or risen[first:held_until].max() < LIFTED_M:
        raise SegmentationError(f"the {hand} hand never lifted {subtask.object}")
    top = first + int(np.argmax(risen[first:held_until]))
    low = np.flatnonzero(risen[first:top] < _ON_TABLE_M)
    since = first + int(low[-1]) if len(low) else first
    return since + int(np.argmax(risen[since : top + 1] >= _HIGH_SHARE * risen[top]))


def _poured(trace: Trace, subtask: PlannedSubtask, hand: str, first: int) -> int:
    """The first row in which the object, upright after it was last tipped, is up again, above what it was emptied into."""
    tipped = np.flatnonzero(trace.upright[subtask.object][first:] < _UPRIGHT_COS)
    heights = np.array([place.position[2] for place in trace.places[subtask.object]])
    if not len(tipped) or first + int(tipped[-1]) + 1 == len(trace):
        raise SegmentationError(f"the {hand} hand never tipped {subtask.object} and set it upright again")
    since = first + int(tipped[-1]) + 1
    return since + int(np.argmax(heights[since:] > heights[since:].max() - _UP_AGAIN_M))


def _first_true(seen: NDArray[np.bool_], first: int, otherwise: str) -> int:
    if not seen[first:].any():
        raise SegmentationError(otherwise)
    return first + int(np.argmax(seen[first:]))
