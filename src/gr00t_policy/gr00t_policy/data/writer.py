# SPDX-License-Identifier: Apache-2.0
"""Writes LeRobot v2.0 datasets one durable episode at a time; goes on after a kill. One writer per folder.

An episode exists once its line is in ``meta/episodes.jsonl``, which is written last. What a kill left before that is
deleted when the folder is opened again.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.columns import as_column
from gr00t_policy.data.durable import (
    append_json_line,
    drop_torn_line,
    lock,
    write_json,
    written_aside,
)
from gr00t_policy.data.json_file import json_lines
from gr00t_policy.data.layout import (
    ACTION,
    ANNOTATION,
    IMAGES,
    SCALARS,
    STATE,
    Layout,
    make_info,
    make_modality,
    make_totals,
)
from gr00t_policy.data.stored_statistics import stored_statistics
from gr00t_policy.data.video import DEFAULT_ENCODING, FrameSource, VideoEncoding, require_regular, write_video

_log = logging.getLogger(__name__)

LOCK = ".lock"  # file in the folder that a writer holds


class LeRobotWriter:
    """Appends episodes of one embodiment to one folder, which it creates or continues.

    State and action columns are the policy's joints in policy order [rad], row i the state at i / fps and the target
    commanded from it. Other processes write other folders; ``merge_datasets`` joins them.
    """

    def __init__(
        self,
        root: str | Path,
        embodiment: Embodiment,
        fps: float | None = None,
        image_sizes: Mapping[str, tuple[int, int]] | None = None,
        encoding: VideoEncoding = DEFAULT_ENCODING,
    ) -> None:
        """image_sizes: camera -> (H, W), default the embodiment's. Raises DatasetError if the folder does not fit."""
        self.layout = Layout(Path(root))
        self.embodiment = embodiment
        self.fps = float(fps or embodiment.rate_hz)
        self.image_sizes = dict(
            image_sizes or {camera.name: (camera.height, camera.width) for camera in embodiment.cameras}
        )
        self._encoding = encoding
        self._lock = lock(
            self.layout.root / LOCK,
            DatasetError(f"{root} is being written by another process; give each writer its own folder and merge them"),
        )
        drop_torn_line(self.layout.tasks)
        if drop_torn_line(self.layout.episodes):
            _log.warning("%s: dropped a line that was cut off while being written", self.layout.episodes)
        self._tasks = {line["task"]: line["task_index"] for line in _lines(self.layout.tasks)}
        self._lengths = [int(line["length"]) for line in _lines(self.layout.episodes)]
        self._info: dict[str, Any] | None = (
            json.loads(self.layout.info.read_text()) if self.layout.info.is_file() else None
        )
        if self._info is not None and not self._lengths:
            self._info = None  # no episode yet: nothing binds this folder to a shape
        self.discard_unfinished()

    @property
    def num_episodes(self) -> int:
        """Episodes that are safely on disk."""
        return len(self._lengths)

    @property
    def num_frames(self) -> int:
        return sum(self._lengths)

    @property
    def last_info(self) -> dict[str, Any] | None:
        """The newest episode's line of episodes.jsonl, with its ``episode_info``; None without episodes."""
        lines = _lines(self.layout.episodes)
        return lines[-1] if lines else None

    def add_episode(
        self,
        states: NDArray[np.floating],
        actions: NDArray[np.floating],
        images: Mapping[str, FrameSource],
        task: str,
        extra: Mapping[str, NDArray[Any]] | None = None,
        episode_info: Mapping[str, Any] | None = None,
    ) -> int:
        """Write one episode and return its index; it survives a kill from then on.

        states, actions: (N, J). images: camera -> (N, H, W, 3) uint8. extra: further columns, each (N, ...), the same
        ones in every episode. episode_info: plain data about it (seed, success), kept in its episodes.jsonl line.
        """
        extra = dict(extra or {})
        self._check(states, actions, images, task, extra)
        self._describe(extra)
        episode, length = self.num_episodes, len(states)
        for camera, frames in images.items():
            with written_aside(self.layout.video(episode, IMAGES + camera)) as aside:
                write_video(aside, frames, self.fps, self._encoding)
                require_regular(aside, length, self.fps)
        columns = self._columns(
            np.asarray(states, np.float32), np.asarray(actions, np.float32), self._task_index(task), extra
        )
        with written_aside(self.layout.data(episode)) as aside:
            pq.write_table(pa.table(columns), aside, compression="zstd")
        line = {"episode_index": episode, "tasks": [task], "length": length}
        append_json_line(
            self.layout.episodes, {**line, **{k: v for k, v in (episode_info or {}).items() if k not in line}}
        )
        self._lengths.append(length)
        return episode

    def finish(self, *, statistics: bool = True) -> None:
        """Write counts and statistics; the dataset can be read from here on, and continued later.

        statistics: False for a shard, which is to be merged: those of the whole are computed then.
        """
        if self._info is None:
            raise DatasetError(f"{self.layout.root} holds no episode; add one before finishing")
        totals = make_totals(
            episodes=self.num_episodes, frames=self.num_frames, tasks=len(self._tasks), cameras=len(self.image_sizes)
        )
        if statistics:
            cameras = [IMAGES + camera for camera in self.image_sizes]
            write_json(self.layout.stats, stored_statistics(self.layout, self.num_episodes, cameras))
        write_json(self.layout.info, {**self._info, **totals})

    def close(self) -> None:
        """Let another writer open the folder. Adds nothing."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, states: Any, actions: Any, images: Any, task: str, extra: dict[str, Any]) -> None:
        joints = len(self.embodiment.policy_joints)
        for name, values in (("states", states), ("actions", actions)):
            if np.ndim(values) != 2 or np.shape(values)[1] != joints or len(values) == 0:
                raise DatasetError(
                    f"{name}: expected (N, {joints}) for '{self.embodiment.name}', got {np.shape(values)}"
                )
            if not np.isfinite(values).all():
                raise DatasetError(f"{name} hold NaN or infinity; an episode like that must not be kept")
        if set(images) != set(self.image_sizes):
            raise DatasetError(
                f"images of camera(s) {sorted(images)} given, this dataset has {sorted(self.image_sizes)}"
            )
        if not task.strip():
            raise DatasetError("the task sentence is empty; the policy is trained to follow one")
        length = len(states)
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {"actions": (np.shape(actions), (length, joints))}
        shapes |= {camera: (np.shape(images[camera]), (length, *size, 3)) for camera, size in self.image_sizes.items()}
        shapes |= {name: (np.shape(values), (length, *np.shape(values)[1:])) for name, values in extra.items()}
        for name, (given, expected) in shapes.items():
            if given != expected:
                raise DatasetError(f"{name}: expected shape {expected}, got {given}")
        for camera, frames in images.items():
            if frames.dtype != np.uint8:
                raise DatasetError(f"camera '{camera}': frames must be uint8 RGB, got {frames.dtype}")
        reserved = {STATE, ACTION, *SCALARS, self.embodiment.language_key}
        for name in extra:
            if name in reserved or name.startswith((ANNOTATION, IMAGES)):
                raise DatasetError(f"extra column '{name}' has a name the format keeps for itself; choose another")

    def _describe(self, extra: dict[str, Any]) -> None:
        """Write info.json and modality.json with the first episode; later ones must have the same columns."""
        shapes = {name: (str(np.asarray(values).dtype), np.shape(values)[1:]) for name, values in extra.items()}
        info = make_info(self.embodiment, self.fps, self.image_sizes, shapes)
        if self._info is not None:
            require_same_format(self._info, info, self.layout.info, "this writer")
            return
        write_json(self.layout.modality, make_modality(self.embodiment, list(self.image_sizes)))
        write_json(self.layout.info, info)
        self._info = info

    def _columns(
        self, states: NDArray, actions: NDArray, task_index: int, extra: dict[str, Any]
    ) -> dict[str, pa.Array]:
        length, start = len(states), self.num_frames
        frame_index = np.arange(length)
        last = frame_index == length - 1
        return {
            STATE: as_column(states),
            ACTION: as_column(actions),
            "timestamp": pa.array((frame_index / self.fps).astype(np.float32)),
            self.embodiment.language_key: pa.array(np.full(length, task_index)),
            "task_index": pa.array(np.full(length, task_index)),
            "frame_index": pa.array(frame_index),
            "episode_index": pa.array(np.full(length, self.num_episodes)),
            "index": pa.array(start + frame_index),
            "next.reward": pa.array(last.astype(np.float32)),
            "next.done": pa.array(last),
            **{name: as_column(np.asarray(values)) for name, values in extra.items()},
        }

    def _task_index(self, task: str) -> int:
        if task not in self._tasks:
            index = len(self._tasks)
            append_json_line(self.layout.tasks, {"task_index": index, "task": task})
            self._tasks[task] = index
        return self._tasks[task]

    def discard_unfinished(self) -> None:
        """Delete files of the episode that was being written when the last writer ended."""
        pattern = f"*/**/*episode_{self.num_episodes:06d}.*"
        leftovers = [*self.layout.root.glob(pattern), *self.layout.root.rglob(".*.part")]
        for path in sorted(set(leftovers)):
            _log.warning("%s: belongs to an episode that was not finished; deleted", path)
            path.unlink()


def require_same_format(existing: dict[str, Any], given: dict[str, Any], where: Path, who: str) -> None:
    """Raise DatasetError unless two info.json describe the same robot, rate and columns."""
    for key in ("robot_type", "fps"):
        if existing.get(key) != given.get(key):
            raise DatasetError(f"{where} has {key} {existing.get(key)!r}, {who} {given.get(key)!r}; use another folder")
    old, new = existing["features"], given["features"]
    for name in sorted(set(old) | set(new)):
        if _essence(old.get(name)) != _essence(new.get(name)):
            raise DatasetError(
                f"{where}: column '{name}' is {_essence(old.get(name))}, {who} has {_essence(new.get(name))}; "
                "use another folder"
            )


def _essence(feature: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return None if feature is None else (feature["dtype"], tuple(feature["shape"]), tuple(feature.get("names") or ()))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in json_lines(path.read_text(encoding="utf-8"))]
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} is damaged: {error}; repair that line by hand or write to another folder"
        ) from error
