# SPDX-License-Identifier: Apache-2.0
"""Reads LeRobot v2.0 datasets with ``meta/modality.json``: ours and published ones. Refuses what does not add up."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data import video
from gr00t_policy.data.columns import read_rows
from gr00t_policy.data.json_file import shown
from gr00t_policy.data.layout import ACTION, ANNOTATION, STATE, Layout
from gr00t_policy.data.meta import (
    EpisodeEntry,
    key_modality,
    read_entries,
    read_features,
    read_layout,
    read_modality,
    read_object,
    read_tasks,
)
from gr00t_policy.data.row_times import require_regular_times
from gr00t_policy.data.statistics import KeyModality

_VERSIONS = ("v2.0", "v2.1")
_NUMBERS = ("float", "int", "uint", "bool")


@dataclass(frozen=True)
class Episode:
    """One episode without images. states, actions: (N, D) of the selected groups [rad]; extras: column -> (N, ...).

    sentences: N, what is asked for in each row; in most episodes one and the same."""

    index: int
    sentences: tuple[str, ...]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    timestamps_s: NDArray[np.float64]
    extras: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.states)

    @property
    def task(self) -> str:
        """The different sentences in order, " / " between them: for people. What a row asks for is in ``sentences``."""
        return " / ".join(dict.fromkeys(self.sentences))


class LeRobotDataset:
    """One dataset folder. ``groups`` select and order columns of state and action (default: all of modality.json)."""

    def __init__(
        self,
        root: str | Path,
        groups: Sequence[str] | None = None,
        language_key: str | None = None,
        default_task: str | None = None,
    ) -> None:
        """Read and check the meta files; ``validate`` looks at the rest. Raises DatasetError.

        language_key: which annotation is the sentence, by default the first of modality.json. default_task: the sentence of
        all episodes where modality.json has no annotation at all; None = such a dataset is refused.
        """
        plain = Layout(Path(root))
        self.info: dict[str, Any] = read_object(plain.info)
        self.modality = read_modality(plain.modality)
        self._require_version(plain)
        self.layout, self.fps = read_layout(self.info, plain)
        self._features = read_features(self.info, plain.info)
        self.tasks = read_tasks(plain.tasks)
        self.episodes = read_entries(plain.episodes)
        self.state_groups = self._select("state", groups)
        self.action_groups = self._select("action", groups)
        self.cameras = self._cameras()
        self._default_task = default_task
        self.language_column = self._language_column(language_key)  # "" = there are no sentences
        self._check_counts()

    @property
    def num_frames(self) -> int:
        return sum(entry.length for entry in self.episodes)

    @cached_property
    def fingerprint(self) -> str:
        """Of what was recorded: sentences, and of each episode length, tasks and what else its line says. Survives a copy, a
        move and another name; another when episodes are added, left out or changed."""
        episodes = [[entry.index, entry.length, entry.tasks, entry.info] for entry in self.episodes]
        described = json.dumps([self.fps, sorted(self.tasks.items()), episodes], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    @cached_property
    def extra_columns(self) -> dict[str, tuple[int, ...]]:
        """Further numeric columns -> shape of one row, () for a number."""
        ours = {
            STATE,
            ACTION,
            "timestamp",
            "frame_index",
            "episode_index",
            "index",
            "task_index",
            "next.reward",
            "next.done",
        }
        return {
            name: () if tuple(feature["shape"]) == (1,) else tuple(feature["shape"])
            for name, feature in self._features.items()
            if name not in ours and feature["dtype"].startswith(_NUMBERS) and not name.startswith(ANNOTATION)
        }

    def episode(self, index: int, *, regular: bool = True) -> Episode:
        """States, actions, sentences and extra columns of one episode.

        Raises DatasetError naming the file; regular: also where its rows are not as far apart as fps says.
        """
        entry, path = self._entry(index), self.layout.data(index)
        sentences = [self.language_column] if self.language_column else []
        table = self._table(path, [STATE, ACTION, "timestamp", *sentences, *self.extra_columns])
        if table.num_rows != entry.length:
            raise DatasetError(
                f"{path} has {table.num_rows} frames, {self.layout.episodes.name} says {entry.length}; "
                "write the episode again"
            )
        extras = {
            name: self._rows(path, table, name, int(np.prod(shape)) if shape else None).reshape(entry.length, *shape)
            for name, shape in self.extra_columns.items()
        }
        times_s = np.asarray(self._rows(path, table, "timestamp", None), np.float64)
        if regular:
            require_regular_times(path, times_s, self.fps)
        return Episode(
            index=index,
            sentences=self._sentences(path, table),
            states=self._side(path, table, STATE, self.state_groups),
            actions=self._side(path, table, ACTION, self.action_groups),
            timestamps_s=times_s,
            extras=extras,
        )

    def stored_columns(self, index: int) -> dict[str, NDArray[Any]]:
        """Every column of numbers as it is stored, (N,) or (N, width), for those who look for what ``episode`` refuses.

        N may differ from the episode's length. Raises DatasetError when the file cannot be read at all.
        """
        path = self.layout.data(self._entry(index).index)
        table = self._table(path, None)
        columns = {}
        for name in table.column_names:
            kind = table.schema.field(name).type
            if pa.types.is_nested(kind):
                kind = getattr(kind, "value_type", kind)
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
                rows = self._stored(path, table, name)
                columns[name] = rows[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 else rows
        return columns

    def kinds(self, side: str) -> dict[str, KeyModality]:
        """What the values of every selected "state" or "action" group are."""
        selected = self.state_groups if side == "state" else self.action_groups
        return {group: key_modality(self.modality[side][group]) for group in selected}

    def frames(
        self, index: int, camera: str, indices: Sequence[int] | NDArray[np.integer] | None = None
    ) -> video.Frames:
        """Images (N, H, W, 3) uint8 RGB of one camera, all or at frame indices."""
        return video.read_frames(self.video_path(index, camera), indices)

    def frames_of_rows(self, index: int, camera: str, rows: Sequence[int]) -> video.Frames:
        """As ``frames``; raises DatasetError where picture i is not that of row i: another number of them, or another rate."""
        return video.read_frames(self.video_path(index, camera), rows, self.paired(index))

    def paired(self, index: int) -> video.Pairing:
        """What a video of the episode must be like for picture i to be that of row i."""
        return video.Pairing(self._entry(index).length, self.fps)

    def iterate_frames(self, index: int, camera: str) -> Iterator[NDArray[np.uint8]]:
        """Images of one camera in order, one at a time."""
        return video.iterate_frames(self.video_path(index, camera))

    def video_path(self, index: int, camera: str) -> Path:
        if camera not in self.cameras:
            raise DatasetError(f"{self.layout.modality} has no camera '{camera}'; it has: {', '.join(self.cameras)}")
        return self.layout.video(self._entry(index).index, self.video_key(camera))

    def validate(self) -> None:
        """Look at every file: rows, widths, times, finite values, each video's header. Raises at the first fault."""
        for entry in self.episodes:
            episode = self.episode(entry.index)
            path = self.layout.data(entry.index)
            for name, values in (("state", episode.states), ("action", episode.actions)):
                if not np.isfinite(values).all():
                    raise DatasetError(
                        f"{path}: {name} holds NaN or infinity in frame {int(np.argwhere(~np.isfinite(values))[0, 0])}"
                    )
            steps = np.diff(episode.timestamps_s) * self.fps
            if len(steps) and np.abs(steps - 1).max() > 0.02:
                raise DatasetError(
                    f"{path}: timestamps are not {1 / self.fps:.4f} s apart as fps {self.fps:g} in info.json demands"
                )
            for camera in self.cameras:
                self._check_video(entry, camera)

    def _check_video(self, entry: EpisodeEntry, camera: str) -> None:
        path = self.video_path(entry.index, camera)
        header = video.read_header(path)
        if (header.height, header.width) != self.cameras[camera]:
            height, width = self.cameras[camera]
            raise DatasetError(f"{path} is {header.width}x{header.height}, info.json says {width}x{height}")
        if header.frames != entry.length:
            raise DatasetError(
                f"{path} has {header.frames} frames, the episode {entry.length}; write the episode again"
            )
        if abs(header.fps - self.fps) > 0.01:
            raise DatasetError(f"{path} plays at {header.fps:g} frames/s, info.json says {self.fps:g}")

    def _entry(self, index: int) -> EpisodeEntry:
        if not 0 <= index < len(self.episodes):
            raise DatasetError(f"{self.layout.root} has no episode {index}; it has {len(self.episodes)}")
        return self.episodes[index]

    def _require_version(self, layout: Layout) -> None:
        version = self.info.get("codebase_version")
        if version not in _VERSIONS:
            raise DatasetError(
                f"{layout.info}: version {version!r} cannot be read, only {', '.join(_VERSIONS)}; convert the dataset"
            )

    def _check_counts(self) -> None:
        if not self.episodes:
            raise DatasetError(f"{self.layout.episodes} lists no episode; record some, or leave this dataset out")
        if [entry.index for entry in self.episodes] != list(range(len(self.episodes))):
            raise DatasetError(
                f"{self.layout.episodes}: episodes are not numbered 0 to {len(self.episodes) - 1} in order"
            )
        counts = {"total_episodes": len(self.episodes), "total_frames": self.num_frames}
        for key, counted in counts.items():
            if self.info.get(key) != counted:
                raise DatasetError(
                    f"{self.layout.info} says {key} {self.info.get(key)}, {self.layout.episodes.name} lists {counted}; "
                    "the dataset was not finished: open it with LeRobotWriter and call finish()"
                )

    def _select(self, side: str, groups: Sequence[str] | None) -> dict[str, slice]:
        """group -> where it lies in the stored column, checked against its width."""
        column = STATE if side == "state" else ACTION
        entries = self.modality.get(side) or {}
        wanted = list(entries) if groups is None else list(groups)
        missing = [group for group in wanted if group not in entries]
        if missing or not wanted:
            raise DatasetError(
                f"{self.layout.modality}: no {side} group {', '.join(missing) or '(none at all)'}; "
                f"it has: {', '.join(entries)}"
            )
        selected = {}
        for group in wanted:
            entry = entries[group]
            if entry.get("original_key", column) != column:
                raise DatasetError(
                    f"{self.layout.modality}: {side}.{group} lies in '{entry['original_key']}', "
                    f"only '{column}' is supported"
                )
            width = self._width(column)
            start, end = entry.get("start"), entry.get("end")
            if not (type(start) is int and type(end) is int and 0 <= start < end <= width):
                place = f"[{shown(start)}, {shown(end)})"
                raise DatasetError(
                    f"{self.layout.modality}: {side}.{group} is {place}, but '{column}' has {width} values"
                )
            key_modality(entry)  # raises when it names a rotation that nobody knows
            selected[group] = slice(start, end)
        return selected

    def _width(self, column: str) -> int:
        if column not in self._features:
            raise DatasetError(f"{self.layout.info} has no feature '{column}'; it has: {', '.join(self._features)}")
        return int(np.prod(self._features[column]["shape"]))

    def _cameras(self) -> dict[str, tuple[int, int]]:
        """camera -> (H, W) of every video in modality.json."""
        sizes = {}
        for camera in self.modality.get("video", {}):
            key = self.video_key(camera)
            feature = self._features.get(key)
            if feature is None or feature.get("dtype") != "video":
                raise DatasetError(
                    f"{self.layout.info} has no video feature '{key}' for camera '{camera}' of modality.json"
                )
            by_name = dict(zip(feature["names"], feature["shape"], strict=True))
            sizes[camera] = (int(by_name["height"]), int(by_name["width"]))
        return sizes

    def video_key(self, camera: str) -> str:
        """The column of info.json that a camera's videos are."""
        return str(self.modality["video"][camera].get("original_key", camera))

    def _language_column(self, language_key: str | None) -> str:
        columns = {
            ANNOTATION + key: str(entry.get("original_key", ANNOTATION + key))
            for key, entry in self.modality.get("annotation", {}).items()
        }
        if not columns and self._default_task is not None:
            return ""
        if not columns:
            raise DatasetError(
                f"{self.layout.modality} names no annotation: the dataset has no sentences; add one, or use a network of GR00T "
                "N1's form, which learns without"
            )
        if language_key is None:
            return next(iter(columns.values()))
        if language_key not in columns:
            raise DatasetError(f"{self.layout.modality} has no language '{language_key}'; it has: {', '.join(columns)}")
        return columns[language_key]

    def _sentences(self, path: Path, table: pa.Table) -> tuple[str, ...]:
        """That of every row."""
        if not self.language_column:
            return (self._default_task or "",) * table.num_rows
        rows = table[self.language_column].to_pylist()
        for row, task_index in enumerate(rows):
            if not isinstance(task_index, int) or task_index not in self.tasks:
                raise DatasetError(f"{path}: task {shown(task_index)} is not in {self.layout.tasks}, row {row}")
        return tuple(self.tasks[task_index] for task_index in rows)

    def _side(self, path: Path, table: pa.Table, column: str, groups: dict[str, slice]) -> NDArray[np.float32]:
        rows = self._rows(path, table, column, self._width(column))
        return np.concatenate([rows[:, part] for part in groups.values()], axis=1).astype(np.float32)

    @staticmethod
    def _stored(path: Path, table: pa.Table, column: str) -> NDArray[Any]:
        try:
            return read_rows(table[column])
        except DatasetError as error:
            raise DatasetError(f"{path}, column '{column}': {error}") from error

    @staticmethod
    def _rows(path: Path, table: pa.Table, column: str, width: int | None) -> NDArray[Any]:
        rows = LeRobotDataset._stored(path, table, column)
        if not (np.issubdtype(rows.dtype, np.number) or rows.dtype == bool):
            raise DatasetError(f"{path}, column '{column}' holds {table[column].type}, not numbers")
        if width is None and rows.ndim == 2 and rows.shape[1] == 1:
            rows = rows[:, 0]  # a list of one number is that number
        elif width == 1 and rows.ndim == 1:
            rows = rows[:, None]
        given = rows.shape[1] if rows.ndim == 2 else None
        if given != width:
            raise DatasetError(
                f"{path}, column '{column}': info.json says {width or 1} values per frame, the file has {given or 1}"
            )
        return rows

    @staticmethod
    def _table(path: Path, columns: list[str] | None) -> pa.Table:
        """columns: None = all."""
        try:
            with pq.ParquetFile(path) as file:
                missing = [name for name in columns or () if name not in file.schema_arrow.names]
                if missing:
                    raise DatasetError(
                        f"{path} has no column '{missing[0]}'; it has: {', '.join(file.schema_arrow.names)}"
                    )
                return file.read(columns=columns)
        except FileNotFoundError as error:
            raise DatasetError(f"{path} is missing; copy it back or write the dataset again") from error
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise DatasetError(f"{path} is damaged ({error}); delete this episode or write it again") from error
