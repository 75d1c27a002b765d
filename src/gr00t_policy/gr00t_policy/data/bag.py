# SPDX-License-Identifier: Apache-2.0
"""Bags: recordings in rosbag2's MCAP layout, written and read without ROS.

A bag is a folder ``name/`` with ``name_0.mcap``, ``name_1.mcap``, ... and ``metadata.yaml``; ``ros2 bag info`` and
``ros2 bag play`` accept it. Messages stay the serialized bytes (CDR) that came over the wire. Three facts are kept per
message, so that latency and loss can be computed from any bag later: when it was received (log time), when it was sent
(publish time), and the sender's sequence number. The writer is not safe for use from several threads.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag_metadata import (
    ROSBAG2_RECORD,
    FileSpan,
    bag_metadata,
    qos_yaml,
    sync_folder,
    to_yaml,
    write_metadata,
)
from gr00t_policy.data.bag_reading import bag_topics, mcap_files, read_bag
from gr00t_policy.data.bag_topic import BagMessage, BagTopic, OfferedQos

__all__ = [
    "CHUNK_BYTES",
    "COMPRESSIONS",
    "BagLayout",
    "BagMessage",
    "BagTopic",
    "BagWriter",
    "MessageDecoder",
    "OfferedQos",
    "bag_topics",
    "mcap_files",
    "read_bag",
]

# A killed writer loses at most the open chunk; 64 KiB lost 0.07 s of a 0.15 MB/s stream where 1 MiB lost 5.8 s.
CHUNK_BYTES = 64 * 1024
COMPRESSIONS = {"none": CompressionType.NONE, "zstd": CompressionType.ZSTD}


@dataclass(frozen=True)
class BagLayout:
    """How a bag is laid out on disk.

    chunk_bytes: a chunk is closed when it holds more; ``BagWriter.flush`` closes it earlier. compression: of chunks, 'none'
    or 'zstd'; of a torn chunk only an uncompressed one gives back its whole messages. split_bytes, split_s: a new file is
    begun when the present one is larger or longer; 0: never. Raises DatasetError.
    """

    chunk_bytes: int = CHUNK_BYTES
    compression: str = "none"
    split_bytes: int = 0
    split_s: float = 0.0

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise DatasetError(
                f"there is no compression '{self.compression}' of bags; choose one of: {', '.join(COMPRESSIONS)}"
            )
        if self.chunk_bytes <= 0 or self.split_bytes < 0 or self.split_s < 0:
            raise DatasetError(f"sizes and durations of a bag's parts cannot be negative, chunks not empty: {self}")


class _McapFile:
    """One file of a bag: its stream, its MCAP writer, and the ids of its channels by topic."""

    def __init__(self, path: Path, layout: BagLayout, records: Mapping[str, Mapping[str, str]]) -> None:
        self.span = FileSpan(path.name)
        self.stream = path.open("xb")
        self._writer = Writer(self.stream, chunk_size=layout.chunk_bytes, compression=COMPRESSIONS[layout.compression])
        self._writer.start(profile="ros2", library="gr00t")
        for name, record in records.items():
            self._writer.add_metadata(name, dict(record))
        self.stream.flush()
        sync_folder(path.parent)
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def add_topic(self, topic: BagTopic) -> None:
        if topic.type_name not in self._schemas:
            self._schemas[topic.type_name] = self._writer.register_schema(
                topic.type_name, "ros2msg", topic.definition.encode()
            )
        metadata = {"offered_qos_profiles": qos_yaml(topic), "topic_type_hash": topic.type_hash}
        schema_id = self._schemas[topic.type_name]
        self._channels[topic.name] = self._writer.register_channel(topic.name, "cdr", schema_id, metadata)

    def write(self, message: BagMessage) -> None:
        channel_id, sequence = self._channels[message.topic], message.sequence & 0xFFFFFFFF
        self._writer.add_message(channel_id, message.log_ns, message.cdr, message.publish_ns, sequence)
        self.span.add(message.log_ns)

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, metadata: dict[str, Any]) -> None:
        """Write the index and make the file outlive a power cut."""
        self._writer.add_metadata(ROSBAG2_RECORD, {"serialized_metadata": to_yaml(metadata)})
        self._writer.finish()
        self.stream.flush()
        os.fdatasync(self.stream.fileno())
        self.stream.close()


@dataclass
class _Recorded:
    topic: BagTopic
    count: int = field(default=0)


class BagWriter:
    """Writes one bag. Use as a context manager: leaving it writes the index and ``metadata.yaml``."""

    def __init__(
        self,
        folder: Path,
        ros_distro: str = "jazzy",
        layout: BagLayout | None = None,
        records: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Make ``folder`` (it must be absent or empty). Raises DatasetError.

        records: name -> facts about the recording, written as metadata records at the start of every file, so that they
        are known even of a file that was cut off.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"bag folder {folder} exists already and is not empty; give another or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self.folder = folder
        self._distro = ros_distro
        self._layout = layout or BagLayout()
        self._records = dict(records or {})
        self._topics: dict[str, _Recorded] = {}
        self._closed_files: list[FileSpan] = []
        self._closed_bytes = 0
        self._file = self._open_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        return {name: recorded.count for name, recorded in self._topics.items()}

    @property
    def bytes_written(self) -> int:
        """Size of the files so far [byte], without the open chunk."""
        return self._closed_bytes + (0 if self._file.stream.closed else self._file.stream.tell())

    def add_topic(self, topic: BagTopic) -> None:
        """Announce a topic; must come before its first message. A second call with the same name is refused."""
        if topic.name in self._topics:
            raise DatasetError(f"topic '{topic.name}' was added to bag {self.folder} before")
        self._topics[topic.name] = _Recorded(topic)
        self._file.add_topic(topic)

    def write(self, message: BagMessage) -> None:
        """Append one message of a topic added before; begins the next file when this one is full."""
        recorded = self._topics.get(message.topic)
        if recorded is None:
            known = ", ".join(self._topics) or "none"
            raise DatasetError(f"topic '{message.topic}' was not added to bag {self.folder}; added: {known}")
        if self._is_full(message.log_ns):
            self.split()
        self._file.write(message)
        recorded.count += 1

    def split(self) -> None:
        """Go on in the next file."""
        self._finish_file(None)
        self._file = self._open_file()

    def flush(self) -> None:
        """Close the open chunk and hand it to the operating system: what was written outlives this process."""
        if not self._file.stream.closed:
            self._file.flush()

    def sync(self) -> None:
        """As ``flush``, and wait until the disk has it: what was written outlives a power cut."""
        if not self._file.stream.closed:
            self._file.flush()
            os.fdatasync(self._file.stream.fileno())

    def close(self, custom_data: Mapping[str, str] | None = None) -> None:
        """Write index and ``metadata.yaml``. Calling it again does nothing."""
        if self._file.stream.closed:
            return
        self._finish_file(custom_data)
        write_metadata(self.folder, self._metadata(custom_data))

    def abandon(self) -> None:
        """After an OSError: let go of the file as it lies there, without index; what is whole in it can be recovered."""
        if self._file.stream.closed:
            return
        with suppress(OSError):  # what is still buffered fails again; the file is closed all the same
            self._file.stream.close()
        with suppress(OSError):
            self._closed_bytes += (self.folder / self._file.span.name).stat().st_size

    def _is_full(self, log_ns: int) -> bool:
        if not self._file.span.count:
            return False
        layout = self._layout
        too_large = 0 < layout.split_bytes <= self._file.stream.tell()
        return too_large or 0 < layout.split_s * 1e9 <= log_ns - self._file.span.first_ns

    def _open_file(self) -> _McapFile:
        name = f"{self.folder.name}_{len(self._closed_files)}.mcap"
        file = _McapFile(self.folder / name, self._layout, self._records)
        for recorded in self._topics.values():
            file.add_topic(recorded.topic)
        return file

    def _finish_file(self, custom_data: Mapping[str, str] | None) -> None:
        self._closed_files.append(self._file.span)
        self._file.finish(self._metadata(custom_data))
        self._closed_bytes += (self.folder / self._file.span.name).stat().st_size

    def _metadata(self, custom_data: Mapping[str, str] | None) -> dict[str, Any]:
        topics = [(recorded.topic, recorded.count) for recorded in self._topics.values()]
        return bag_metadata(self._closed_files, topics, custom_data, self._distro)


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
