# SPDX-License-Identifier: Apache-2.0
"""Adds a fact to a closed MCAP file in place: everything behind the data is written anew. https://mcap.dev/spec

Chunks are not touched, so however the process or the machine ends meanwhile, `gr00t bag recover` gives back every message.
The file is made longer first, where a full disk leaves it as it was, and its last bytes are written last: a file that is
half-way is never taken for a whole one.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.opcode import Opcode
from mcap.records import DataEnd, Footer, Metadata, MetadataIndex, Statistics, SummaryOffset
from mcap.writer import MCAP0_MAGIC

from gr00t_policy.core.errors import DatasetError

_HEAD = struct.Struct("<BQ")  # opcode, length of what follows
_FOOTER = struct.Struct("<QQI")  # begin of the summary, of its offsets, checksum
_FOOTER_BYTES = _HEAD.size + _FOOTER.size + len(MCAP0_MAGIC)
_DATA_END_BYTES = _HEAD.size + 4


def append_metadata(file: Path, name: str, facts: Mapping[str, str]) -> None:
    """Write a metadata record behind the data of a closed file, and a new index. Raises DatasetError and OSError."""
    with file.open("r+b") as stream:
        end, summary, crc = _tail(file, stream.fileno())
        record = RecordBuilder()
        Metadata(name, dict(facts)).write(record)
        added = record.end()
        index = MetadataIndex(offset=end, length=len(added), name=name)
        data_end = RecordBuilder()
        DataEnd(zlib.crc32(added, crc) if crc else 0).write(data_end)
        before = added + data_end.end()
        tail = before + _new_summary(summary, index, end + len(before))
        descriptor = stream.fileno()
        size = os.fstat(descriptor).st_size
        os.posix_fallocate(descriptor, size, end + len(tail) + len(MCAP0_MAGIC) - size)
        _write_all(descriptor, tail, end)
        _write_all(descriptor, MCAP0_MAGIC, end + len(tail))
        os.fdatasync(descriptor)


def _tail(file: Path, descriptor: int) -> tuple[int, bytes, int]:
    """Where the data ends, the summary behind it, and the checksum of the data (0 = none). Raises DatasetError."""
    size = os.fstat(descriptor).st_size
    footer = os.pread(descriptor, _FOOTER_BYTES, size - _FOOTER_BYTES) if size > _FOOTER_BYTES else b""
    if len(footer) < _FOOTER_BYTES or not footer.endswith(MCAP0_MAGIC) or footer[0] != Opcode.FOOTER:
        raise DatasetError(f"{file} has no end; nothing can be added to it before `gr00t bag recover`")
    start, _, _ = _FOOTER.unpack_from(footer, _HEAD.size)
    end = start - _DATA_END_BYTES
    data_end = os.pread(descriptor, _DATA_END_BYTES, end) if end > 0 else b""
    if len(data_end) < _DATA_END_BYTES or _HEAD.unpack_from(data_end) != (Opcode.DATA_END, 4):
        raise DatasetError(f"{file} has no summary where its end says; nothing can be added to it")
    summary = os.pread(descriptor, size - _FOOTER_BYTES - start, start)
    return end, summary, int.from_bytes(data_end[-4:], "little")


def _new_summary(old: bytes, index: MetadataIndex, start: int) -> bytes:
    """The old summary, at ``start``, with one metadata record more; then the footer, without the end of the file."""
    groups: dict[int, list[bytes]] = {}
    for opcode, record in _records(old):
        if opcode != Opcode.SUMMARY_OFFSET:
            groups.setdefault(opcode, []).append(record)
    builder = RecordBuilder()
    index.write(builder)
    groups.setdefault(Opcode.METADATA_INDEX, []).append(builder.end())
    if Opcode.STATISTICS in groups:
        groups[Opcode.STATISTICS] = [_one_more(record) for record in groups[Opcode.STATISTICS]]
    content = b""
    for opcode, records in groups.items():
        group = b"".join(records)
        SummaryOffset(Opcode(opcode), start + len(content), len(group)).write(builder)
        content += group
    offsets_start = start + len(content)
    content += builder.end()
    footer = _HEAD.pack(Opcode.FOOTER, _FOOTER.size) + struct.pack("<QQ", start, offsets_start)
    Footer(start, offsets_start, zlib.crc32(footer, zlib.crc32(content))).write(builder)
    return content + builder.end()


def _records(section: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(section):
        opcode, length = _HEAD.unpack_from(section, at)
        yield opcode, section[at : at + _HEAD.size + length]
        at += _HEAD.size + length


def _one_more(statistics: bytes) -> bytes:
    """The statistics with one metadata record more."""
    parsed = Statistics.read(ReadDataStream(BytesIO(statistics[_HEAD.size :])))
    parsed.metadata_count += 1
    builder = RecordBuilder()
    parsed.write(builder)
    return builder.end()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    """As ``os.pwrite``, which may write less than it is given."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)
