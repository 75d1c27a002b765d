# SPDX-License-Identifier: Apache-2.0
"""All images of some datasets, decoded and resized once into one memory-mapped file: training never decodes video."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.durable import PART, write_json
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.transforms import PictureTransform
from gr00t_policy.data.video import iterate_frames

Progress = Callable[[int, int], None]  # (episodes done, episodes in all)


@dataclass(frozen=True)
class FrameCache:
    """Views (see ``PictureTransform.view``) of every ``every``-th frame: ``views`` (N, h, w, 3) uint8, read-only.

    Episodes of all datasets are numbered through: ``episodes[e]`` = (dataset, episode in it), and their rows are
    ``first_row[e]`` to ``first_row[e + 1]``.
    """

    views: NDArray[np.uint8]
    episodes: tuple[tuple[int, int], ...]
    first_row: NDArray[np.int64]  # (E + 1,)
    every: int

    def __len__(self) -> int:
        return len(self.views)

    def row(self, episode: int, frame: int) -> int:
        """Row of the last kept view at or before ``frame`` of episode ``episode`` (numbered through)."""
        row = int(self.first_row[episode]) + frame // self.every
        if row >= self.first_row[episode + 1]:
            raise IndexError(f"episode {episode} has no frame {frame}")
        return row

    def frame_indices(self, episode: int) -> NDArray[np.int64]:
        """Frames of an episode that were kept, in the order of its rows."""
        return np.arange(self.first_row[episode + 1] - self.first_row[episode]) * self.every


def build_frame_cache(
    datasets: Sequence[LeRobotDataset],
    camera: str,
    transform: PictureTransform,
    folder: str | Path,
    every: int = 1,
    workers: int = 2,
    on_progress: Progress | None = None,
) -> FrameCache:
    """Decode one camera of all datasets into ``folder``, or open what an earlier call with the same input left there.

    Raises DatasetError when a video is damaged or has too few frames, or there is no room. Frames of a dataset must all have
    one size.
    """
    folder = Path(folder)
    episodes = tuple((number, entry.index) for number, dataset in enumerate(datasets) for entry in dataset.episodes)
    counts = [-(-entry.length // every) for dataset in datasets for entry in dataset.episodes]
    first_row = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sizes = {transform.view_size(*dataset.cameras[camera]) for dataset in datasets if camera in dataset.cameras}
    if len(sizes) != 1 or any(camera not in dataset.cameras for dataset in datasets):
        raise DatasetError(f"camera '{camera}' must be in every dataset with one size, view sizes: {sorted(sizes)}")
    shape = (int(first_row[-1]), *sizes.pop(), 3)
    key = _fingerprint(datasets, camera, transform, every)
    path = folder / f"{camera}_{key[:16]}.u8"
    if not path.is_file():
        aside = path.with_name(path.name + PART)
        with _room_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _reserve(aside, int(np.prod(shape)))
        views = np.memmap(aside, np.uint8, "r+", shape=shape)
        _fill(views, datasets, camera, transform, episodes, first_row, every, workers, on_progress)
        about = {"shape": shape, "every": every, "camera": camera, "transform": repr(transform)}
        with _room_in(folder):
            views.flush()
            write_json(path.with_suffix(".json"), about)
            aside.rename(path)
    return FrameCache(np.memmap(path, np.uint8, "r", shape=shape), episodes, first_row, every)


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"pictures cannot be kept in {folder} ({error}); make room and start again") from error


def _reserve(path: Path, size: int) -> None:
    """Take the room at once: writing to a mapped file beyond a full disk would end the process without a word."""
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DatasetError(
            f"{path.parent} has no room for {size / 1e6:.0f} MB of pictures ({error}); make room"
        ) from error


def _fill(
    views: NDArray[np.uint8],
    datasets: Sequence[LeRobotDataset],
    camera: str,
    transform: PictureTransform,
    episodes: tuple[tuple[int, int], ...],
    first_row: NDArray[np.int64],
    every: int,
    workers: int,
    on_progress: Progress | None,
) -> None:
    """Decoding and resizing leave the interpreter lock, so threads share the work; each writes its own rows."""

    def decode(number: int) -> None:
        dataset, episode = episodes[number]
        path = datasets[dataset].video_path(episode, camera)
        rows = views[first_row[number] : first_row[number + 1]]
        count = 0
        for count, frame in enumerate(iterate_frames(path, every, datasets[dataset].paired(episode)), start=1):
            if count <= len(rows):
                rows[count - 1] = transform.view(frame)
        if count != len(rows):
            raise DatasetError(f"{path} gave {count} frames instead of {len(rows)}; write the episode again")

    with ThreadPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(decode, range(len(episodes))), start=1):
            if on_progress is not None:
                on_progress(done, len(episodes))


def _fingerprint(datasets: Sequence[LeRobotDataset], camera: str, transform: PictureTransform, every: int) -> str:
    """Changes when a video, the transform or the selection does."""
    videos: list[Any] = []
    for dataset in datasets:
        for entry in dataset.episodes:
            path = dataset.video_path(entry.index, camera)
            if not path.is_file():
                raise DatasetError(f"{path} is missing; copy it back or remove its episode from the dataset")
            status = path.stat()
            videos.append([entry.index, entry.length, status.st_size, status.st_mtime_ns])
    described = [camera, every, repr(transform), videos]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
