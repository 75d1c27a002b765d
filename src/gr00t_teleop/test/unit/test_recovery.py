# SPDX-License-Identifier: Apache-2.0
"""Bags that were cut off: what is whole comes back, nothing is invented, the original stays as it was."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import episode_data
import pytest
import yaml
from episode_data import EPISODE, STATE, STRING, counts_of_two_readers, messages, write_bag
from mcap.reader import make_reader
from mcap.writer import IndexType, Writer

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagLayout, bag_topics, mcap_files, read_bag
from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_teleop.recording.episode_folders import add_custom_data
from gr00t_teleop.recording.recovery import recover_bag
from gr00t_teleop.recording.torn_file import TornFile


def whole_before(content: bytes, made: list, cut: int) -> list:
    """The messages all of whose bytes lie before ``cut``: found by their payload, without knowing the format."""
    return [message for message in made if content.index(message.cdr) + len(message.cdr) <= cut]


def restored(file: Path) -> list[int]:
    with file.open("rb") as stream:
        records = TornFile(stream, file.stat().st_size).records()
        return [record[2].sequence for record in records if isinstance(record, tuple)]


def test_a_file_cut_at_any_byte_gives_back_exactly_the_messages_that_are_whole(tmp_path):
    made = messages(120)
    write_bag(tmp_path / "bag", made)
    content = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    draw = random.Random(1)
    cut = tmp_path / "cut.mcap"
    for at in [0, 5, len(content) - 1, len(content), *(draw.randrange(len(content)) for _ in range(400))]:
        cut.write_bytes(content[:at])
        assert restored(cut) == [message.sequence for message in whole_before(content, made, at)], at


def test_two_other_readers_accept_what_was_restored_with_equal_counts(tmp_path):
    made = messages(80)
    write_bag(tmp_path / "bag", made)
    file = tmp_path / "bag" / "bag_0.mcap"
    content, draw = file.read_bytes(), random.Random(2)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    for number in range(5):
        at = draw.randrange(2000, len(content))
        file.write_bytes(content[:at])
        recovery = recover_bag(tmp_path / "bag", tmp_path / f"out{number}")
        assert counts_of_two_readers(tmp_path / f"out{number}") == (recovery.total, recovery.total)
        assert list(read_bag(tmp_path / f"out{number}")) == whole_before(content, made, at)


def test_a_writer_that_is_killed_loses_at_most_a_quarter_of_a_second(tmp_path):
    draw = random.Random()
    for number in range(3):
        folder = tmp_path / f"bag{number}"
        command = [sys.executable, episode_data.__file__, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "writing\n"
            time.sleep(draw.uniform(0.5, 1.2))
            killed_ns = time.time_ns()
            process.send_signal(signal.SIGKILL)
        recovery = recover_bag(folder)
        kept = list(read_bag(recovery.out))
        assert [message.sequence for message in kept] == list(range(1, len(kept) + 1))
        assert (killed_ns - kept[-1].log_ns) / 1e9 < 0.25
        assert counts_of_two_readers(recovery.out) == (len(kept), len(kept))


def test_without_metadata_a_whole_bag_is_restored_with_topics_qos_and_facts(tmp_path):
    write_bag(tmp_path / "bag", messages(50), BagLayout(700, split_bytes=2000))
    before = read_metadata(tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    recovery = recover_bag(tmp_path / "bag")
    after = read_metadata(recovery.out)
    assert recovery.is_lossless and len(recovery.files) > 1
    assert after["topics_with_message_count"] == before["topics_with_message_count"]
    assert [file["message_count"] for file in after["files"]] == [file["message_count"] for file in before["files"]]
    assert after["custom_data"] == {**EPISODE, "outcome": "success", "recovered_from": str(tmp_path / "bag")}
    assert bag_topics(recovery.out) == bag_topics(tmp_path / "bag")


def test_the_facts_of_an_episode_that_was_cut_off_are_kept(tmp_path):
    write_bag(tmp_path / "bag", messages(9), close=False)
    recovery = recover_bag(tmp_path / "bag")
    assert recovery.total == 9 and recovery.is_lossless and not recovery.files[0].complete
    assert read_metadata(recovery.out)["custom_data"]["instruction"] == "pick up the can"


def test_a_damaged_chunk_is_left_out_and_counted_and_the_others_are_restored(tmp_path):
    made = messages(60)
    write_bag(tmp_path / "bag", made)
    file = tmp_path / "bag" / "bag_0.mcap"
    content = bytearray(file.read_bytes())
    content[content.index(made[30].cdr) + 9] ^= 1
    file.write_bytes(content)
    recovery = recover_bag(tmp_path / "bag")
    kept = list(read_bag(recovery.out))
    assert set(kept) < set(made) and made[0] in kept and made[59] in kept and made[30] not in kept
    assert (recovery.files[0].damaged, recovery.missing) == (1, 60 - len(kept))
    assert not recovery.is_lossless


@pytest.mark.parametrize("layout", [BagLayout(700), BagLayout(700, "zstd")], ids=["none", "zstd"])
def test_damaged_bytes_never_invent_a_message_and_never_end_in_anything_but_a_clear_error(tmp_path, layout):
    made = messages(40)
    write_bag(tmp_path / "bag", made, layout)
    content = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    draw, file = random.Random(3), tmp_path / "bad.mcap"
    known = {(message.log_ns, message.cdr) for message in made}
    for _ in range(300):
        bad = bytearray(content)
        for _ in range(draw.randrange(1, 5)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        file.write_bytes(bad)
        with file.open("rb") as stream:
            found = [r for r in TornFile(stream, len(bad)).records() if isinstance(r, tuple)]
        assert {(message.log_time, message.data) for _, _, message in found} <= known


def test_pages_that_a_power_cut_left_as_zeros_are_no_messages(tmp_path):
    """Both where the file keeps the length of its last chunk and where it ends somewhere behind."""
    made = messages(300)
    write_bag(tmp_path / "bag", made, BagLayout(1 << 20))
    content = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    at = content.index(made[40].cdr) + 5
    file = tmp_path / "cut.mcap"
    for zeros in (len(content) - at, 8192):
        file.write_bytes(content[:at] + bytes(zeros))
        assert restored(file) == list(range(40))


def test_a_judgement_that_was_interrupted_at_any_byte_costs_no_message_and_no_judgement(tmp_path):
    """The outcome is written into a bag that is closed already; a kill or a power cut meanwhile must not cost the bag."""
    made, bag = messages(40), tmp_path / "bag"
    write_bag(bag, made, BagLayout(700, split_bytes=1500))
    file = mcap_files(bag)[-1]
    old = file.read_bytes()
    add_custom_data(bag, {"outcome": "failure"})
    new = file.read_bytes()
    begin = next(i for i in range(len(old)) if old[i] != new[i])
    longer = old + bytes(len(new) - len(old))
    for number, at in enumerate([*range(begin, len(new), 97), len(new) - 1]):
        file.write_bytes(new[:at] + longer[at:])
        with pytest.raises(DatasetError, match="gr00t bag recover"):
            bag_contents(bag)
        recovery = recover_bag(bag, tmp_path / f"out{number}")
        assert list(read_bag(recovery.out)) == made and not recovery.missing
        assert read_metadata(recovery.out)["custom_data"]["outcome"] == "failure"


def test_a_judgement_is_inside_the_file_too_and_survives_without_metadata(tmp_path):
    bag = tmp_path / "bag"
    write_bag(bag, messages(30), BagLayout(700, split_bytes=1500))
    add_custom_data(bag, {"outcome": "failure"})
    outside = read_metadata(bag)
    with mcap_files(bag)[-1].open("rb") as stream:
        *_, last = [record for record in make_reader(stream).iter_metadata() if record.name == "rosbag2"]
    assert yaml.safe_load(last.metadata["serialized_metadata"]) == outside
    assert counts_of_two_readers(bag) == (30, 30)
    (bag / "metadata.yaml").unlink()
    recovery = recover_bag(bag)
    assert recovery.is_lossless
    assert read_metadata(recovery.out)["custom_data"]["outcome"] == "failure"


def test_a_bag_without_an_index_is_written_anew_with_one(tmp_path):
    """As `ros2 bag record --storage-preset-profile fastwrite` leaves it: messages outside of chunks."""
    made, bag = messages(30), tmp_path / "bag"
    bag.mkdir()
    with (bag / "bag_0.mcap").open("wb") as stream:
        writer = Writer(stream, index_types=IndexType.NONE, use_chunking=False)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channels = {name: writer.register_channel(name, "cdr", schema) for name in (STRING.name, STATE.name)}
        for message in made:
            writer.add_message(
                channels[message.topic], message.log_ns, message.cdr, message.publish_ns, message.sequence
            )
        writer.finish()
    with pytest.raises(DatasetError, match="has no index; `gr00t bag recover`"):
        bag_contents(bag)
    recovery = recover_bag(bag)
    assert recovery.is_lossless and list(read_bag(recovery.out)) == made
    assert bag_contents(recovery.out).counts.total() == 30


def test_the_original_is_never_changed(tmp_path):
    write_bag(tmp_path / "bag", messages(30))
    file = tmp_path / "bag" / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[:1500])
    before = {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()}
    recover_bag(tmp_path / "bag")
    recover_bag(file, tmp_path / "from_the_file")
    assert {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()} == before
    with pytest.raises(DatasetError, match="bag_recovered exists already"):
        recover_bag(tmp_path / "bag")


def test_what_holds_nothing_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(DatasetError, match=r"holds no \.mcap"):
        recover_bag(tmp_path / "bag")
    (tmp_path / "bag" / "bag_0.mcap").write_bytes(b"not a recording")
    (tmp_path / "bag" / "metadata.yaml").write_text(yaml.safe_dump(["nonsense"]))
    with pytest.raises(DatasetError, match="no whole message"):
        recover_bag(tmp_path / "bag")
    with pytest.raises(DatasetError, match="there is no bag"):
        recover_bag(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
