# SPDX-License-Identifier: Apache-2.0
"""Arrays <-> parquet columns, and the statistics of what is stored in them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.key_statistics import compute_statistics
from gr00t_policy.data.layout import ACTION, STATE, Layout


def stored_statistics(layout: Layout, episodes: int) -> dict[str, dict[str, list[float]]]:
    """stats.json of state and action, from the parquet files of the first ``episodes`` episodes."""

    def rows(column: str) -> Iterator[NDArray[Any]]:
        for episode in range(episodes):
            yield read_rows(pq.read_table(layout.data(episode), columns=[column])[column])

    return {column: compute_statistics(partial(rows, column)).to_dict() for column in (STATE, ACTION)}


def as_column(values: NDArray[Any]) -> pa.Array:
    """(N,) as a scalar column, (N, ...) as a column of fixed-size lists (the true shape is in info.json)."""
    if values.ndim == 1:
        return pa.array(values)
    width = int(np.prod(values.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), width)


def read_rows(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Undo ``as_column`` up to the trailing shape: (N,) or (N, width). Variable lists of equal length will do."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not (pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type) or pa.types.is_fixed_size_list(flat.type)):
        return flat.to_numpy(zero_copy_only=False)
    values = flat.flatten().to_numpy(zero_copy_only=False)
    if len(flat) == 0 or len(values) % len(flat):
        raise DatasetError(f"rows differ in length: {len(values)} values in {len(flat)} rows")
    return values.reshape(len(flat), -1)
