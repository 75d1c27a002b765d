# SPDX-License-Identifier: Apache-2.0
"""Reads the meta files of a LeRobot dataset as checked plain data. Knows their shapes, not what they are for."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.json_file import json_lines, parse_json, read_json, read_text, shown
from gr00t_policy.data.layout import CHUNKS_SIZE, Layout
from gr00t_policy.data.statistics import KeyModality

_EPISODE_KEYS = ("episode_index", "length", "tasks")
_MODALITY_FIELDS = {"original_key": str, "rotation_type": str, "absolute": bool, "dtype": str}


@dataclass(frozen=True)
class EpisodeEntry:
    """One line of episodes.jsonl; ``info`` keeps what it says beyond the format (seed, success, ...)."""

    index: int
    length: int
    tasks: tuple[str, ...]
    info: dict[str, Any]


def read_object(path: Path) -> dict[str, Any]:
    value = read_json(path, DatasetError, f"is {path.parent.parent} a LeRobot dataset with meta/modality.json?")
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: expected an object, got {type(value).__name__}")
    return value


def read_lines(path: Path, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    text = read_text(path, DatasetError, "copy it back or write the dataset again")
    lines = [parse_json(line, path, DatasetError) for line in json_lines(text)]
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict) or any(key not in line for key in keys):
            raise DatasetError(f"{path}, line {number}: needs {', '.join(keys)}")
    return lines


def read_entries(path: Path) -> tuple[EpisodeEntry, ...]:
    """episodes.jsonl."""
    return tuple(_entry(line, path) for line in read_lines(path, _EPISODE_KEYS))


def read_tasks(path: Path) -> dict[int, str]:
    """tasks.jsonl: number -> sentence."""
    lines = read_lines(path, ("task_index", "task"))
    tasks: dict[int, str] = {}
    for line in lines:
        if not _is_count(line["task_index"]) or not isinstance(line["task"], str):
            raise DatasetError(f"{path}: {shown(line)} is no task: a number from 0 and a sentence are needed")
        index, task = line["task_index"], line["task"]
        if tasks.setdefault(index, task) != task:
            raise DatasetError(
                f"{path}: task {index} is both {shown(tasks[index])} and {shown(task)}; give each sentence its own number"
            )
    return tasks


def read_layout(info: dict[str, Any], plain: Layout) -> tuple[Layout, float]:
    """Where info.json says that files lie, and its frames per second. Raises DatasetError."""
    data_path, video_path, fps = (info.get(key) for key in ("data_path", "video_path", "fps"))
    chunks_size = info.get("chunks_size", CHUNKS_SIZE)
    if not (isinstance(data_path, str) and isinstance(video_path, str)):
        raise DatasetError(f"{plain.info}: data_path or video_path is missing or no text")
    if not isinstance(fps, int | float) or isinstance(fps, bool) or not 0 < fps < 1e6:
        raise DatasetError(f"{plain.info}: fps must be a positive number, got {shown(fps)}")
    if not _is_count(chunks_size) or chunks_size == 0:
        raise DatasetError(f"{plain.info}: chunks_size must be a positive number, got {shown(chunks_size)}")
    return Layout(plain.root, data_path, video_path, chunks_size), float(fps)


def read_features(info: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """The features of info.json: each with a ``dtype`` and a ``shape`` of positive numbers, videos with named axes."""
    features = info.get("features")
    if not isinstance(features, dict):
        raise DatasetError(f"{path}: features are missing")
    for name, feature in features.items():
        if (
            not isinstance(feature, dict)
            or not isinstance(feature.get("dtype"), str)
            or not _is_shape(feature.get("shape"))
        ):
            raise DatasetError(
                f"{path}: feature '{name}' needs a dtype and a shape of positive numbers, got {shown(feature)}"
            )
        names = feature.get("names")
        if feature["dtype"] == "video" and not (
            isinstance(names, list)
            and len(names) == len(feature["shape"])
            and {"height", "width"} <= set(map(str, names))
        ):
            raise DatasetError(
                f"{path}: video '{name}' must name its {len(feature['shape'])} axes, height and width among them"
            )
    return features


def read_modality(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """modality.json: side (state, action, video, annotation) -> key -> what is said of it, with the types it must have."""
    modality = read_object(path)
    for side, keys in modality.items():
        if not isinstance(keys, dict) or not all(isinstance(entry, dict) for entry in keys.values()):
            raise DatasetError(f"{path}: '{side}' must be an object of objects")
        for key, entry in keys.items():
            for name, kind in _MODALITY_FIELDS.items():
                if entry.get(name) is not None and not isinstance(entry[name], kind):
                    raise DatasetError(f"{path}: {name} of {side}.{key} cannot be {shown(entry[name])}")
    return modality


def key_modality(entry: dict[str, Any]) -> KeyModality:
    """What modality.json says of the values of one state or action key. Raises DatasetError on an unknown rotation."""
    dtype, absolute = entry.get("dtype") or "float64", entry.get("absolute")
    return KeyModality(
        absolute=True if absolute is None else absolute,
        rotation_type=entry.get("rotation_type") or "",
        continuous=dtype.startswith("float"),
    )


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(_is_count(n) and n > 0 for n in value) and prod(value) < 2**31
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _entry(line: dict[str, Any], path: Path) -> EpisodeEntry:
    index, length, tasks = (line[key] for key in _EPISODE_KEYS)
    if not (_is_count(index) and _is_count(length) and isinstance(tasks, list)):
        raise DatasetError(f"{path}: {shown(line)} is not an episode: index, length and list of tasks are needed")
    if length < 1:
        raise DatasetError(f"{path}: episode {index} has length {length}")
    info = {key: value for key, value in line.items() if key not in _EPISODE_KEYS}
    return EpisodeEntry(index, length, tuple(tasks), info)
