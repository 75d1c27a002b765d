# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint keeps of its training data: statistics per joint group, what the values are, what the cameras gave.

Schema of ``experiment_cfg/metadata.json``: GR00T N1 (one entry per embodiment tag with statistics and modalities).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gr00t_policy.core.encoding import ROTATION_WIDTHS
from gr00t_policy.core.errors import CheckpointError, DatasetError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.json_file import read_json, shown
from gr00t_policy.data.key_statistics import KeyStatistics, key_statistics_from_dict

_SIDES = ("state", "action")


@dataclass(frozen=True)
class VideoModality:
    """What the network was trained to see through one camera; ``resolution`` is (width, height) as in the schema."""

    resolution: tuple[int, int]
    channels: int = 3
    fps: float = 20.0


@dataclass(frozen=True)
class KeyModality:
    """What the values of one key are. absolute: not a difference to the step before. rotation_type: "" = no rotation.

    continuous: false for values that are switched, such as a gripper's 0 and 1. Raises DatasetError on an unknown rotation.
    """

    absolute: bool = True
    rotation_type: str = ""
    continuous: bool = True

    def __post_init__(self) -> None:
        if self.rotation_type and self.rotation_type not in ROTATION_WIDTHS:
            raise DatasetError(
                f"unknown rotation_type {shown(self.rotation_type)}; known: {', '.join(ROTATION_WIDTHS)}"
            )

    def to_dict(self, width: int) -> dict[str, Any]:
        return {
            "absolute": self.absolute,
            "rotation_type": self.rotation_type or None,
            "shape": [width],
            "continuous": self.continuous,
        }


@dataclass(frozen=True)
class Statistics:
    """What is needed to undo the network's units for one embodiment: joint group -> statistics, and the cameras.

    kinds: side ("state" or "action") -> group -> what its values are; groups that are not named are absolute joint angles.
    """

    embodiment_tag: str
    state: dict[str, KeyStatistics]
    action: dict[str, KeyStatistics]
    video: dict[str, VideoModality] = field(default_factory=dict)
    kinds: dict[str, dict[str, KeyModality]] = field(default_factory=dict)

    def kind(self, side: str, group: str) -> KeyModality:
        return self.kinds.get(side, {}).get(group, KeyModality())

    def to_dict(self) -> dict[str, Any]:
        """One entry of metadata.json."""
        sides = {"state": self.state, "action": self.action}
        video = {
            key: {"resolution": list(item.resolution), "channels": item.channels, "fps": item.fps}
            for key, item in self.video.items()
        }
        modalities = {
            side: {key: self.kind(side, key).to_dict(len(item.min)) for key, item in keys.items()}
            for side, keys in sides.items()
        }
        return {
            "statistics": {side: {key: item.to_dict() for key, item in keys.items()} for side, keys in sides.items()},
            "modalities": {"video": video, **modalities},
            "embodiment_tag": self.embodiment_tag,
        }


def statistics_from_dict(
    data: Any, tag: str, where: str = "metadata.json", groups: Sequence[str] | None = None
) -> Statistics:
    """Read one entry of metadata.json; fields that we do not know are ignored.

    groups: those needed; further ones of the file are not looked at. None = all there are. Raises CheckpointError.
    """
    try:
        sides = {side: _side(_mapping(data, "statistics", where), side, where, groups) for side in _SIDES}
        modalities = _mapping(data, "modalities", where)
        video = {
            key: _video(item, f"modalities.video.{key}") for key, item in _mapping(modalities, "video", where).items()
        }
        kinds = {
            side: {
                key: _kind(item, f"modalities.{side}.{key}", len(sides[side][key].min))
                for key, item in _mapping(modalities, side, where).items()
                if key in sides[side]
            }
            for side in _SIDES
        }
        return Statistics(tag, sides["state"], sides["action"], video, kinds)
    except DatasetError as error:
        raise CheckpointError(f"{where} is not a GR00T metadata entry: {error}") from error


def save_metadata(path: Path, statistics: Statistics) -> None:
    """Write ``statistics`` under its tag, keeping the entries of other tags that the file already has."""
    entries = _read(path) if path.is_file() else {}
    write_json(path, {**entries, statistics.embodiment_tag: statistics.to_dict()})


def metadata_tags(path: Path) -> tuple[str, ...]:
    """The embodiment tags that a metadata.json has entries for, sorted. Raises CheckpointError."""
    return tuple(sorted(_read(path)))


def load_metadata(path: Path, embodiment_tag: str, groups: Sequence[str] | None = None) -> Statistics:
    """The entry of one embodiment tag, see ``statistics_from_dict``. Raises CheckpointError naming the tags there are."""
    entries = _read(path)
    if embodiment_tag not in entries:
        raise CheckpointError(
            f"{path} has no statistics for embodiment '{embodiment_tag}'; it has: {', '.join(sorted(entries))}"
        )
    return statistics_from_dict(entries[embodiment_tag], embodiment_tag, f"{path}, entry '{embodiment_tag}'", groups)


def _side(data: dict[str, Any], side: str, where: str, groups: Sequence[str] | None) -> dict[str, KeyStatistics]:
    keys = _mapping(data, side, where)
    missing = [group for group in groups or () if group not in keys]
    if missing:
        raise DatasetError(f"there are no {side} statistics for {', '.join(missing)}; there are: {', '.join(keys)}")
    return {key: key_statistics_from_dict(keys[key], f"{side}.{key}") for key in (keys if groups is None else groups)}


def _video(data: Any, where: str) -> VideoModality:
    resolution = data.get("resolution") if isinstance(data, dict) else None
    if not (isinstance(resolution, list) and len(resolution) == 2 and all(_is_size(size) for size in resolution)):
        raise DatasetError(f"{where} needs a resolution [width, height], got {shown(data)}")
    channels, fps = data.get("channels", 3), data.get("fps", 20.0)
    if not (_is_size(channels) and type(fps) in (int, float) and 0 < fps < 1e6):
        raise DatasetError(f"{where}: channels {shown(channels)} and fps {shown(fps)} must be positive numbers")
    return VideoModality((resolution[0], resolution[1]), channels, float(fps))


def _kind(data: Any, where: str, width: int) -> KeyModality:
    if not isinstance(data, dict):
        raise DatasetError(f"{where}: expected an object, got {shown(data)}")
    absolute, continuous = data.get("absolute", True), data.get("continuous", True)
    rotation, shape = data.get("rotation_type") or "", data.get("shape", [width])
    if not (isinstance(absolute, bool) and isinstance(continuous, bool) and isinstance(rotation, str)):
        raise DatasetError(
            f"{where}: absolute and continuous must be true or false, rotation_type a name; {shown(data)}"
        )
    if shape != [width]:
        raise DatasetError(f"{where} has shape {shown(shape)}, its statistics have {width} values")
    return KeyModality(absolute, rotation, continuous)


def _mapping(data: Any, key: str, where: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, dict):
        raise DatasetError(f"'{key}' must be an object, got {shown(value)}")
    return value


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 1_000_000


def _read(path: Path) -> dict[str, Any]:
    entries = read_json(path, CheckpointError, "a checkpoint needs the statistics it was trained with")
    if not isinstance(entries, dict):
        raise CheckpointError(f"{path}: expected one entry per embodiment tag, got {type(entries).__name__}")
    return entries
