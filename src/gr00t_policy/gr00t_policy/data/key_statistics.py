# SPDX-License-Identifier: Apache-2.0
"""Per-dimension statistics of one vector: computed in bounded memory, read and written as plain data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.json_file import shown

_SORTED_VALUES = 2**22  # up to so many, 32 MB, quantiles are exact
_BINS = 8192  # beyond, the values of the data next to a quantile are known to (max - min) / 8192
Blocks = Callable[[], Iterable[NDArray[np.floating]]]  # a fresh pass over the data, (N, d) at a time


@dataclass(frozen=True)
class KeyStatistics:
    """Six vectors (d,) float64, in the data's own units."""

    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    q01: NDArray[np.float64]
    q99: NDArray[np.float64]

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, np.atleast_1d(np.asarray(getattr(self, item.name), np.float64)))
        shapes = {getattr(self, item.name).shape for item in fields(self)}
        if len(shapes) != 1 or self.min.ndim != 1:
            raise DatasetError(f"statistics of one key differ in shape: {sorted(shapes)}")
        finite = all(np.isfinite(getattr(self, item.name)).all() for item in fields(self))
        if not finite or (self.min > self.max).any() or (self.q01 > self.q99).any() or (self.std < 0).any():
            raise DatasetError(
                "statistics hold NaN or infinity, a minimum above its maximum, q01 above q99 or a negative std; "
                "compute them again from the data"
            )

    def __getitem__(self, part: slice) -> "KeyStatistics":
        return KeyStatistics(**{item.name: getattr(self, item.name)[part] for item in fields(self)})

    def to_dict(self) -> dict[str, list[float]]:
        return {item.name: getattr(self, item.name).tolist() for item in fields(self)}


def key_statistics_from_dict(data: Any, where: str) -> KeyStatistics:
    """Inverse of ``KeyStatistics.to_dict``; further entries (such as count) are ignored. Raises DatasetError."""
    names = [item.name for item in fields(KeyStatistics)]
    if not isinstance(data, dict) or any(not _is_list_of_numbers(data.get(name)) for name in names):
        raise DatasetError(
            f"{where}: not a full set of statistics; needed: lists of numbers named {', '.join(names)}; got {shown(data)}"
        )
    try:
        return KeyStatistics(**{name: np.asarray(data[name], np.float64) for name in names})
    except (DatasetError, OverflowError) as error:
        raise DatasetError(f"{where}: {error}") from error


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) in (int, float) for item in value)


def compute_statistics(blocks: Blocks) -> KeyStatistics:
    """Statistics over all rows of all blocks, in two passes whose memory does not grow with the data."""
    count, total, squares, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    for block in blocks():
        rows = np.asarray(block, np.float64)
        if not np.isfinite(rows).all():
            raise DatasetError("the data hold NaN or infinity; statistics of them would be meaningless")
        if len(rows) == 0:
            continue
        mean = rows.mean(axis=0)
        delta = mean - (total / count if count else 0.0)
        squares = squares + ((rows - mean) ** 2).sum(axis=0) + (delta**2 * count * len(rows) / (count + len(rows)))
        count, total = count + len(rows), total + rows.sum(axis=0)
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
    if count == 0:
        raise DatasetError("there is no frame to compute statistics of")
    q01, q99 = _quantiles(blocks, np.asarray(low), np.asarray(high), count, (0.01, 0.99))
    mean, std = np.asarray(total) / count, np.sqrt(np.asarray(squares) / count)
    return KeyStatistics(np.asarray(low), np.asarray(high), mean, std, q01, q99)


def quantile_neighbours(
    blocks: Blocks, statistics: KeyStatistics, count: int, fraction: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of the data (d,) between which a quantile lies by any usual definition, up to a bin where there are many rows.

    statistics: of these data. count: their rows.
    """
    # Definitions differ in the place they give it, from fraction * count - 1 (counted from 0) up to one more.
    ends = (np.floor(fraction * count) - 1, np.ceil(fraction * count))
    lowest, highest = np.clip(ends, 0, count - 1).astype(np.int64)
    below, above = _order_statistics(blocks, statistics.min, statistics.max, count, (lowest, highest))
    return below, above


def _quantiles(
    blocks: Blocks, low: NDArray, high: NDArray, count: int, wanted: tuple[float, ...]
) -> list[NDArray[np.float64]]:
    """Quantiles (d,) each, as by ``np.quantile``: between the two values of the data next to their place."""
    places = [fraction * (count - 1) for fraction in wanted]
    beside = [int(end) for place in places for end in (np.floor(place), np.ceil(place))]
    values = _order_statistics(blocks, low, high, count, beside)
    pairs = zip(values[::2], values[1::2], strict=True)
    return [
        np.clip(below + (place - np.floor(place)) * (above - below), below, above)
        for place, (below, above) in zip(places, pairs, strict=True)
    ]


def _order_statistics(
    blocks: Blocks, low: NDArray, high: NDArray, count: int, places: Sequence[int]
) -> NDArray[np.float64]:
    """(len(places), d): what would be there if each dimension were sorted. low, high: the extremes. count: all rows."""
    if count * len(low) <= _SORTED_VALUES:
        rows = np.concatenate([np.asarray(block, np.float64) for block in blocks() if len(block)])
        return np.asarray(np.partition(rows, sorted({*places}), axis=0)[list(places)])
    span = np.where(high > low, high - low, 1.0)
    dims = np.arange(len(low))
    histogram = np.zeros((len(low), _BINS), np.int64)
    for block in blocks():
        rows = np.asarray(block, np.float64)
        bins = np.clip(((rows - low) / span * _BINS).astype(np.int64), 0, _BINS - 1)
        histogram += np.bincount((bins + dims * _BINS).ravel(), minlength=histogram.size).reshape(histogram.shape)
    cumulative = histogram.cumsum(axis=1)
    results = []
    for place in places:
        index = (cumulative <= place).sum(axis=1)
        inside = (place + 0.5 - cumulative[dims, index]) / histogram[dims, index] + 1
        results.append(np.clip(low + (index + inside) / _BINS * span, low, high))
    return np.stack(results)
