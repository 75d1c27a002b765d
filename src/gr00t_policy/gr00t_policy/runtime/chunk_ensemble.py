# SPDX-License-Identifier: Apache-2.0
"""The mode 'ensemble': the weighted mean of all chunks that say something about a time (temporal ensembling, ACT, 2304.13705).

ACT weighs the i-th oldest prediction by exp(-0.01 i), at 50 predictions a second: the oldest has most. Written with time in
place of the index, exp(-age difference / 2 s), it does the same however often chunks come.
"""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_plan import ChunkPlan
from gr00t_policy.runtime.interpolation import hermite, slopes_at

_TIME_S = 2.0  # ACT: 1 / (0.01 * 50 Hz)
_ROOM = 256  # chunks kept; at 120 a second those of the last 2 s
_NS = 1_000_000_000


class ChunkEnsemble(ChunkPlan):
    """Keeps the chunks that reach into the present."""

    def __init__(self, joints: int, *, smooth: bool = False) -> None:
        self._smooth = smooth
        super().__init__(joints)

    @property
    def begins_ns(self) -> int:
        return int(self._stamps[0]) if not self._empty else 0

    def _begin(self, chunk: ActionChunk) -> None:
        self._stamps = np.zeros(0, np.int64)  # (K,)
        self._chunks = np.zeros((0, self._steps, self._joints))  # (K, T, J)
        self._slopes = np.zeros_like(self._chunks)
        self._join(chunk, None)

    def _join(self, chunk: ActionChunk, now_ns: int | None) -> None:
        past_ns = chunk.stamp_ns - self._step_ns if now_ns is None else now_ns
        kept = self._stamps + (self._steps - 1) * self._step_ns >= past_ns
        kept[: max(len(kept) - _ROOM + 1, 0)] = False
        slopes = slopes_at(chunk.positions) if self._smooth else np.zeros_like(chunk.positions)
        self._stamps = np.append(self._stamps[kept], chunk.stamp_ns)
        self._chunks = np.concatenate([self._chunks[kept], chunk.positions[None]])
        self._slopes = np.concatenate([self._slopes[kept], slopes[None]])

    def _at(self, time_ns: int) -> NDArray[np.float64]:
        places = (time_ns - self._stamps) / self._step_ns
        speaking = np.flatnonzero((places >= 0) & (places <= self._steps - 1))
        if len(speaking) == 0:
            return self._chunks[0, 0]
        weights = np.exp(-(self._stamps[speaking] - self._stamps[speaking[0]]) / (_TIME_S * _NS))
        index = np.clip(places[speaking].astype(np.intp), 0, max(self._steps - 2, 0))
        following = np.minimum(index + 1, self._steps - 1)
        share = (places[speaking] - index)[:, None]
        begin = self._chunks[speaking, index]
        way = self._chunks[speaking, following] - begin
        slopes = (self._slopes[speaking, index], self._slopes[speaking, following])
        values = begin + (hermite(share, way, *slopes) if self._smooth else share * way)
        return weights @ values / weights.sum()
