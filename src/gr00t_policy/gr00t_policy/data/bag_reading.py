# SPDX-License-Identifier: Apache-2.0
"""Reads closed bags: what they hold, from the index at the end of each file, and their messages, chunk by chunk.

Messages are streamed: beside the index, no more than the chunks that overlap in time are in memory. A file without its
end, or without an index, is refused with the way out.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from mcap.reader import McapReader, make_reader
from mcap.records import Channel, Schema
from mcap.summary import Summary
from mcap.writer import MCAP0_MAGIC
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag_chunks import messages_in_chunks
from gr00t_policy.data.bag_damage import BROKEN_FILE
from gr00t_policy.data.bag_index import index_record
from gr00t_policy.data.bag_metadata import qos_from_yaml
from gr00t_policy.data.bag_topic import BagMessage, BagTopic


@dataclass(frozen=True)
class BagContents:
    """What the index of a bag says. counts: messages by topic; start_ns, end_ns: of receipt, 0 without messages."""

    bag: Path
    files: tuple[Path, ...]
    topics: dict[str, BagTopic]
    counts: Counter[str] = field(default_factory=Counter)
    start_ns: int = 0
    end_ns: int = 0

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


def bag_contents(bag: Path) -> BagContents:
    """Of a closed bag, a folder or one of its files; no message is read. Raises DatasetError.

    Raised where it is no bag, damaged, cut off, or a file has no index.
    """
    files = mcap_files(bag)
    topics: dict[str, BagTopic] = {}
    counts: Counter[str] = Counter()
    spans = []
    for file in files:
        summary = file_summary(file)
        topics |= _topics(file, summary)
        statistics = summary.statistics
        if statistics is None or (statistics.message_count and not summary.chunk_indexes):
            raise _unindexed(file)
        for number, channel in summary.channels.items():
            counts[channel.topic] += statistics.channel_message_counts.get(number, 0)
        if statistics.message_count:
            spans.append((statistics.message_start_time, statistics.message_end_time))
    start_ns, end_ns = min((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
    return BagContents(bag, tuple(files), topics, counts, start_ns, end_ns)


def bag_topics(bag: Path) -> dict[str, BagTopic]:
    """The topics of a closed bag by name. Raises DatasetError."""
    found: dict[str, BagTopic] = {}
    for file in mcap_files(bag):
        found |= _topics(file, file_summary(file))
    return found


def read_bag(bag: Path, topics: Collection[str] | None = None, start_ns: int | None = None) -> Iterator[BagMessage]:
    """Messages of a closed bag in order of receipt, of all topics or the named ones. Raises DatasetError.

    start_ns: those received earlier are left out, without reading their chunks.
    """
    for file in mcap_files(bag):
        yield from _messages(file, topics, start_ns, in_time_order=True)


def read_as_written(bag: Path, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
    """Messages of a closed bag in the order in which they stand in its files. Raises DatasetError.

    That is the order in which they came also where the clock was set back, so that their times do not tell.
    """
    for file in mcap_files(bag):
        yield from _messages(file, topics, None, in_time_order=False)


def places_as_written(file: Path) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Topic -> (place in the file, time of receipt [ns]) of its messages in the order in which they stand there.

    Places grow over all topics. No message is read. Raises DatasetError.
    """
    summary = file_summary(file)
    found: dict[str, list[NDArray[np.int64]]] = {}
    begin = 0
    with file.open("rb") as stream:
        for chunk in sorted(summary.chunk_indexes, key=lambda chunk: chunk.chunk_start_offset):
            for channel_id, offset in chunk.message_index_offsets.items():
                record = index_record(stream, offset)
                if record is None or channel_id not in summary.channels:
                    raise _unindexed(file)
                pairs = np.stack([record["offset"].astype(np.int64) + begin, record["log_ns"].astype(np.int64)])
                found.setdefault(summary.channels[channel_id].topic, []).append(pairs)
            begin += chunk.uncompressed_size
    joined = {topic: np.concatenate(parts, axis=1) for topic, parts in found.items()}
    sorted_by_place = {topic: pairs[:, np.argsort(pairs[0], kind="stable")] for topic, pairs in joined.items()}
    return {topic: (pairs[0], pairs[1]) for topic, pairs in sorted_by_place.items()}


def newest_before(bag: Path, topic: str, end_ns: int, most: int) -> list[BagMessage]:
    """The last messages of a topic received before ``end_ns``, at most so many, oldest first. Raises DatasetError."""
    found: list[BagMessage] = []
    for file in reversed(mcap_files(bag)):
        with file.open("rb") as stream:
            try:
                for _, channel, message in _reader(stream, file).iter_messages(
                    [topic], ending_before=end_ns, reverse=True
                ):
                    stamps = message.log_time, message.publish_time
                    found.append(BagMessage(channel.topic, message.data, *stamps, message.sequence))
                    if len(found) == most:
                        return found[::-1]
            except BROKEN_FILE as error:
                raise _unreadable(file, error) from error
    return found[::-1]


