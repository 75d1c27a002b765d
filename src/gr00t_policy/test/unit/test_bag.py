# SPDX-License-Identifier: Apache-2.0
"""Bags: what is written is read back, by us and by two independent readers; broken bags are named."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Message, Metadata
from mcap.stream_reader import StreamReader
from rosbags.highlevel import AnyReader

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import (
    CHUNK_BYTES,
    BagLayout,
    BagMessage,
    BagTopic,
    BagWriter,
    MessageDecoder,
    OfferedQos,
    bag_topics,
    read_bag,
)
from gr00t_policy.data.bag_metadata import qos_from_yaml
from gr00t_policy.data.bag_reading import bag_contents, newest_before, read_as_written
from gr00t_policy.data.message_definitions import message_definition

_HASH = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"  # of std_msgs/msg/String
_STRING = BagTopic("/language_command", "std_msgs/msg/String", "string data\n", (OfferedQos(depth=10),), _HASH)
_LATCHED = BagTopic("/state", "std_msgs/msg/String", "string data\n", (OfferedQos(durability="transient_local"),))


def _cdr(text: str) -> bytes:
    """A serialized std_msgs/String: encapsulation header, length with the closing zero, characters."""
    data = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(data)) + data


def _write(folder: Path, texts: list[str]) -> list[BagMessage]:
    messages = [
        BagMessage("/language_command" if i % 2 else "/state", _cdr(text), 1000 + 10 * i, 995 + 10 * i, i + 7)
        for i, text in enumerate(texts)
    ]
    with BagWriter(folder) as bag:
        bag.add_topic(_STRING)
        bag.add_topic(_LATCHED)
        for message in messages:
            bag.write(message)
    return messages


def test_what_was_written_is_read_back_with_both_stamps_and_the_sequence(tmp_path):
    messages = _write(tmp_path / "bag", [f"text {i}" for i in range(50)])
    assert list(read_bag(tmp_path / "bag")) == messages
    assert [m.topic for m in read_bag(tmp_path / "bag", ["/state"])] == ["/state"] * 25


def test_rosbags_reads_the_bag_with_types_counts_and_qos(tmp_path):
    _write(tmp_path / "bag", ["pick up the can", "stop"])
    with AnyReader([tmp_path / "bag"]) as reader:
        texts = {c.topic: reader.deserialize(raw, c.msgtype).data for c, _, raw in reader.messages()}
        qos = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert texts == {"/state": "pick up the can", "/language_command": "stop"}
    assert qos["/language_command"].depth == 10
    assert qos["/state"].durability.name == "TRANSIENT_LOCAL"


def test_the_mcap_file_carries_schema_hash_and_the_same_metadata_as_the_folder(tmp_path):
    _write(tmp_path / "bag", ["a", "b", "c"])
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream)
        inside = next(record for record in reader.iter_metadata() if record.name == "rosbag2")
        summary = reader.get_summary()
    outside = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert yaml.safe_load(inside.metadata["serialized_metadata"]) == outside
    assert outside["version"] == 9
    assert outside["message_count"] == 3
    assert isinstance(outside["topics_with_message_count"][0]["topic_metadata"]["offered_qos_profiles"], list)
    hashes = {c.topic: c.metadata["topic_type_hash"] for c in summary.channels.values()}
    assert hashes["/language_command"] == _HASH


def test_topics_are_read_back_with_their_definitions(tmp_path):
    _write(tmp_path / "bag", ["a"])
    topics = bag_topics(tmp_path / "bag")
    assert topics["/language_command"].type_name == "std_msgs/msg/String"
    assert topics["/language_command"].definition == "string data\n"


def test_messages_are_decoded_by_the_definitions_in_the_bag(tmp_path):
    _write(tmp_path / "bag", ["pick up the can", "stop"])
    decoder = MessageDecoder(bag_topics(tmp_path / "bag"))
    messages = list(read_bag(tmp_path / "bag"))
    assert [decoder.decode(message).data for message in messages] == ["pick up the can", "stop"]
    with pytest.raises(DatasetError, match="'/other' is not in this bag"):
        decoder.decode(BagMessage("/other", b"", 0, 0, 0))


def test_a_writer_that_was_cut_off_loses_at_most_its_open_chunk(tmp_path):
    """The streaming reader gives back every closed chunk of a file without footer."""
    bag = BagWriter(tmp_path / "bag")
    bag.add_topic(_STRING)
    for i in range(1000):
        bag.write(BagMessage("/language_command", _cdr("x" * 1000), i, i, i))
    bag.flush()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes((tmp_path / "bag" / "bag_0.mcap").read_bytes())
    bag.close()
    kept = 0
    with cut.open("rb") as stream, pytest.raises(McapError):
        for record in StreamReader(stream).records:
            kept += isinstance(record, Message)
    assert kept >= 1000 - CHUNK_BYTES // 1000 - 1


def test_flushing_closes_the_open_chunk_so_that_a_killed_writer_loses_nothing_before_it(tmp_path):
    bag = BagWriter(tmp_path / "bag", records={"gr00t_episode": {"instruction": "pick up the can"}})
    bag.add_topic(_STRING)
    for i in range(7):
        bag.write(BagMessage("/language_command", _cdr("x"), i, i, i))
    bag.sync()
    cut = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    bag.close()
    seen = []
    with pytest.raises(McapError):
        for record in StreamReader(io.BytesIO(cut)).records:
            seen.append(record)
    assert [record.sequence for record in seen if isinstance(record, Message)] == list(range(7))
    facts = next(record for record in seen if isinstance(record, Metadata))
    assert (facts.name, facts.metadata) == ("gr00t_episode", {"instruction": "pick up the can"})


@pytest.mark.parametrize("layout", [BagLayout(64, split_bytes=2000), BagLayout(64, "zstd", split_s=2e-7)])
def test_a_bag_split_by_size_or_duration_loses_nothing_and_both_readers_find_every_part(tmp_path, layout):
    messages = [BagMessage("/language_command", _cdr(f"number {i}"), 1000 + 10 * i, 999, i) for i in range(220)]
    with BagWriter(tmp_path / "bag", layout=layout) as bag:
        bag.add_topic(_STRING)
        bag.add_topic(_LATCHED)
        for message in messages:
            bag.write(message)
        written = bag.bytes_written
    files = sorted((tmp_path / "bag").glob("*.mcap"))
    assert len(files) > 10
    assert list(read_bag(tmp_path / "bag")) == messages
    metadata = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["relative_file_paths"] == [f"bag_{i}.mcap" for i in range(len(files))]
    assert sum(file["message_count"] for file in metadata["files"]) == metadata["message_count"] == 220
    assert written <= sum(file.stat().st_size for file in files)
    with AnyReader([tmp_path / "bag"]) as reader:
        assert reader.message_count == 220
        assert sum(1 for _ in reader.messages()) == 220


def test_a_layout_that_cannot_be_is_refused():
    with pytest.raises(DatasetError, match="no compression 'rar'.*none, zstd"):
        BagLayout(compression="rar")
    with pytest.raises(DatasetError, match="cannot be negative"):
        BagLayout(split_s=-1.0)


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(DatasetError, match="not empty"):
        BagWriter(tmp_path)


def test_a_message_of_an_unknown_topic_is_refused_and_the_known_ones_are_named(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(_STRING)
        with pytest.raises(DatasetError, match="'/other' was not added.*/language_command"):
            bag.write(BagMessage("/other", b"", 0, 0, 0))


def test_a_folder_without_recording_and_a_damaged_file_are_named(tmp_path):
    with pytest.raises(DatasetError, match="holds no .mcap"):
        list(read_bag(tmp_path))
    _write(tmp_path / "bag", ["a"] * 9)
    file = tmp_path / "bag" / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DatasetError, match="bag_0.mcap"):
        list(read_bag(tmp_path / "bag"))


def test_a_definition_holds_each_dependency_once_under_a_rule(tmp_path):
    files = {
        "a/msg/Top": "b/Inner first\nInner second  # b/NotThis here\nint32 CONSTANT=3\nb/Inner[<=3] more\nHeader header\n",
        "a/msg/Inner": "float64[3] values\n",
        "b/msg/Inner": "string<=10 text\n",
        "std_msgs/msg/Header": "builtin_interfaces/Time stamp\nstring frame_id\n",
        "builtin_interfaces/msg/Time": "int32 sec\nuint32 nanosec\n",
    }
    for name, text in files.items():
        file = tmp_path / f"{name}.msg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    parts = message_definition("a/msg/Top", [tmp_path]).split("=" * 80 + "\n")
    assert parts[0].startswith("b/Inner first")
    assert [part.splitlines()[0] for part in parts[1:]] == [
        "MSG: b/Inner",
        "MSG: a/Inner",
        "MSG: std_msgs/Header",
        "MSG: builtin_interfaces/Time",
    ]


def test_a_type_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nope_msgs/msg/Nope\.msg under"):
        message_definition("nope_msgs/msg/Nope", [tmp_path])
    with pytest.raises(DatasetError, match="three parts"):
        message_definition("String", [tmp_path])


def test_reading_from_a_moment_on_and_the_newest_before_it_together_give_all(tmp_path):
    with BagWriter(tmp_path / "bag", layout=BagLayout(200, split_bytes=600)) as bag:
        bag.add_topic(_STRING)
        bag.add_topic(_LATCHED)
        for i in range(60):
            bag.write(BagMessage("/state" if i % 7 == 0 else "/language_command", _cdr(f"{i}"), 100 + i, 90, i))
    every = list(read_bag(tmp_path / "bag"))
    assert len(list((tmp_path / "bag").glob("*.mcap"))) > 3
    for start_ns in (0, 100, 101, 130, 159, 160):
        assert list(read_bag(tmp_path / "bag", None, start_ns)) == [m for m in every if m.log_ns >= start_ns]
        before = [m for m in every if m.log_ns < start_ns and m.topic == "/state"]
        assert newest_before(tmp_path / "bag", "/state", start_ns, 3) == before[-3:]


def test_what_a_bag_holds_is_known_from_its_index(tmp_path):
    _write(tmp_path / "bag", [f"text {i}" for i in range(9)])
    contents = bag_contents(tmp_path / "bag")
    assert contents.counts == {"/state": 5, "/language_command": 4}
    assert (contents.start_ns, contents.end_ns) == (1000, 1080)
    assert contents.topics == {"/language_command": _STRING, "/state": _LATCHED}
    assert bag_contents(tmp_path / "bag" / "bag_0.mcap").counts == contents.counts


def test_qos_of_older_rosbag2_is_understood():
    numbers = "- history: 3\n  depth: 0\n  reliability: 2\n  durability: 1\n  liveliness: 1\n"
    times = "".join(
        f"  {name}:\n    sec: 9223372036\n    nsec: 854775807\n"
        for name in ("deadline", "lifespan", "liveliness_lease_duration")
    )
    [qos] = qos_from_yaml(numbers + times)
    assert qos == OfferedQos("best_effort", "transient_local", "unknown", 0, "automatic")
    assert qos_from_yaml("") == qos_from_yaml("nonsense") == ()


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize(("topics", "start_s"), [(None, 0), (["/b"], 0), (["/a", "/b"], 2.05), ([], 0)])
def test_messages_are_those_of_the_librarys_reader_in_its_order_also_where_chunks_overlap(
    tmp_path, compression, topics, start_s
):
    rng = np.random.default_rng(0)
    start_ns = 10**18 + round(start_s * 1e9)
    with BagWriter(tmp_path / "bag", layout=BagLayout(400, compression)) as bag:
        for name in ("/a", "/b"):
            bag.add_topic(BagTopic(name, "std_msgs/msg/String", "string data\n"))
        for number in range(300):
            at_ns = (
                10**18 + int(rng.integers(0, 100)) * 10**8 // 10 + number * 10**7
            )  # many at the same time, out of order
            name = "/a" if rng.random() < 0.5 else "/b"
            bag.write(BagMessage(name, bytes(rng.integers(0, 60)), at_ns, at_ns - 5, number))
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream)
        by_time, as_written = read_bag(tmp_path / "bag", topics, start_ns), read_as_written(tmp_path / "bag", topics)
        for read, is_sorted in ((by_time, True), (as_written, False)):
            found = reader.iter_messages(topics, starting_at=start_ns if is_sorted else None, log_time_order=is_sorted)
            expected = [(c.topic, m.data, m.log_time, m.publish_time, m.sequence) for _, c, m in found]
            assert [(m.topic, m.cdr, m.log_ns, m.publish_ns, m.sequence) for m in read] == expected
            assert bool(expected) == (topics != [])
