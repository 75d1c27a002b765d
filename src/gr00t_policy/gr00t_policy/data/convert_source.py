# SPDX-License-Identifier: Apache-2.0
"""Bags to convert: found among folders, with what the recorder noted about the episode."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagTopic
from gr00t_policy.data.bag_metadata import PENDING
from gr00t_policy.data.bag_reading import why_no_mcap

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
JOINT_STATE, TRAJECTORY, STRING = (
    "sensor_msgs/msg/JointState",
    "trajectory_msgs/msg/JointTrajectory",
    "std_msgs/msg/String",
)
_FALSE = ("false", "0", "no")


@dataclass(frozen=True)
class TopicNames:
    """Where to look. Names without a leading slash lie in the robot's namespace, which is where ``state`` is found.

    cameras: camera of the robot -> topic; others are ``camera/NAME/image_raw``, raw or with ``/compressed`` behind it.
    """

    state: str = "joint_states"
    action: str = "joint_trajectory"
    language: str = "language_command"
    cameras: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Sources:
    """Topics of one bag, by use. language: None when the bag has none."""

    state: BagTopic
    action: BagTopic
    language: BagTopic | None
    cameras: dict[str, BagTopic]


@dataclass(frozen=True)
class EpisodeNotes:
    """What the recorder knows beside the messages; "" and True where it says nothing. snapshot_s: of a snapshot, its length."""

    instruction: str = ""
    operator: str = ""
    outcome: str = ""
    embodiment: str = ""
    review: str = ""
    kept: bool = True
    snapshot_s: str = ""

    def reason_to_skip(self) -> str:
        """Why such an episode is not to be imitated; "" when it is."""
        if self.snapshot_s:
            return "it is a snapshot of whatever went on, often of an episode that failed or is here too"
        if not self.kept:
            return "it was discarded when it was recorded"
        if self.review == PENDING:
            return (
                "it is in review: keep or discard it first; where its recorder was killed, the next one that is started on "
                "its folder keeps it, and `gr00t bag recover` writes a copy that is kept"
            )
        return "it was judged a failure when it was recorded" if self.outcome.lower() == "failure" else ""


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """Bag folders among ``paths``: themselves, or the folders directly below them, in order of their names, each once.

    Raises DatasetError for a path that is no bag and holds none.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for bag in _bags_at(path):
            found.setdefault(bag.resolve(), bag)
    return list(found.values())


def episode_notes(bag: Path) -> EpisodeNotes:
    """From ``custom_data`` of metadata.yaml. What is absent, unreadable or of another kind counts as not said."""
    try:
        data = yaml.safe_load((bag / "metadata.yaml").read_text(encoding="utf-8"))
        custom = data["rosbag2_bagfile_information"]["custom_data"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return EpisodeNotes()
    if not isinstance(custom, Mapping):
        return EpisodeNotes()
    said = {key: "" if custom.get(key) is None else str(custom[key]).strip() for key in EpisodeNotes.__annotations__}
    kept = said["kept"].lower() not in _FALSE and custom.get("end") != "discarded"
    names = ("instruction", "operator", "outcome", "embodiment", "review", "snapshot_s")
    return EpisodeNotes(kept=kept, **{name: said[name] for name in names})


def find_sources(topics: Mapping[str, BagTopic], names: TopicNames, robot: Embodiment, bag: Path) -> Sources:
    """The topics that an episode is made from. Raises DatasetError that says which exist."""
    namespace = _namespace(topics, names.state)
    cameras = {}
    for camera in robot.cameras:
        raw = (names.cameras or {}).get(camera.name, f"camera/{camera.name}/image_raw")
        options = [raw, f"{raw}/compressed"]
        cameras[camera.name] = _required(topics, options, namespace, (IMAGE, COMPRESSED), bag)
    unknown = sorted(set(names.cameras or {}) - set(cameras))
    if unknown:
        raise DatasetError(f"robot '{robot.name}' has no camera '{unknown[0]}'; it has: {', '.join(cameras)}")
    language = _absolute(names.language, namespace)
    return Sources(
        state=_required(topics, [names.state], namespace, (JOINT_STATE,), bag),
        action=_required(topics, [names.action], namespace, (TRAJECTORY, JOINT_STATE), bag),
        language=_required(topics, [language], namespace, (STRING,), bag) if language in topics else None,
        cameras=cameras,
    )


def has_commands(topics: Mapping[str, BagTopic], names: TopicNames) -> bool:
    """Whether the bag has the topic of commands, in the namespace of its joint states."""
    return _absolute(names.action, _namespace(topics, names.state)) in topics


def in_namespace(topics: Mapping[str, BagTopic], names: TopicNames, name: str) -> BagTopic | None:
    """Any other topic of the robot whose joint states the bag has; None when it is not there."""
    return topics.get(_absolute(name, _namespace(topics, names.state)))


def _bags_at(path: Path) -> list[Path]:
    if path.is_file() and path.suffix == ".mcap":
        return [path.parent]
    if not path.is_dir():
        raise DatasetError(f"there is no bag at {path}; give a folder with .mcap files, or a folder of such folders")
    if any(path.glob("*.mcap")):
        return [path]
    inside = [child for child in path.iterdir() if child.is_dir() and any(child.glob("*.mcap"))]
    if inside:
        return sorted(inside, key=lambda child: [_number_or_text(part) for part in re.split(r"(\d+)", child.name)])
    if any(path.glob("*.db3*")) or any(path.glob("*.mcap.*")):
        raise DatasetError(f"{path} is not a bag that can be converted: {why_no_mcap(path)}")
    raise DatasetError(f"{path} is no bag and holds none: there is no .mcap file in it or in the folders below it")


def _number_or_text(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _namespace(topics: Mapping[str, BagTopic], state: str) -> str:
    """'' or '/robot': where the shortest topic lies that ends like ``state``."""
    if state.startswith("/"):
        return ""
    found = sorted((topic for topic in topics if topic.endswith(f"/{state}")), key=len)
    return found[0].removesuffix(f"/{state}") if found else ""


def _absolute(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"{namespace}/{name}"


def _required(
    topics: Mapping[str, BagTopic], options: Sequence[str], namespace: str, types: tuple[str, ...], bag: Path
) -> BagTopic:
    """The first of ``options`` that is there."""
    wanted = [_absolute(option, namespace) for option in options]
    found = next((topics[name] for name in wanted if name in topics), None)
    if found is None:
        alike = sorted(name for name, topic in topics.items() if topic.type_name in types)
        there = (
            f"of that kind it has: {', '.join(alike)}" if alike else f"it has: {', '.join(sorted(topics)) or 'none'}"
        )
        raise DatasetError(f"{bag} has no topic {wanted[0]} ({' or '.join(types)}); {there}")
    if found.type_name not in types:
        raise DatasetError(f"{bag}: topic {found.name} is {found.type_name}, expected {' or '.join(types)}")
    return found
