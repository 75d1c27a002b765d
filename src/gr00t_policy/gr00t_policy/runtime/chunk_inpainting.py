# SPDX-License-Identifier: Apache-2.0
"""The mode 'rtc': a new chunk is computed so that it continues the old one (real-time chunking, arXiv 2506.07339).

The steps that will have been executed before the new chunk is there are given to the network and stay as they are; those
after them are held to the old plan less and less, by the paper's weights c (exp(c) - 1) / (exp(1) - 1), c falling from 1 to 0
over what the two chunks share. The paper pulls the flow there by the gradient of each Euler step, which costs a backward
pass that a compiled network does not have. Here the network's Euler steps are in-painted instead (see ``KnownActions``), in the
manner of RePaint: no training, no backward pass, and the frozen steps come out exactly.

The paper evaluates once per several executed steps. Where chunks come more often than ten times a second the weights are
raised to the power elapsed / 0.1 s, so that what ten chunks a second forget is forgotten in the same time; otherwise 120
evaluations a second, each held to the last, would never turn.
"""

import math

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.chunking import ChunkBlender
from gr00t_policy.runtime.interpolation import at_steps

_PERIOD_NS = 100_000_000


class ChunkInpainter(ChunkBlender):
    """The plan continues in each new chunk; what little they differ at the seam is passed over within one step."""

    def __init__(self, joints: int, *, smooth: bool = False) -> None:
        super().__init__(joints, 0.0, smooth=smooth)

    @property
    def begins_ns(self) -> int:
        return round(self._origin_ns + self._dropped * self._cell_ns) if not self._empty else 0

    def guide(self, stamp_ns: int, ready_ns: int) -> Guide | None:
        with self._lock:
            if self.begins_anew(stamp_ns):
                return None
            times = stamp_ns + self._step_ns * np.arange(self._steps)
            places = (np.minimum(times, self.end_ns) - self._origin_ns) / self._cell_ns - self._dropped
            positions = at_steps(self._plan[: self._cells], np.maximum(places, 0.0))
            elapsed = (stamp_ns - self._newest_ns) / _PERIOD_NS
            shared_ns = max(self.end_ns - ready_ns, 1)
        left = np.clip((self.end_ns - times) / shared_ns, 0.0, 1.0)
        soft = (left * np.expm1(left) / math.expm1(1.0)) ** min(max(elapsed, 0.0), 1.0)
        weights = np.where(times <= ready_ns, 1.0, np.where(left > 0, soft, 0.0))
        return Guide(positions, weights)

    def _share(self, chunk: ActionChunk, first: int, stop: int, now_ns: int | None) -> float | NDArray[np.float64]:
        if now_ns is None:
            return 1.0
        # Where the chunk begins after now (in every tick, or with latency compensated) the last cell that stays is before it.
        seam_ns = max(now_ns, round(chunk.stamp_ns - self._cell_ns))
        return np.clip(self._steps_since(seam_ns, first, stop), 0.0, 1.0)[:, None]
