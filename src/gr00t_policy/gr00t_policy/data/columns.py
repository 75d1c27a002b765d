# SPDX-License-Identifier: Apache-2.0
"""Arrays <-> parquet columns."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError


def as_column(values: NDArray[Any]) -> pa.Array:
    """(N,) and (N, 1) as a scalar column, (N, ...) as a column of fixed-size lists (the true shape is in info.json).

    Shape [1] in info.json means a scalar to LeRobot, which cannot read lists of one.
    """
    if values.ndim == 1 or values.shape[1:] == (1,):
        return pa.array(np.ascontiguousarray(values).reshape(-1))
    width = int(np.prod(values.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), width)


def read_rows(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Undo ``as_column`` up to the trailing shape: (N,) or (N, width). Variable lists of equal length will do.

    Raises DatasetError where a list is missing or of another length than the others.
    """
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not (pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type) or pa.types.is_fixed_size_list(flat.type)):
        return flat.to_numpy(zero_copy_only=False)
    _require_equal_lengths(flat)
    return flat.flatten().to_numpy(zero_copy_only=False).reshape(len(flat), -1)


def _require_equal_lengths(lists: pa.Array) -> None:
    if len(lists) == 0:
        raise DatasetError("there are no rows")
    if lists.null_count:
        row = int(np.argmax(lists.is_null().to_numpy(zero_copy_only=False)))
        raise DatasetError(f"rows differ in length: row {row} has no values at all")
    if pa.types.is_fixed_size_list(lists.type):
        return
    lengths = np.diff(lists.offsets.to_numpy())
    if (lengths != lengths[0]).any():
        different, counts = np.unique(lengths, return_counts=True)
        usual = different[counts.argmax()]
        row = int(np.argmax(lengths != usual))
        raise DatasetError(f"rows differ in length: row {row} has {lengths[row]} values, most have {usual}")
