# SPDX-License-Identifier: Apache-2.0
"""When each message of a bag was received, from the index records alone: pictures are not read. MCAP: https://mcap.dev/spec"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from mcap.reader import NonSeekingReader, make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.summary import Summary
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic
from gr00t_policy.data.bag_damage import BROKEN_FILE
from gr00t_policy.data.bag_index import index_record


@dataclass
class BagIndex:
    """topics by name; stamps_ns: topic -> when received, in order (N,) int64; complete: False = the recording was cut off."""

    topics: dict[str, BagTopic] = field(default_factory=dict)
    stamps_ns: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    size_bytes: int = 0
    complete: bool = True


def read_index(files: list[Path]) -> BagIndex:
    """Of all files of one bag. A file that was cut off is read from its start as far as it goes. Raises DatasetError."""
    index = BagIndex()
    stamps: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for file in files:
        index.size_bytes += file.stat().st_size
        with file.open("rb") as stream:
            summary = _summary(stream)
            found = None if summary is None else _from_index(stream, summary, index)
        if summary is None:
            index.complete = False
        for topic, values in (_from_messages(file, index) if found is None else found).items():
            stamps[topic].append(values)
    index.stamps_ns = {topic: np.sort(np.concatenate(parts)) for topic, parts in stamps.items()}
    for topic in index.topics:
        index.stamps_ns.setdefault(topic, np.zeros(0, np.int64))
    return index


def read_messages(files: list[Path], topic: str, most: int) -> Iterator[BagMessage]:
    """The first ``most`` messages of one topic, as far as the files can be read."""
    left = most
    for file in files:
        with file.open("rb") as stream, suppress(*BROKEN_FILE):
            whole = _summary(stream) is not None
            stream.seek(0)
            reader = make_reader(stream) if whole else NonSeekingReader(stream)
            for _, channel, message in reader.iter_messages(topics=[topic], log_time_order=whole):
                if left == 0:
                    return
                left -= 1
                yield BagMessage(channel.topic, message.data, message.log_time, message.publish_time, message.sequence)


def _summary(stream: IO[bytes]) -> Summary | None:
    """What a closed file says at its end; None when it was cut off."""
    try:
        return make_reader(stream).get_summary()
    except BROKEN_FILE:
        return None


def _from_index(stream: IO[bytes], summary: Summary, index: BagIndex) -> dict[str, NDArray[np.int64]] | None:
    """topic -> stamps; None when the file has no index of its messages, or not of all."""
    for channel in summary.channels.values():
        index.topics[channel.topic] = _topic(channel, summary.schemas.get(channel.schema_id))
    found: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for chunk in summary.chunk_indexes:
        for channel_id, offset in chunk.message_index_offsets.items():
            values = index_record(stream, offset)
            if values is None or channel_id not in summary.channels:
                return None
            found[summary.channels[channel_id].topic].append(values["log_ns"].astype(np.int64))
    counted = sum(len(part) for parts in found.values() for part in parts)
    if summary.statistics is None or counted != summary.statistics.message_count:
        return None
    return {topic: np.concatenate(parts) for topic, parts in found.items()}


def _topic(channel: Channel, schema: Schema | None) -> BagTopic:
    text = schema.data.decode("utf-8", "replace") if schema else ""
    return BagTopic(channel.topic, schema.name if schema else "unknown", text)


def _from_messages(file: Path, index: BagIndex) -> dict[str, NDArray[np.int64]]:
    """topic -> stamps from the messages themselves, up to where the file ends or is damaged. Raises DatasetError."""
    schemas: dict[int, Schema] = {}
    names: dict[int, str] = {}
    found: dict[str, list[int]] = defaultdict(list)
    try:
        with file.open("rb") as stream:
            for record in StreamReader(stream).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    names[record.id] = record.topic
                    index.topics[record.topic] = _topic(record, schemas.get(record.schema_id))
                elif isinstance(record, Message):
                    found[names[record.channel_id]].append(record.log_time)
    except BROKEN_FILE as error:
        index.complete = False
        if not found:
            raise DatasetError(f"bag file {file} cannot be read: {error!r}; no message in it can be saved") from error
    return {topic: np.array(values, np.uint64).astype(np.int64) for topic, values in found.items()}
