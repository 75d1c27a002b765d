# SPDX-License-Identifier: Apache-2.0
"""The pictures of rows, decoded when they are asked for: those that no row shows never are, and none are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.convert_recording import Recording


@dataclass(frozen=True)
class RowPictures:
    """One picture of ``camera`` for each of N rows. size: height, width.

    numbers: which picture of the camera, in order of sending, (N,) int64, not falling; -1 for a row without one, which is
    black. Each pass reads the bag anew. Raises DatasetError where a picture cannot be decoded.
    """

    recording: Recording
    camera: str
    size: tuple[int, int]
    numbers: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.numbers), *self.size, 3)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        shown = black = np.zeros((*self.size, 3), np.uint8)
        decoded = self.recording.chosen_pictures(self.camera, np.unique(self.numbers[self.numbers >= 0]).tolist())
        last = -1
        for number in self.numbers.tolist():
            if number < 0:
                yield black
                continue
            if number != last:
                shown, last = next(decoded), number
            yield shown

    @overload
    def __getitem__(self, rows: slice) -> "RowPictures": ...
    @overload
    def __getitem__(self, rows: int) -> NDArray[np.uint8]: ...
    def __getitem__(self, rows: Any) -> Any:
        """Of a range of rows, not decoded yet; or one picture (H, W, 3)."""
        if isinstance(rows, slice):
            return replace(self, numbers=self.numbers[rows])
        return next(iter(replace(self, numbers=self.numbers[[rows]])))
