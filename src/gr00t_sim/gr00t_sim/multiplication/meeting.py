# SPDX-License-Identifier: Apache-2.0
"""When, in a demonstration, a thing goes from hand to hand: it is presented, then both hold it, then the giver lets go."""

import numpy as np

from gr00t_sim.multiplication.trace import SegmentationError, Trace
from gr00t_sim.robot import SIDES

_THERE_M = 0.03  # of where the thing changes hands
_UNTOUCHED_ROWS = 3  # let go: not a finger for so long
_OPENING_SHARE = 0.1  # of the way from the grip to the fingers as they let go
_STILL_RAD = 1e-3


def let_go(trace: Trace, name: str, hand: str, first: int) -> int:
    """The first row, from ``first`` on, in which a hand has let go of a thing. Raises SegmentationError."""
    free = ~trace.touching[hand, name][first:]
    free_for_long = np.convolve(free, np.ones(_UNTOUCHED_ROWS), "valid") == _UNTOUCHED_ROWS
    if not free_for_long.any():
        raise SegmentationError(f"the {hand} hand never let go of {name}")
    return first + int(np.argmax(free_for_long))


def presented(trace: Trace, name: str, giving: str) -> int:
    """The first row in which the giving hand stays where it will give, and the other one has not touched the thing.

    Raises SegmentationError when the thing is never in both hands.
    """
    shared, end = _shared(trace, name, giving)
    points = trace.grasp_points[giving]
    away = np.flatnonzero(np.linalg.norm(points[:end] - points[end - 1], axis=1) > _THERE_M)
    there = int(away[-1]) + 1 if len(away) else 0
    return min(there, shared)


def received(trace: Trace, name: str, giving: str) -> int:
    """The first row in which the giving hand, while both hold the thing, begins to open. Raises SegmentationError."""
    return _shared(trace, name, giving)[1]


def _shared(trace: Trace, name: str, giving: str) -> tuple[int, int]:
    """(first row in which both hands touch the thing, row in which the giving hand begins to let it go)."""
    receiving = next(side for side in SIDES if side != giving)
    both = trace.touching[giving, name] & trace.touching[receiving, name]
    if not both.any():
        raise SegmentationError(f"{name} was never in both hands")
    first = int(np.argmax(both))
    gone = let_go(trace, name, giving, first)
    opened = np.linalg.norm(trace.fingers[giving][first : gone + 1] - trace.fingers[giving][first], axis=1)
    end = int(np.flatnonzero(opened <= _OPENING_SHARE * opened[-1])[-1])
    while end > 0 and opened[end - 1] < opened[end] - _STILL_RAD:  # back to where the opening began
        end -= 1
    return first, first + end + 1