def bag_topic(channel: Channel, schema: Schema) -> BagTopic:
    """A topic as the channel and the schema of a file describe it."""
    qos = qos_from_yaml(channel.metadata.get("offered_qos_profiles", ""))
    definition = schema.data.decode("utf-8", "replace")
    return BagTopic(channel.topic, schema.name, definition, qos, channel.metadata.get("topic_type_hash", ""))


def mcap_files(bag: Path) -> list[Path]:
    """The files of a bag in the order they were written; of one file, itself. Raises DatasetError when there is none."""
    if bag.is_file() and bag.suffix == ".mcap":
        return [bag]
    if not bag.exists():
        raise DatasetError(f"there is no bag {bag}")
    files = sorted(bag.glob("*.mcap"), key=_place_in_bag) if bag.is_dir() else []
    if not files:
        raise DatasetError(f"{bag} is not a bag: {why_no_mcap(bag)}")
    return files


def why_no_mcap(bag: Path) -> str:
    """Why a folder without .mcap files is no bag for us, and what to do when it is one for others."""
    if bag.is_file():
        return "it is a file, and none that ends in .mcap"
    if any(bag.glob("*.db3*")):
        new = bag.with_name(f"{bag.name}_mcap")
        return (
            "it holds a recording in sqlite3 format; write it anew as MCAP, with ros2 bag convert or, without ROS, with: "
            f"rosbags-convert --src {bag} --dst {new} --dst-storage mcap --dst-version 9"
        )
    if any(bag.glob("*.mcap.*")):
        return "its files are compressed as a whole; write it anew with: ros2 bag convert"
    return "it holds no .mcap file"


def _messages(
    file: Path, topics: Collection[str] | None, start_ns: int | None, *, in_time_order: bool
) -> Iterator[BagMessage]:
    with file.open("rb") as stream:
        try:
            reader = _reader(stream, file)
            summary = _closed_summary(file, *_version(stream))
            if summary is not None and summary.chunk_indexes:
                yield from messages_in_chunks(stream, summary, topics, start_ns or 0, in_time_order=in_time_order)
                return
            found = reader.iter_messages(topics, starting_at=start_ns, log_time_order=in_time_order)
            for _, channel, message in found:
                stamps = message.log_time, message.publish_time
                yield BagMessage(channel.topic, message.data, *stamps, message.sequence)
        except BROKEN_FILE as error:
            raise _unreadable(file, error) from error


def _reader(stream: IO[bytes], file: Path) -> McapReader:
    """Raises DatasetError where the file's begin or end is missing."""
    begin = stream.read(len(MCAP0_MAGIC))
    if not begin:
        raise _unreadable(file, "it is empty")
    if begin != MCAP0_MAGIC:
        raise DatasetError(f"{file} is not an MCAP file: it does not begin like one")
    stream.seek(-len(MCAP0_MAGIC), 2)
    if stream.tell() <= len(MCAP0_MAGIC) or stream.read() != MCAP0_MAGIC:
        raise _unreadable(file, "its end is missing")
    stream.seek(0)
    return make_reader(stream)


def file_summary(file: Path) -> Summary:
    """What is written behind the messages of a closed file. Raises DatasetError."""
    with file.open("rb") as stream:
        try:
            summary = _reader(stream, file).get_summary()
        except (*BROKEN_FILE, StopIteration) as error:
            raise _unreadable(file, error) from error
    if summary is None:
        raise _unindexed(file)
    return summary


def _version(stream: IO[bytes]) -> tuple[int, int]:
    """Another when the file was written again."""
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)  # a bag is read topic by topic, and a summary of many chunks takes long to read
def _closed_summary(file: Path, _size: int, _mtime_ns: int) -> Summary | None:
    with file.open("rb") as stream:
        return _reader(stream, file).get_summary()


def _topics(file: Path, summary: Summary) -> dict[str, BagTopic]:
    found = {}
    for channel in summary.channels.values():
        schema = summary.schemas.get(channel.schema_id)
        if schema is None:
            raise DatasetError(
                f"bag file {file} is not of ROS 2 or damaged: topic {channel.topic} has no message type; try `gr00t bag recover`"
            )
        found[channel.topic] = bag_topic(channel, schema)
    return found


def _unreadable(file: Path, why: object) -> DatasetError:
    return DatasetError(
        f"bag file {file} cannot be read: {why or type(why).__name__}; was the recording cut off? "
        "`gr00t bag recover` saves what is whole"
    )


def _unindexed(file: Path) -> DatasetError:
    return DatasetError(f"bag file {file} has no index; `gr00t bag recover` writes the bag anew with one")


def _place_in_bag(file: Path) -> tuple[int, str]:
    """Files in the order of their numbers: 'bag_10.mcap' comes after 'bag_9.mcap'."""
    number = file.stem.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 0, file.name)
