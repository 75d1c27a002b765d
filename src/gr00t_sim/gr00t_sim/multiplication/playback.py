# SPDX-License-Identifier: Apache-2.0
"""The segments of a source played in a new scene, each hand at its own pace, as far as the subtasks' order allows.

When a subtask begins, its segment is carried over to where its reference stands then; a bridge leads the hand there from
where it was told to be last. Hands of a coordinated subtask begin together and their bridges are equally long, so that
they stay in step. A hand with nothing to do holds still.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.multiplication.geometry import (
    Place,
    bridge,
    bridge_steps,
    carried_over,
    facing,
    stretched,
    swung,
    turn_between,
)
from gr00t_sim.multiplication.segmentation import Segment
from gr00t_sim.multiplication.subtasks import PlannedSubtask

Array = NDArray[np.float64]

LEAST_BRIDGE_STEPS = 4
_MOST_M, _MOST_RAD = 0.45 * 0.05, 2.0 * 0.05  # per step of a bridge: the experts' speeds


@dataclass(frozen=True)
class HandCommand:
    """Where a hand is to be next: grasp-site pose (4, 4), fingers (6,), whether to imitate that; holds: it waits there."""

    pose: Array
    fingers: Array
    valid: bool = True
    holds: bool = False


class Playback:
    """Ask ``step`` once per period; ``finished`` then tells how many subtasks are done, ``over`` when all are."""

    def __init__(
        self,
        subtasks: tuple[PlannedSubtask, ...],
        segments: tuple[Segment, ...],
        start: dict[str, HandCommand],
        place_of: Callable[[str], Place],
        folds_of: Callable[[str], int],
        least_bridge_steps: int = LEAST_BRIDGE_STEPS,
    ) -> None:
        """subtasks: of the new scene, one for each of the source's segments; folds_of: symmetry, see ``turn_between``."""
        self._subtasks, self._segments = subtasks, segments
        self._place_of, self._folds_of, self._least = place_of, folds_of, least_bridge_steps
        self._last = dict(start)
        self._waiting = {
            side: [number for number, one in enumerate(subtasks) if side in one.hands]
            for side in start
            if any(side in one.hands for one in subtasks)
        }
        self._running: dict[str, list[HandCommand]] = {side: [] for side in self._waiting}
        self._doing: dict[str, int] = {}
        self.finished: set[int] = set()

    @property
    def over(self) -> bool:
        return len(self.finished) == len(self._subtasks)

    @property
    def doing(self) -> tuple[str, ...]:
        """Names of the subtasks that are being done."""
        return tuple(dict.fromkeys(self._subtasks[number].name for number in self._doing.values()))

    def step(self) -> dict[str, HandCommand]:
        """What each hand that has a part in the task is to do next."""
        self._finish()
        while self._begin():  # a segment may be empty
            self._finish()
        for side, commands in self._running.items():
            self._last[side] = commands.pop(0) if commands else replace(self._last[side], valid=True, holds=True)
        return {side: self._last[side] for side in self._waiting}

    def _finish(self) -> None:
        for number in set(self._doing.values()):
            hands = self._subtasks[number].hands
            if not any(self._running[side] for side in hands):
                self.finished.add(number)
                for side in hands:
                    del self._doing[side]

    def _begin(self) -> bool:
        """Begin what can begin now; returns whether anything did."""
        began = False
        for number, subtask in enumerate(self._subtasks):
            next_for_all = all(
                self._waiting[side][:1] == [number] and side not in self._doing for side in subtask.hands
            )
            if next_for_all and (subtask.after is None or subtask.after in self.finished):
                self._lay_out(number)
                for side in subtask.hands:
                    self._waiting[side].pop(0)
                    self._doing[side] = number
                began = True
        return began

    def _lay_out(self, number: int) -> None:
        subtask, segment = self._subtasks[number], self._segments[number]
        hands = dict(zip(subtask.hands, segment.subtask.hands, strict=True))
        if not len(segment.motions[hands[subtask.hands[0]]]):
            return
        shown_poses = {side: segment.motions[theirs].poses for side, theirs in hands.items()}
        carried = {side: self._carried(subtask, segment, poses) for side, poses in shown_poses.items()}
        steps = max(
            bridge_steps(self._last[side].pose, poses[0], _MOST_M, _MOST_RAD, self._least)
            for side, poses in carried.items()
        )
        for side, poses in carried.items():
            shown, last = segment.motions[hands[side]], self._last[side]
            way = bridge(last.pose, poses[0], steps)
            parts = np.arange(1, steps + 1)[:, None] / (steps + 1)
            fingers = last.fingers + parts * (shown.fingers[0] - last.fingers)
            self._running[side] = [HandCommand(*pair) for pair in zip(way, fingers, strict=True)]
            self._running[side] += [
                HandCommand(pose, joints, bool(valid))
                for pose, joints, valid in zip(poses, shown.fingers, shown.valid, strict=True)
            ]

    def _carried(self, subtask: PlannedSubtask, segment: Segment, poses: Array) -> Array:
        """Poses (N, 4, 4) of the source, moved with the subtask's reference."""
        if subtask.body is None or segment.start is None:
            return poses
        here = self._place_of(subtask.body)
        if subtask.way_to is None or segment.goes_to is None:
            return carried_over(segment.start, here, self._folds_of(subtask.body)) @ poses
        goal = self._place_of(subtask.way_to)
        if subtask.following == "swung":
            last_turn_rad = turn_between(segment.goes_to.yaw_rad, goal.yaw_rad, 1)
            return swung(poses, segment.start, here, segment.shut, last_turn_rad)
        moved = carried_over(facing(segment.start, segment.goes_to), facing(here, goal), 1) @ poses
        if subtask.following == "turned":
            return moved
        way, shown = goal.position - here.position, segment.goes_to.position - segment.start.position
        longer_m = float(np.linalg.norm(way[:2]) - np.linalg.norm(shown[:2]))
        along = np.array([*way[:2], 0.0]) / max(float(np.linalg.norm(way[:2])), 1e-9)
        return stretched(moved, longer_m * along)
