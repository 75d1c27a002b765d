# SPDX-License-Identifier: Apache-2.0
"""Bags: recordings in rosbag2's MCAP layout, written and read without ROS.

A bag is a folder ``name/`` with ``name_0.mcap`` and ``metadata.yaml``; ``ros2 bag info`` and ``ros2 bag play`` accept it.
Messages stay the serialized bytes (CDR) that came over the wire. Three facts are kept per message, so that latency and
loss can be computed from any bag later: when it was received (log time), when it was sent (publish time), and the
sender's sequence number. The writer is not safe for use from several threads.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gr00t_policy.core.errors import DatasetError

# A killed writer loses at most the open chunk; 64 KiB lost 0.07 s of a 0.15 MB/s stream where 1 MiB lost 5.8 s.
CHUNK_BYTES = 64 * 1024
_METADATA_VERSION = 9  # rosbag2 of ROS 2 Jazzy
_INFINITE_NS = 2**63 - 1


@dataclass(frozen=True)
class OfferedQos:
    """What a publisher offers, with the policy words of rosbag2 ('keep_last', 'reliable', 'transient_local', ...)."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 1
    liveliness: str = "automatic"
    deadline_ns: int = _INFINITE_NS
    lifespan_ns: int = _INFINITE_NS
    liveliness_lease_ns: int = _INFINITE_NS


@dataclass(frozen=True)
class BagTopic:
    """One recorded topic. definition: the ``ros2msg`` text with dependencies; type_hash: 'RIHS01_...' or empty."""

    name: str
    type_name: str
    definition: str
    qos: tuple[OfferedQos, ...] = ()
    type_hash: str = ""


@dataclass(frozen=True)
class BagMessage:
    """One recorded message; stamps in nanoseconds of the recorder's system clock."""

    topic: str
    cdr: bytes
    log_ns: int
    publish_ns: int
    sequence: int


@dataclass
class _Channel:
    topic: BagTopic
    channel_id: int
    count: int = field(default=0)


