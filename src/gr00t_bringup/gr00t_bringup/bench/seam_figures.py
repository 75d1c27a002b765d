# SPDX-License-Identifier: Apache-2.0
"""What is measured of a path of commands: its differences at the borders of chunks, inside them, and when it turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.runtime.interpolation import at_steps, slopes_at

ORDERS = (1, 2, 3)  # step, second and third difference per tick
_HELD_TICKS = 6  # a turn is one that lasts 50 ms


@dataclass(frozen=True)
class Roughness:
    """Differences of one order, largest over the joints, in rad per tick to its power; NaN where there were no such ticks.

    ratio: of the p95 at borders to that inside.
    """

    order: int
    border_p50: float
    border_p95: float
    border_max: float
    inside_p50: float
    inside_p95: float
    inside_max: float

    @property
    def ratio(self) -> float:
        return self.border_p95 / self.inside_p95 if self.inside_p95 > 0 else float("nan")


@dataclass(frozen=True)
class InsideChunk:
    """Differences of one order of chunks as the head gave them, sampled at the command rate; units as in ``Roughness``."""

    order: int
    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class Differences:
    """Of one path: values (N,) [rad], and at which of them (N,) a new chunk has a part."""

    values: NDArray[np.float64]
    at_border: NDArray[np.bool_]


def differences(path: NDArray[np.float64], new_chunk: NDArray[np.bool_], order: int) -> Differences:
    """Of commands (N, J) one tick apart; new_chunk (N,): the first command behind which a chunk is.

    A difference of order n spans n + 1 commands; it belongs to a border when one of its last n commands is the first of a
    chunk: then it spans the seam.
    """
    if len(path) <= order:
        return Differences(np.zeros(0), np.zeros(0, bool))
    values = np.abs(np.diff(path, n=order, axis=0)).max(axis=1)
    spans = np.stack([new_chunk[1 + i : len(values) + 1 + i] for i in range(order)])
    return Differences(values, np.asarray(spans.any(axis=0)))


def roughness(parts: Sequence[Differences], order: int) -> Roughness:
    """Of many paths together."""
    values = np.concatenate([part.values for part in parts]) if parts else np.zeros(0)
    border = np.concatenate([part.at_border for part in parts]) if parts else np.zeros(0, bool)
    return Roughness(order, *_spread(values[border]), *_spread(values[~border]))


def inside_chunk(
    positions: NDArray[np.float64], order: int, ticks_per_step: float, *, smooth: bool
) -> NDArray[np.float64]:
    """Of one chunk (T, J) [rad] alone, interpolated as it is executed and sampled each tick: (N,), largest over the joints.

    The reference for seams: what commands would do if this chunk were followed to its end and no other came. It is defined also
    where every tick is a border.
    """
    steps = np.arange(0.0, len(positions) - 1 + 1e-9, 1 / ticks_per_step)
    if len(steps) <= order:
        return np.zeros(0)
    path = at_steps(positions, steps, slopes_at(positions) if smooth else None)
    return np.asarray(np.abs(np.diff(path, n=order, axis=0)).max(axis=1))


def inside_chunks(values: NDArray[np.float64], order: int) -> InsideChunk:
    """Of ``inside_chunk`` of many chunks together."""
    return InsideChunk(order, *_spread(values))


def turned_after_s(
    path: NDArray[np.float64], other: NDArray[np.float64], towards: NDArray[np.float64], turn_m: float, tick_s: float
) -> float:
    """Time until ``path`` (N, 3) has left ``other`` (N, 3) by ``turn_m`` towards ``towards`` (3,) for 50 ms; NaN: never.

    Both begin at the instant from which the time counts.
    """
    shared = min(len(path), len(other))
    unit = towards / np.linalg.norm(towards)
    away = (path[:shared] - other[:shared]) @ unit > turn_m
    for tick in range(shared - _HELD_TICKS + 1):
        if away[tick : tick + _HELD_TICKS].all():
            return tick * tick_s
    return float("nan")


def _spread(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if len(values) == 0:
        return (float("nan"),) * 3
    p50, p95 = np.percentile(values, (50, 95))
    return float(p50), float(p95), float(values.max())
