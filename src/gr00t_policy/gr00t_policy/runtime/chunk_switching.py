# SPDX-License-Identifier: Apache-2.0
"""The mode 'switch': each new chunk replaces the plan at once, as many published loops do; the others are measured by it."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_plan import ChunkPlan
from gr00t_policy.runtime.interpolation import at_steps, slopes_at


class ChunkSwitcher(ChunkPlan):
    """The newest chunk alone. Where it differs from the one before, the target jumps."""

    def __init__(self, joints: int, *, smooth: bool = False) -> None:
        self._smooth = smooth
        super().__init__(joints)

    def _begin(self, chunk: ActionChunk) -> None:
        self._chunk = chunk
        self._slopes = slopes_at(chunk.positions) if self._smooth else None

    def _join(self, chunk: ActionChunk, now_ns: int | None) -> None:
        self._begin(chunk)

    def _at(self, time_ns: int) -> NDArray[np.float64]:
        step = max((time_ns - self._chunk.stamp_ns) / self._step_ns, 0.0)
        return at_steps(self._chunk.positions, np.array([step]), self._slopes)[0]
