# SPDX-License-Identifier: Apache-2.0
"""Joins action chunks on one absolute time line, without a jump, and samples it at any time.

The plan lies on a fixed grid, finer than the chunks' steps and anchored at the first chunk, so that nothing is smeared
however often chunks come. Each new chunk is blended into the part that lies ahead; the share of the new one grows with the
time since the last chunk, 1 - exp(-dt / blend_time_s), so that evaluating 20 or 120 times a second smooths alike. A chunk is
never moved to "now": its step i belongs to its stamp + i * step_dt_s, and what of it is already past is not used.
"""

import math

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk

_NS = 1_000_000_000
_CLOCK_JUMP_NS = _NS
_CELLS_PER_STEP = 4  # chunks at 20 Hz: a cell is 12.5 ms
_ROOM = 4  # chunk lengths; when the plan has moved through it, the past is dropped


class ChunkBlender:
    """Plan of joint targets (J,) [rad] over time. Not thread-safe: one owner updates and samples.

    blend_time_s: memory of the plan; 0 takes each new chunk as it is. joints: J.
    """

    def __init__(self, joints: int, blend_time_s: float = 0.15) -> None:
        self._joints = joints
        self._blend_time_s = blend_time_s
        self.reset()

    def reset(self) -> None:
        """Forget the plan."""
        self._empty = True
        self._newest_ns = 0  # stamp of the newest chunk used
        self.end_ns = 0  # time of the last planned step; 0 when empty
        self.rejected = 0

    @property
    def empty(self) -> bool:
        return self._empty

    def exhausted(self, time_ns: int) -> bool:
        """True when nothing is planned for ``time_ns`` and sampling holds the last target."""
        return self._empty or time_ns > self.end_ns

    def update(self, chunk: ActionChunk, now_ns: int | None = None) -> bool:
        """Blend a chunk in. False (and counted) when it is not finite or older than the newest one used.

        now_ns: time of the next sample; a chunk that comes after its own first step is joined there within one step
        instead of at once. Older by more than a second means that the clock was set back: then a new time line begins.
        """
        older_ns = self._newest_ns - chunk.stamp_ns
        if not np.isfinite(chunk.positions).all() or (not self._empty and 0 < older_ns <= _CLOCK_JUMP_NS):
            self.rejected += 1
            return False
        step_ns = round(chunk.step_dt_s * _NS)
        same_line = not self._empty and older_ns <= 0 and step_ns == self._step_ns
        if same_line and not self.exhausted(chunk.stamp_ns) and self._fits(chunk):
            self._blend(chunk, now_ns)
        else:
            self._begin(chunk, step_ns)
        self._newest_ns = chunk.stamp_ns
        self.end_ns = chunk.stamp_ns + (len(chunk.positions) - 1) * step_ns
        return True

    def sample(self, time_ns: int) -> NDArray[np.float64]:
        """Target (J,) for ``time_ns``: linear between cells, the first or last target outside. Needs a plan."""
        assert not self._empty, "sample before the first chunk"
        place = max(self._place(min(time_ns, self.end_ns)), 0.0)
        cell = min(int(place), self._cells - 2)
        here = self._plan[cell]
        return here + (place - cell) * (self._plan[cell + 1] - here)

    def _place(self, time_ns: int) -> float:
        """Where a time lies on the grid, in cells."""
        return (time_ns - self._origin_ns) / self._cell_ns - self._dropped

    def _fits(self, chunk: ActionChunk) -> bool:
        return chunk.positions.shape == (self._steps, self._joints)

    def _begin(self, chunk: ActionChunk, step_ns: int) -> None:
        """A new time line that is this chunk."""
        self._steps, self._step_ns, self._cell_ns = len(chunk.positions), step_ns, step_ns / _CELLS_PER_STEP
        self._origin_ns, self._dropped = chunk.stamp_ns, 0
        self._cells = max(self._steps - 1, 1) * _CELLS_PER_STEP + 1
        self._plan = np.zeros((_ROOM * self._cells, self._joints))
        self._plan[: self._cells] = _at(chunk.positions, np.arange(self._cells) / _CELLS_PER_STEP)
        self._empty = False

    def _blend(self, chunk: ActionChunk, now_ns: int | None) -> None:
        start = self._place(chunk.stamp_ns)
        first = int(start)
        if first + self._steps * _CELLS_PER_STEP >= len(self._plan):
            self._drop(first - _CELLS_PER_STEP)
            return self._blend(chunk, now_ns)
        # From the cell before the first step to the cell after the last one: both ends are reached exactly.
        stop = math.ceil(start + (self._steps - 1) * _CELLS_PER_STEP) + 1
        new = _at(chunk.positions, (np.arange(first, stop) - start) / _CELLS_PER_STEP)
        known = min(self._cells, stop) - first
        if self._cells < stop:  # past its end the old plan goes on as the new chunk does
            self._plan[self._cells : stop] = new[known:] + (self._plan[self._cells - 1] - new[known - 1])
            self._cells = stop
        ahead = self._plan[first:stop]
        ahead += self._share(chunk, first, stop, now_ns) * (new - ahead)
        return None

    def _share(self, chunk: ActionChunk, first: int, stop: int, now_ns: int | None) -> float | NDArray[np.float64]:
        """How much of the new chunk the plan takes: everywhere the same, or rising over one step when the chunk is late."""
        elapsed_s = (chunk.stamp_ns - self._newest_ns) / _NS
        share = -math.expm1(-elapsed_s / self._blend_time_s) if self._blend_time_s > 0 else 1.0
        if now_ns is None or now_ns <= chunk.stamp_ns:
            return share
        late = (np.arange(first, stop) - self._place(now_ns)) / _CELLS_PER_STEP
        return share * np.clip(late, 0.0, 1.0)[:, None]

    def _drop(self, cells: int) -> None:
        """Forget the oldest cells, to make room at the end."""
        self._cells -= cells
        self._plan[: self._cells] = self._plan[cells : cells + self._cells].copy()
        self._dropped += cells


def _at(positions: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chunk (T, J) at fractional steps (N,) -> (N, J); just outside its ends it goes on straight."""
    if len(positions) == 1:
        return np.repeat(positions, len(steps), axis=0)
    index = np.clip(steps.astype(np.intp), 0, len(positions) - 2)
    here = positions[index]
    return here + (steps - index)[:, None] * (positions[index + 1] - here)