class BagWriter:
    """Writes one bag. Use as a context manager: leaving it writes the index and ``metadata.yaml``."""

    def __init__(self, folder: Path, ros_distro: str = "jazzy") -> None:
        """Make ``folder`` (it must be absent or empty). Raises DatasetError."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"bag folder {folder} exists already and is not empty; give another or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._distro = ros_distro
        self._file = folder / f"{folder.name}_0.mcap"
        self._stream = self._file.open("wb")
        self._writer = Writer(self._stream, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)
        self._writer.start(profile="ros2", library="gr00t")
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, _Channel] = {}
        self._first_ns = _INFINITE_NS
        self._last_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        return {name: channel.count for name, channel in self._channels.items()}

    def add_topic(self, topic: BagTopic) -> None:
        """Announce a topic; must come before its first message. A second call with the same name is refused."""
        if topic.name in self._channels:
            raise DatasetError(f"topic '{topic.name}' was added to bag {self.folder} before")
        if topic.type_name not in self._schemas:
            self._schemas[topic.type_name] = self._writer.register_schema(
                topic.type_name, "ros2msg", topic.definition.encode()
            )
        metadata = {"offered_qos_profiles": _yaml(_qos_list(topic)), "topic_type_hash": topic.type_hash}
        channel_id = self._writer.register_channel(topic.name, "cdr", self._schemas[topic.type_name], metadata)
        self._channels[topic.name] = _Channel(topic, channel_id)

    def write(self, message: BagMessage) -> None:
        """Append one message of a topic added before."""
        channel = self._channels.get(message.topic)
        if channel is None:
            known = ", ".join(self._channels) or "none"
            raise DatasetError(f"topic '{message.topic}' was not added to bag {self.folder}; added: {known}")
        self._writer.add_message(
            channel.channel_id, message.log_ns, message.cdr, message.publish_ns, message.sequence & 0xFFFFFFFF
        )
        channel.count += 1
        self._first_ns = min(self._first_ns, message.log_ns)
        self._last_ns = max(self._last_ns, message.log_ns)

    def flush(self) -> None:
        """Hand the closed chunks to the operating system, so that they outlive this process."""
        self._stream.flush()

    def close(self, custom_data: dict[str, str] | None = None) -> None:
        """Write index and ``metadata.yaml``. Calling it again does nothing."""
        if self._stream.closed:
            return
        metadata = self._metadata(custom_data)
        self._writer.add_metadata("rosbag2", {"serialized_metadata": _yaml(metadata)})
        self._writer.finish()
        self._stream.close()
        (self.folder / "metadata.yaml").write_text(_yaml({"rosbag2_bagfile_information": metadata}))

    def _metadata(self, custom_data: dict[str, str] | None) -> dict[str, Any]:
        total = sum(channel.count for channel in self._channels.values())
        span = {
            "duration": {"nanoseconds": self._last_ns - self._first_ns if total else 0},
            "starting_time": {"nanoseconds_since_epoch": self._first_ns if total else 0},
            "message_count": total,
        }
        return {
            "version": _METADATA_VERSION,
            "storage_identifier": "mcap",
            **span,
            "topics_with_message_count": [_topic_entry(channel) for channel in self._channels.values()],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [self._file.name],
            "files": [{"path": self._file.name, **span}],
            "custom_data": custom_data,
            "ros_distro": self._distro,
        }


def read_bag(folder: Path, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
    """Messages of a closed bag in order of receipt, of all topics or the named ones. Raises DatasetError."""
    for file in _mcap_files(folder):
        with file.open("rb") as stream:
            try:
                for _, channel, message in make_reader(stream).iter_messages(topics=topics):
                    yield BagMessage(
                        channel.topic, message.data, message.log_time, message.publish_time, message.sequence
                    )
            except McapError as error:
                raise DatasetError(f"bag file {file} cannot be read: {error}; was the recording cut off?") from error


def bag_topics(folder: Path) -> dict[str, BagTopic]:
    """The topics of a closed bag by name, without their QoS. Raises DatasetError."""
    found: dict[str, BagTopic] = {}
    for file in _mcap_files(folder):
        with file.open("rb") as stream:
            try:
                summary = make_reader(stream).get_summary()
            except McapError as error:
                raise DatasetError(f"bag file {file} cannot be read: {error}; was the recording cut off?") from error
        if summary is None:
            raise DatasetError(f"bag file {file} has no index; the recording was cut off")
        for channel in summary.channels.values():
            schema = summary.schemas[channel.schema_id]
            type_hash = channel.metadata.get("topic_type_hash", "")
            found[channel.topic] = BagTopic(channel.topic, schema.name, schema.data.decode(), type_hash=type_hash)
    return found


class MessageDecoder:
    """Turns the bytes of a bag's messages into objects with the message's fields, from the definitions in the bag.

    Arrays of numbers become numpy arrays; no ROS installation is needed.
    """

    def __init__(self, topics: dict[str, BagTopic]) -> None:
        self._types = {name: topic.type_name for name, topic in topics.items()}
        self._store = get_typestore(Stores.EMPTY)
        for topic in topics.values():
            new = get_types_from_msg(topic.definition, topic.type_name)
            self._store.register({name: fields for name, fields in new.items() if name not in self._store.types})

    def decode(self, message: BagMessage) -> Any:
        """The message as an object. Raises DatasetError for a topic the bag does not have."""
        if message.topic not in self._types:
            raise DatasetError(f"topic '{message.topic}' is not in this bag; it has: {', '.join(self._types)}")
        return self._store.deserialize_cdr(message.cdr, self._types[message.topic])


def _mcap_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.mcap"))
    if not files:
        raise DatasetError(f"{folder} is not a bag: it holds no .mcap file")
    return files


def _topic_entry(channel: _Channel) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": channel.topic.name,
            "type": channel.topic.type_name,
            "serialization_format": "cdr",
            "offered_qos_profiles": _qos_list(channel.topic),
            "type_description_hash": channel.topic.type_hash,
        },
        "message_count": channel.count,
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


def _duration(duration_ns: int) -> dict[str, int]:
    return {"sec": duration_ns // 10**9, "nsec": duration_ns % 10**9}


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False)
