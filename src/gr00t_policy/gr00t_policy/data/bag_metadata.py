# SPDX-License-Identifier: Apache-2.0
"""``metadata.yaml`` of a bag as rosbag2 of ROS 2 Jazzy writes it (version 9), and how it is replaced without a gap."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag_topic import INFINITE_NS, BagTopic, OfferedQos

METADATA_FILE = "metadata.yaml"
ROSBAG2_RECORD = "rosbag2"  # of a file, with a copy of metadata.yaml; of several the last one counts
# In the custom data: whether an episode that is closed still waits for somebody to judge it.
REVIEW, PENDING, DECIDED = "review", "pending", "decided"
_ROOT = "rosbag2_bagfile_information"
_VERSION = 9
# Up to ROS 2 Iron, rosbag2 wrote policies as the numbers of rmw/types.h.
_NUMBERED_POLICIES = {
    "reliability": {1: "reliable", 2: "best_effort"},
    "durability": {1: "transient_local", 2: "volatile"},
    "history": {1: "keep_last", 2: "keep_all"},
    "liveliness": {1: "automatic", 3: "manual_by_topic"},
}


@dataclass
class FileSpan:
    """What one file of a bag holds: messages and the stamps of receipt of the first and the last [ns]."""

    name: str
    count: int = 0
    first_ns: int = INFINITE_NS
    last_ns: int = 0

    def add(self, log_ns: int) -> None:
        self.count += 1
        self.first_ns = min(self.first_ns, log_ns)
        self.last_ns = max(self.last_ns, log_ns)


def bag_metadata(
    files: Sequence[FileSpan],
    topics: Sequence[tuple[BagTopic, int]],
    custom_data: Mapping[str, str] | None,
    ros_distro: str,
) -> dict[str, Any]:
    """The content of the file without its root. topics: each with its number of messages."""
    return {
        "version": _VERSION,
        "storage_identifier": "mcap",
        **_span(files),
        "topics_with_message_count": [_topic_entry(topic, count) for topic, count in topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name for file in files],
        "files": [{"path": file.name, **_span([file])} for file in files],
        "custom_data": dict(custom_data) if custom_data is not None else None,
        "ros_distro": ros_distro,
    }


def write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Make ``metadata.yaml`` anew: after a power cut there is the old file or the new one, never half of one."""
    fresh = folder / f".{METADATA_FILE}.new"
    with fresh.open("w") as stream:
        stream.write(to_yaml({_ROOT: metadata}))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(folder / METADATA_FILE)
    sync_folder(folder)


def read_metadata(folder: Path) -> dict[str, Any]:
    """What ``metadata.yaml`` says, without its root. Raises DatasetError."""
    file = folder / METADATA_FILE
    try:
        content = yaml.safe_load(file.read_text())
        metadata: dict[str, Any] = content[_ROOT]
    except FileNotFoundError as error:
        raise DatasetError(f"{folder} has no {METADATA_FILE}; run `gr00t bag recover {folder}`") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is not the description of a bag: {error!r}") from error
    return metadata


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def qos_yaml(topic: BagTopic) -> str:
    """The offered QoS as the text that a channel of the file carries."""
    return to_yaml(_qos_list(topic))


def qos_from_yaml(text: str) -> tuple[OfferedQos, ...]:
    """The inverse of ``qos_yaml``, also of older rosbag2; empty where the text says things differently."""
    try:
        return tuple(
            OfferedQos(
                reliability=_word(item, "reliability"),
                durability=_word(item, "durability"),
                history=_word(item, "history"),
                depth=int(item["depth"]),
                liveliness=_word(item, "liveliness"),
                deadline_ns=_nanoseconds(item["deadline"]),
                lifespan_ns=_nanoseconds(item["lifespan"]),
                liveliness_lease_ns=_nanoseconds(item["liveliness_lease_duration"]),
            )
            for item in yaml.safe_load(text) or ()
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return ()


def to_yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _span(files: Sequence[FileSpan]) -> dict[str, Any]:
    filled = [file for file in files if file.count]
    first_ns = min((file.first_ns for file in filled), default=0)
    last_ns = max((file.last_ns for file in filled), default=0)
    return {
        "duration": {"nanoseconds": last_ns - first_ns},
        "starting_time": {"nanoseconds_since_epoch": first_ns},
        "message_count": sum(file.count for file in filled),
    }


def _topic_entry(topic: BagTopic, count: int) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type_name,
            "serialization_format": "cdr",
            "offered_qos_profiles": _qos_list(topic),
            "type_description_hash": topic.type_hash,
        },
        "message_count": count,
    }


def _qos_list(topic: BagTopic) -> list[dict[str, Any]]:
    return [
        {
            "history": qos.history,
            "depth": qos.depth,
            "reliability": qos.reliability,
            "durability": qos.durability,
            "deadline": _duration(qos.deadline_ns),
            "lifespan": _duration(qos.lifespan_ns),
            "liveliness": qos.liveliness,
            "liveliness_lease_duration": _duration(qos.liveliness_lease_ns),
            "avoid_ros_namespace_conventions": False,
        }
        for qos in topic.qos
    ]


def _word(qos: Mapping[str, Any], policy: str) -> str:
    value = qos[policy]
    return _NUMBERED_POLICIES[policy].get(value, "unknown") if isinstance(value, int) else str(value)


def _duration(duration_ns: int) -> dict[str, int]:
    return {"sec": duration_ns // 10**9, "nsec": duration_ns % 10**9}


def _nanoseconds(duration: dict[str, int]) -> int:
    return int(duration["sec"]) * 10**9 + int(duration["nsec"])
