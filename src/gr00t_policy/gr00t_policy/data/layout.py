# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a LeRobot v2.0 dataset, and what its meta files say. Facts of the format, nothing else.

Format: https://github.com/huggingface/lerobot (v2.0), with ``meta/modality.json`` as NVIDIA's GR00T N1 reads it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.json_file import shown

CODEBASE_VERSION = "v2.0"
CHUNKS_SIZE = 1000
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
STATE, ACTION, IMAGES, ANNOTATION = "observation.state", "action", "observation.images.", "annotation."
_PLACES = ("episode_chunk", "episode_index", "video_key")
SCALARS = {
    "timestamp": "float32",  # seconds since the episode's first frame
    "frame_index": "int64",  # within the episode
    "episode_index": "int64",
    "index": "int64",  # over the whole dataset
    "task_index": "int64",  # row of meta/tasks.jsonl
    "next.reward": "float32",
    "next.done": "bool",
}


@dataclass(frozen=True)
class Layout:
    """File names of one dataset folder; paths as its own info.json gives them."""

    root: Path
    data_path: str = DATA_PATH
    video_path: str = VIDEO_PATH
    chunks_size: int = CHUNKS_SIZE

    @property
    def info(self) -> Path:
        return self.root / "meta" / "info.json"

    @property
    def episodes(self) -> Path:
        return self.root / "meta" / "episodes.jsonl"

    @property
    def tasks(self) -> Path:
        return self.root / "meta" / "tasks.jsonl"

    @property
    def stats(self) -> Path:
        return self.root / "meta" / "stats.json"

    @property
    def modality(self) -> Path:
        return self.root / "meta" / "modality.json"

    def data(self, episode: int) -> Path:
        return self._inside(self.data_path, episode, "")

    def video(self, episode: int, key: str) -> Path:
        return self._inside(self.video_path, episode, key)

    def _inside(self, pattern: str, episode: int, key: str) -> Path:
        """A file of the dataset; a pattern that points out of its folder is refused."""
        chunk = episode // self.chunks_size
        try:
            _check_pattern(pattern)
            name = Path(pattern.format(episode_chunk=chunk, episode_index=episode, video_key=key))
            if b"\0" in os.fsencode(name):
                raise ValueError("it holds a zero byte")
        except ValueError as error:
            raise DatasetError(f"{self.info}: path {shown(pattern)} cannot be filled in: {error}") from error
        if name.is_absolute() or ".." in name.parts:
            raise DatasetError(f"{self.info}: path '{name}' leads out of the dataset")
        return self.root / name


def _check_pattern(pattern: str) -> None:
    """Raises ValueError unless the places to fill in are ours, with nothing but a short number of digits."""
    for _, place, digits, conversion in Formatter().parse(pattern):
        if place is not None and place not in _PLACES:
            raise ValueError(f"unknown place '{place}'; known: {', '.join(_PLACES)}")
        if conversion or (digits and not re.fullmatch(r"0?\d?d", digits)):
            raise ValueError(f"'{digits}' is no number of digits such as 03d")


def make_info(
    embodiment: Embodiment,
    fps: float,
    image_sizes: dict[str, tuple[int, int]],
    extras: dict[str, tuple[str, tuple[int, ...]]],
) -> dict[str, Any]:
    """info.json of a dataset without episodes yet. image_sizes: camera -> (H, W); extras: column -> (dtype, shape)."""
    names = list(embodiment.policy_joint_names)
    features: dict[str, Any] = {
        IMAGES + camera: _video_feature(height, width, fps) for camera, (height, width) in image_sizes.items()
    }
    for column in (STATE, ACTION):
        features[column] = {"dtype": "float32", "shape": [len(names)], "names": names}
    for column, dtype in SCALARS.items():
        features[column] = {"dtype": dtype, "shape": [1], "names": None}
    features[embodiment.language_key] = {"dtype": "int64", "shape": [1], "names": None}
    for column, (dtype, shape) in extras.items():
        features[column] = {"dtype": dtype, "shape": list(shape) or [1], "names": None}
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": embodiment.name,
        "fps": fps,
        "chunks_size": CHUNKS_SIZE,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
        **make_totals(episodes=0, frames=0, tasks=0, cameras=len(image_sizes)),
    }


def make_totals(*, episodes: int, frames: int, tasks: int, cameras: int) -> dict[str, Any]:
    """The counting fields of info.json."""
    return {
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "total_videos": episodes * cameras,
        "total_chunks": -(-episodes // CHUNKS_SIZE),
        "splits": {"train": f"0:{episodes}"},
    }


def make_modality(embodiment: Embodiment, cameras: list[str]) -> dict[str, Any]:
    """modality.json: one state and action key per policy group, one video key per camera, the sentence."""
    if not embodiment.language_key.startswith(ANNOTATION):
        raise DatasetError(
            f"language key '{embodiment.language_key}' must start with '{ANNOTATION}' to be stored in a dataset"
        )
    return {
        "state": _make_keys(embodiment, "state"),
        "action": _make_keys(embodiment, "action"),
        "video": {camera: {"original_key": IMAGES + camera} for camera in cameras},
        "annotation": {embodiment.language_key.removeprefix(ANNOTATION): {}},
    }


def _make_keys(embodiment: Embodiment, side: str) -> dict[str, dict[str, Any]]:
    """group -> its range, and the type of the rotation that it is said to hold."""
    keys: dict[str, dict[str, Any]] = {}
    for group, part in embodiment.policy_slices.items():
        rotation = embodiment.encoding(side, group).rotation_source
        keys[group] = {"start": part.start, "end": part.stop, **({"rotation_type": rotation} if rotation else {})}
    return keys


def _video_feature(height: int, width: int, fps: float) -> dict[str, Any]:
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channel"],
        "video_info": {
            "video.fps": fps,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "has_audio": False,
        },
    }
