# SPDX-License-Identifier: Apache-2.0
"""What ``meta/stats.json`` says: of state and action, read by loaders of GR00T; of cameras, asked for by LeRobot's trainer.

Every entry has all six numbers: the loader of GR00T N1 computes the file anew, without cameras, when one of them lacks any.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.columns import read_rows
from gr00t_policy.data.key_statistics import compute_statistics
from gr00t_policy.data.layout import ACTION, STATE, Layout
from gr00t_policy.data.video import Frames, read_frames, read_header

# Pictures looked at: so many of each of so many episodes, of any number. They tell a mean to 0.01, in a second.
_EPISODES, _FRAMES = 64, 8
_LEAST_SIDE = 128  # pixels of a larger picture are left out, evenly, down to between this and twice as many a side
_LEVELS = 256


def stored_statistics(layout: Layout, episodes: int, cameras: Sequence[str]) -> dict[str, dict[str, Any]]:
    """stats.json of the first ``episodes`` episodes: state, action, and cameras, which are given as columns of info.json."""
    found: dict[str, dict[str, Any]] = {
        column: compute_statistics(partial(column_rows, layout, episodes, column)).to_dict()
        for column in (STATE, ACTION)
    }
    return {**found, **{camera: camera_statistics(layout, episodes, camera) for camera in cameras}}


def column_rows(layout: Layout, episodes: int, column: str) -> Iterator[NDArray[Any]]:
    """What a column of vectors holds in the first ``episodes`` episodes, (N, d) at a time. Raises DatasetError."""
    for episode in range(episodes):
        path = layout.data(episode)
        try:
            values = read_rows(pq.read_table(path, columns=[column])[column])
        except DatasetError as error:
            raise DatasetError(f"{path}, column '{column}': {error}") from error
        yield values.reshape(len(values), -1)


def camera_statistics(layout: Layout, episodes: int, camera: str) -> dict[str, list[list[list[float]]]]:
    """Of each colour of a sample of pictures that depends on nothing but their number: (3, 1, 1), in [0, 1].

    Raises DatasetError when a video cannot be read.
    """
    counts = np.zeros((3, _LEVELS), np.int64)
    for episode in _spread(episodes, _EPISODES):
        path = layout.video(int(episode), camera)
        counts += _histogram(read_frames(path, _spread(max(read_header(path).frames, 1), _FRAMES)))
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    variance = (shares * (levels - mean[:, None]) ** 2).sum(axis=1)
    below = shares.cumsum(axis=1)
    found = {
        "min": levels[(counts > 0).argmax(axis=1)],
        "max": levels[_LEVELS - 1 - (counts[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(variance),
        "q01": levels[(below >= 0.01).argmax(axis=1)],
        "q99": levels[(below >= 0.99).argmax(axis=1)],
    }
    return {name: values.reshape(3, 1, 1).tolist() for name, values in found.items()}


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Evenly spread numbers below ``count``, the first and the last among them; all when they are not more than ``most``."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _histogram(frames: Frames) -> NDArray[np.int64]:
    """(3, 256): how often each colour has each level."""
    step = max(1, min(frames.shape[1:3]) // _LEAST_SIDE)
    pixels = frames[:, ::step, ::step].reshape(-1, 3)
    return np.stack([np.bincount(pixels[:, colour], minlength=_LEVELS) for colour in range(3)])
