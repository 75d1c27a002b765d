# SPDX-License-Identifier: Apache-2.0
"""A fact added to a closed file: as if it had been written before closing, by the bytes of an independent writer."""

import os
import zlib
from pathlib import Path

import pytest
from mcap.reader import NonSeekingReader, make_reader
from mcap.records import DataEnd, Footer, SummaryOffset
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.mcap_append import append_metadata

FIRST, SECOND = {"sentence": "pick up the can"}, {"outcome": "success", "ß": "é" * 50}


def _write(file: Path, records: dict[str, dict[str, str]], *, data_crcs: bool = False) -> Path:
    with file.open("wb") as stream:
        writer = Writer(stream, 300, CompressionType.NONE, enable_data_crcs=data_crcs)
        writer.start("ros2", "test")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channels = [writer.register_channel(f"/{name}", "cdr", schema) for name in "ab"]
        for number in range(50):
            writer.add_message(channels[number % 2], 1000 + number, b"x" * number, 900 + number, number)
        writer.flush()  # so that the records lie behind the last chunk
        for name, facts in records.items():
            writer.add_metadata(name, facts)
        writer.finish()
    return file


def _summary(file: Path) -> dict[str, object]:
    with file.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    return vars(summary)


def _records(file: Path, kind: type) -> list:
    with file.open("rb") as stream:
        return [record for record in StreamReader(stream).records if isinstance(record, kind)]


@pytest.mark.parametrize("data_crcs", [False, True])
def test_adding_to_a_closed_file_is_the_same_as_writing_it_before_closing(tmp_path, data_crcs):
    before = _write(tmp_path / "before.mcap", {"first": FIRST, "second": SECOND}, data_crcs=data_crcs)
    after = _write(tmp_path / "after.mcap", {"first": FIRST}, data_crcs=data_crcs)
    append_metadata(after, "second", SECOND)
    assert _summary(after) == _summary(before)
    start = _records(before, Footer)[0].summary_start
    assert after.read_bytes()[:start] == before.read_bytes()[:start], "all data, to the last byte"
    assert _records(after, DataEnd)[0].data_section_crc != 0 or not data_crcs


def test_the_new_summary_has_its_checksum_and_says_where_its_parts_are(tmp_path):
    file = _write(tmp_path / "a.mcap", {"first": FIRST})
    append_metadata(file, "second", SECOND)
    content = file.read_bytes()
    [footer] = _records(file, Footer)
    checked = content[footer.summary_start : len(content) - 8 - 4]
    assert zlib.crc32(checked) == footer.summary_crc
    offsets = _records(file, SummaryOffset)
    assert len(offsets) == 5
    assert all(content[each.group_start] == each.group_opcode and each.group_length for each in offsets)
    assert sum(each.group_length for each in offsets) == footer.summary_offset_start - footer.summary_start


def test_a_file_that_had_none_takes_many_and_messages_stay_as_they_were(tmp_path):
    file = _write(tmp_path / "a.mcap", {})
    with file.open("rb") as stream:
        messages = [message for _, _, message in make_reader(stream).iter_messages()]
    for number in range(3):
        append_metadata(file, "fact", {"number": str(number)})
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert [message for _, _, message in reader.iter_messages()] == messages
        assert [record.metadata["number"] for record in reader.iter_metadata()] == ["0", "1", "2"]
        stream.seek(0)
        assert len(list(NonSeekingReader(stream, validate_crcs=True).iter_messages())) == 50


def test_a_file_without_end_is_refused_and_a_full_disk_leaves_it_as_it_was(tmp_path, monkeypatch):
    file = _write(tmp_path / "a.mcap", {"first": FIRST})
    content = file.read_bytes()

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space"):
            append_metadata(file, "second", SECOND)
    assert file.read_bytes() == content
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:cut])
        with pytest.raises(DatasetError, match="has no end"):
            append_metadata(file, "second", SECOND)
        assert file.read_bytes() == content[:cut]
    file.write_bytes(content[:-29] + b"\x01" * 8 + content[-21:])
    with pytest.raises(DatasetError, match="has no summary where its end says"):
        append_metadata(file, "second", SECOND)
