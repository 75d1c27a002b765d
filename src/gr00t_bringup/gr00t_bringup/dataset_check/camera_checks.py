# SPDX-License-Identifier: Apache-2.0
"""The pictures of one episode: whether the video fits the rows, and whether the camera saw anything, and anything new."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.dataset_check.data_finding import DataFinding
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import EpisodeEntry, LeRobotDataset
from gr00t_policy.data.video import read_header

_PAIRS = 8  # neighbouring pictures compared in each episode, unless all are
_BLACK, _ONE_COLOUR = 4.0, 2.0  # mean, and deviation over the picture, of 255: below what compression leaves
_CHANGED, _LEAST_PIXELS = 8, 1e-4  # a pixel differs by so much of 255, in so large a share of the picture
_REPEATED_SHARE = 0.1
_LIVES_ON = "check the driver and the cable; remove the episode"


def camera_findings(
    dataset: LeRobotDataset, entry: EpisodeEntry, camera: str, moving: NDArray[np.bool_], *, all_frames: bool
) -> Iterator[DataFinding]:
    """moving: (N - 1,) whether the robot moves from row i to i + 1, so that neighbouring pictures should differ."""
    path = dataset.video_path(entry.index, camera)
    try:
        header = read_header(path)
        yield from _header_findings(dataset, entry, camera)
        count = min(header.frames, entry.length)
        seen = _Seen()
        if all_frames:
            decoded = 0
            for decoded, frame in enumerate(dataset.iterate_frames(entry.index, camera), start=1):
                seen.add(decoded - 1, frame, moving)
            if decoded != header.frames:
                yield DataFinding(
                    "error", "video", f"{decoded} frames can be decoded, its header says {header.frames}",
                    "write the episode again, or remove it", entry.index, camera, {"decoded": decoded},
                )  # fmt: skip
        else:
            for index, frame in _sample(dataset, entry.index, camera, moving, count):
                seen.add(index, frame, moving)
        yield from seen.findings(entry.index, camera)
    except DatasetError as error:
        yield DataFinding(
            "error", "video", str(error), "copy the file back, or remove the episode", entry.index, camera
        )


def _header_findings(dataset: LeRobotDataset, entry: EpisodeEntry, camera: str) -> Iterator[DataFinding]:
    header = read_header(dataset.video_path(entry.index, camera))
    height, width = dataset.cameras[camera]
    again = "write the episode again, or remove it"
    if header.frames != entry.length:
        yield DataFinding(
            "error", "video", f"{header.frames} frames, {entry.length} rows", again, entry.index, camera,
            {"frames": header.frames, "rows": entry.length},
        )  # fmt: skip
    if (header.height, header.width) != (height, width):
        yield DataFinding(
            "error", "video", f"{header.width}x{header.height}, info.json says {width}x{height}",
            "write the episode again, or correct info.json", entry.index, camera,
            {"width": header.width, "height": header.height},
        )  # fmt: skip
    if abs(header.fps - dataset.fps) > 0.01:
        yield DataFinding(
            "error", "video", f"it plays at {header.fps:g} frames/s, info.json says {dataset.fps:g}", again,
            entry.index, camera, {"fps": header.fps},
        )  # fmt: skip


def _sample(
    dataset: LeRobotDataset, episode: int, camera: str, moving: NDArray[np.bool_], count: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Pairs of neighbours spread over the episode, where the robot moves as far as it does, in order."""
    steps = np.flatnonzero(moving[: max(count - 1, 0)])
    steps = steps if len(steps) else np.arange(max(count - 1, 1))
    chosen = steps[np.unique(np.linspace(0, len(steps) - 1, _PAIRS).round().astype(int))]
    wanted = np.unique(np.concatenate([chosen, chosen + 1, [0]]))
    wanted = wanted[wanted < count]
    yield from zip(wanted.tolist(), dataset.frames(episode, camera, wanted), strict=True)


class _Seen:
    """Counts over the pictures of one camera in one episode; keeps the first and the last of them."""

    def __init__(self) -> None:
        self.pictures = self.black = self.plain = self.pairs = self.same = 0
        self.first_same = -1
        self.changed = False
        self._first: NDArray[np.uint8] | None = None
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def add(self, index: int, frame: NDArray[np.uint8], moving: NDArray[np.bool_]) -> None:
        self.pictures += 1
        self.black += bool(frame.mean() < _BLACK)
        self.plain += bool(frame.std(axis=(0, 1)).max() < _ONE_COLOUR)
        if self._first is None:
            self._first = frame
        self.changed |= _differ(self._first, frame)
        if self._last is not None and self._last[0] + 1 == index and index <= len(moving) and moving[index - 1]:
            self.pairs += 1
            if not _differ(self._last[1], frame):
                self.same += 1
                self.first_same = index if self.first_same < 0 else self.first_same
        self._last = index, frame

    def findings(self, episode: int, camera: str) -> Iterator[DataFinding]:
        numbers: dict[str, float] = {"pictures": self.pictures, "black": self.black, "one_colour": self.plain}
        if self.black == self.pictures:
            yield DataFinding("error", "camera", "all black", _LIVES_ON, episode, camera, numbers)
        elif self.plain == self.pictures:
            yield DataFinding("error", "camera", "nothing but one colour", _LIVES_ON, episode, camera, numbers)
        elif self.pairs and not self.changed:
            yield DataFinding(
                "error", "camera", "frozen: every picture is the first one while the robot moves", _LIVES_ON,
                episode, camera, numbers,
            )  # fmt: skip
        else:
            if self.plain or self.black:
                yield DataFinding(
                    "warning", "camera", f"{max(self.plain, self.black)} of {self.pictures} pictures are black or of one colour",
                    "cut those frames off", episode, camera, numbers,
                )  # fmt: skip
            if self.pairs and self.same / self.pairs > _REPEATED_SHARE:
                yield DataFinding(
                    "warning", "camera", f"{self.same} of {self.pairs} pictures repeat the one before while the robot moves, "
                    f"first frame {self.first_same}", "the camera is slower than fps, or pictures were lost", episode, camera,
                    {"repeated": self.same, "pairs": self.pairs, "frame": self.first_same},
                )  # fmt: skip


def _differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """More than compression changes."""
    change = np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=2) > _CHANGED
    return bool(change.mean() > _LEAST_PIXELS)
