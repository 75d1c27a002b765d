# SPDX-License-Identifier: Apache-2.0
"""Every whole record of an MCAP file that may have lost its end, its index, or a part. https://mcap.dev/spec

Nothing is invented: a closed chunk must have its checksum; of the one that the file ends in, uncompressed, a message
counts only when all its bytes are there, its channel is known and its stamp lies in the span that the chunk names.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC

_HEAD = struct.Struct("<BQ")  # opcode, length of what follows
_CHUNK_HEAD = struct.Struct(
    "<QQQII"
)  # first and last stamp, uncompressed size, checksum, length of the compression's name
_MESSAGE_HEAD = 22  # channel, sequence, two stamps
_LARGEST = 1 << 30  # [byte] of one record: a longer one is a damaged length
_PAGE_ZEROS = bytes(4096)  # after a power cut the end of a file may be pages that were never written
_DAMAGED = (
    *(McapError, ValueError, KeyError, struct.error, RuntimeError, MemoryError, OverflowError, zlib.error),
    zstandard.ZstdError,
)


@dataclass
class TornFile:
    """Reads one file; the counters say afterwards how much of it could not be read.

    lost_bytes: of records that are torn or damaged. damaged: closed chunks whose checksum is wrong. orphans: messages
    without a known topic. complete: index and end are there, as a closed recording has them.
    """

    stream: IO[bytes]
    size_bytes: int
    lost_bytes: int = 0
    damaged: int = 0
    orphans: int = 0
    complete: bool = False
    _has_chunks: bool = False
    _schemas: dict[int, Schema] = field(default_factory=dict)
    _channels: dict[int, Channel] = field(default_factory=dict)

    @property
    def is_lossless(self) -> bool:
        """Whether everything that was written into the file could be read."""
        return not (self.lost_bytes or self.damaged or self.orphans)

    def records(self) -> Iterator[Metadata | tuple[Schema, Channel, Message]]:
        """Facts and messages in the order they were written."""
        self.stream.seek(0)
        if self.stream.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            self.lost_bytes = self.size_bytes
            return
        while (start := self.stream.tell()) < self.size_bytes:
            head = self.stream.read(_HEAD.size)
            opcode, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            if opcode == Opcode.DATA_END:
                self.complete = self._has_end()
                return
            if not _is_opcode(opcode) or length > _LARGEST:
                self.lost_bytes += self.size_bytes - start
                return
            content = self.stream.read(length)
            if len(content) < length:
                self.lost_bytes += _HEAD.size + len(content)
                if opcode == Opcode.CHUNK:
                    yield from self._of_torn_chunk(content)
                return
            yield from self._of_record(opcode, content)

    def _of_record(self, opcode: int, content: bytes) -> Iterator[Metadata | tuple[Schema, Channel, Message]]:
        self._has_chunks |= opcode == Opcode.CHUNK
        try:
            if opcode == Opcode.MESSAGE and self._has_chunks:
                raise ValueError("a message between chunks: a length before it is damaged")
            inner = _parsed(opcode, content)
        except _DAMAGED:
            self.damaged += 1
            self.lost_bytes += _HEAD.size + len(content)
            if opcode == Opcode.CHUNK and content.endswith(_PAGE_ZEROS):
                yield from self._of_torn_chunk(content)
            return
        for record in inner:
            yield from self._sorted_in(record)

    def _sorted_in(self, record: McapRecord) -> Iterator[Metadata | tuple[Schema, Channel, Message]]:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._channels[record.id] = record
        elif isinstance(record, Metadata):
            yield record
        elif isinstance(record, Message):
            channel = self._channels.get(record.channel_id)
            schema = self._schemas.get(channel.schema_id) if channel is not None else None
            if channel is None or schema is None:
                self.orphans += 1
            else:
                yield schema, channel, record

    def _of_torn_chunk(self, content: bytes) -> Iterator[Metadata | tuple[Schema, Channel, Message]]:
        """The whole messages at the start of a chunk that the file ends in."""
        if len(content) < _CHUNK_HEAD.size:
            return
        first_ns, last_ns, _, _, name_length = _CHUNK_HEAD.unpack_from(content)
        if name_length:  # compressed: what is left of it cannot be checked
            return
        at, end = _CHUNK_HEAD.size + 8, _written(content)
        while at + _HEAD.size <= end:
            opcode, length = _HEAD.unpack_from(content, at)
            body = at + _HEAD.size
            if body + length > end or opcode not in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE):
                return
            try:
                [record] = _parsed(opcode, content[body : body + length])
            except _DAMAGED:
                return
            if isinstance(record, Message) and not first_ns <= record.log_time <= last_ns:
                return
            yield from self._sorted_in(record)
            self.lost_bytes -= _HEAD.size + length
            at = body + length

    def _has_end(self) -> bool:
        if self.size_bytes < 2 * len(MCAP0_MAGIC):
            return False
        self.stream.seek(self.size_bytes - len(MCAP0_MAGIC))
        return self.stream.read() == MCAP0_MAGIC


def _parsed(opcode: int, content: bytes) -> list[McapRecord]:
    """The records in ``content``: those of a chunk, or the one. Raises one of ``_DAMAGED``."""
    stream = ReadDataStream(BytesIO(content))
    if opcode == Opcode.CHUNK:
        chunk = Chunk.read(stream)
        if chunk.uncompressed_size > _LARGEST:
            raise ValueError(f"a chunk of {chunk.uncompressed_size} bytes")
        return breakup_chunk(chunk, validate_crc=True)
    if opcode == Opcode.SCHEMA:
        return [Schema.read(stream)]
    if opcode == Opcode.CHANNEL:
        return [Channel.read(stream)]
    if opcode == Opcode.METADATA:
        return [Metadata.read(stream)]
    if opcode == Opcode.MESSAGE:
        if len(content) < _MESSAGE_HEAD:
            raise ValueError(f"a message of {len(content)} bytes")
        return [Message.read(stream, len(content))]
    return []  # header, indexes and attachments: made anew, or not ours


def _is_opcode(value: int) -> bool:
    return value in Opcode._value2member_map_


def _written(content: bytes) -> int:
    """Where the written part of a torn record ends: pages of zeros behind it were never written."""
    if not content.endswith(_PAGE_ZEROS):
        return len(content)
    return len(content.rstrip(b"\0"))
