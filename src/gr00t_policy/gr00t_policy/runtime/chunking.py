# SPDX-License-Identifier: Apache-2.0
"""The mode 'blend': action chunks become one plan on absolute time, without a jump, sampled at any time.

The plan lies on a fixed grid, finer than the chunks' steps and anchored at the first chunk, so that nothing is smeared
however often chunks come. Each new chunk is blended into the part that lies ahead; the share of the new one grows with the
time since the last chunk, 1 - exp(-dt / blend_time_s), so that evaluating 20 or 120 times a second smooths alike.
"""

import math

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_plan import ChunkPlan
from gr00t_policy.runtime.config import BLEND_TIME_S
from gr00t_policy.runtime.interpolation import at_steps, slopes_at

_NS = 1_000_000_000
_CELLS_PER_STEP = 4  # chunks at 20 Hz: a cell is 12.5 ms
_ROOM = 4  # chunk lengths; when the plan has moved through it, the past is dropped


class ChunkBlender(ChunkPlan):
    """Plan of joint targets (J,) [rad] over time.

    blend_time_s: memory of the plan; 0 takes each new chunk as it is. joints: J. smooth: a curve between the chunks' steps
    instead of straight lines. A chunk that comes after its own first step is joined there within one step instead of at once.
    """

    def __init__(self, joints: int, blend_time_s: float = BLEND_TIME_S, *, smooth: bool = False) -> None:
        self._blend_time_s, self._smooth = blend_time_s, smooth
        super().__init__(joints)

    def _at(self, time_ns: int) -> NDArray[np.float64]:
        """Linear between cells."""
        place = max(self._place(time_ns), 0.0)
        cell = min(int(place), self._cells - 2)
        here = self._plan[cell]
        return here + (place - cell) * (self._plan[cell + 1] - here)

    def _place(self, time_ns: int) -> float:
        """Where a time lies on the grid, in cells."""
        return (time_ns - self._origin_ns) / self._cell_ns - self._dropped

    def _begin(self, chunk: ActionChunk) -> None:
        self._cell_ns = self._step_ns / _CELLS_PER_STEP
        self._origin_ns, self._dropped = chunk.stamp_ns, 0
        self._cells = max(self._steps - 1, 1) * _CELLS_PER_STEP + 1
        self._plan = np.zeros((_ROOM * self._cells, self._joints))
        self._plan[: self._cells] = self._drawn(chunk, np.arange(self._cells) / _CELLS_PER_STEP)

    def _drawn(self, chunk: ActionChunk, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """The chunk at fractional steps (N,) -> (N, J)."""
        return at_steps(chunk.positions, steps, slopes_at(chunk.positions) if self._smooth else None)

    def _join(self, chunk: ActionChunk, now_ns: int | None) -> None:
        start = self._place(chunk.stamp_ns)
        first = int(start)
        if first + self._steps * _CELLS_PER_STEP >= len(self._plan):
            self._drop(first - _CELLS_PER_STEP)
            return self._join(chunk, now_ns)
        # From the cell before the first step to the cell after the last one: both ends are reached exactly.
        stop = math.ceil(start + (self._steps - 1) * _CELLS_PER_STEP) + 1
        new = self._drawn(chunk, (np.arange(first, stop) - start) / _CELLS_PER_STEP)
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
        return share * np.clip(self._steps_since(now_ns, first, stop), 0.0, 1.0)[:, None]

    def _steps_since(self, time_ns: int, first: int, stop: int) -> NDArray[np.float64]:
        """How long after ``time_ns`` each of the cells lies, in the chunks' steps."""
        return (np.arange(first, stop) - self._place(time_ns)) / _CELLS_PER_STEP

    def _drop(self, cells: int) -> None:
        """Forget the oldest cells, to make room at the end."""
        self._cells -= cells
        self._plan[: self._cells] = self._plan[cells : cells + self._cells].copy()
        self._dropped += cells
