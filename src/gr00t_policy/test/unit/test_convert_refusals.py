# SPDX-License-Identifier: Apache-2.0
"""Bags that cannot be learnt from: each is refused in one sentence, and the good one beside it is converted."""

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import IndexType, Writer
from sample_bags import SENTENCE, START, S, Story, cut_short, joint_state, messages_of, string, write_bag
from sample_bags import STORE as TYPES
from sample_data import small_robot

from gr00t_policy.core.embodiment import Camera
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.convert_bags import BagReport, Conversion, convert_bags
from gr00t_policy.data.convert_source import find_bags
from gr00t_policy.data.reader import LeRobotDataset

ROBOT = small_robot()
CONVERSION = Conversion(ROBOT)


def convert(bags: list[Path], out: Path, **changes) -> list[BagReport]:
    return list(convert_bags(bags, out, replace(CONVERSION, **changes)))


def refusal(bag: Path, **changes) -> str:
    """Why a bag is refused; beside a good one, which is converted all the same."""
    out = bag.parent / "data"
    reports = convert([bag, write_bag(bag.parent / "good", ROBOT, Story(1.6))], out, **changes)
    assert [report.outcome for report in reports] == ["refused", "converted"], reports[0]
    assert len(LeRobotDataset(out).episodes) == 1
    return reports[0].detail


def test_a_bag_without_any_sentence_is_refused(tmp_path):
    detail = refusal(write_bag(tmp_path / "bag", ROBOT, Story(1.6, sentences=())))
    assert "says no sentence" in detail
    assert "--instruction" in detail


def test_a_bag_in_which_a_sentence_was_said_later_that_the_planner_would_not_take_is_refused(tmp_path):
    """What was shown then is not what the sentence before says."""
    story = Story(1.6, sentences=((0.0, "take it"), (0.8, "put\u2028it there")))
    assert "the sentence has control characters" in refusal(write_bag(tmp_path / "bag", ROBOT, story))


def test_a_sentence_given_for_bags_that_the_planner_would_not_take_is_refused(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6, sentences=()))
    assert "has 1001 bytes; at most 1000 are taken; give another with --instruction" in refusal(
        bag, instruction="x" * 1001
    )


def shifted(topic: str, by_s: Callable[[float], float]) -> Callable[[list[BagMessage]], list[BagMessage]]:
    """Stamps of one topic moved by a function of the time of the story."""

    def change(messages: list[BagMessage]) -> list[BagMessage]:
        result, start = [], min(message.publish_ns for message in messages)
        for message in messages:
            cdr = bytearray(message.cdr)
            if message.topic == topic:
                stamp = int.from_bytes(cdr[4:8], "little") * S + int.from_bytes(cdr[8:12], "little")
                stamp += round(by_s((message.publish_ns - start) / S) * S)
                cdr[4:12] = (stamp // S).to_bytes(4, "little") + (stamp % S).to_bytes(4, "little")
            result.append(replace(message, cdr=bytes(cdr)))
        return result

    return change


@pytest.mark.parametrize(
    ("topic", "by_s", "reason"),
    [
        ("/joint_states", lambda at: -0.5 * (at > 2), "clock jumps back by 0.4"),
        ("/joint_states", lambda at: -3.0 * (at < 2), "clock"),
        ("/camera/head/image_raw", lambda at: -0.5 * (at < 2), "clock jumps by 0.5"),
        ("/joint_states", lambda at: 5.0, "5 s after the messages were sent"),
        ("/joint_trajectory", lambda at: -1e6, "of another clock"),
        ("/camera/head/image_raw", lambda at: -0.05 * at, "18.9. Hz by its stamps, but 20 Hz is declared"),
        ("/joint_states", lambda at: -0.05 * at, "runs at another speed than time"),
    ],
)
def test_a_clock_that_jumps_or_runs_wrong_is_refused(tmp_path, topic, by_s, reason):
    detail = refusal(write_bag(tmp_path / "bag", ROBOT, Story(4.0), shifted(topic, by_s)))
    if "declared" in reason:
        assert "Hz is declared" in detail
    else:
        assert re.search(reason, detail), detail


def test_a_stream_that_ends_early_is_told(tmp_path):
    def dies(messages: list[BagMessage]) -> list[BagMessage]:
        first = messages[0].publish_ns
        return [m for m in messages if "camera" not in m.topic or m.publish_ns - first < 2 * S]

    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, Story(5.0), dies)], tmp_path / "data")
    assert report.episodes[0]["length"] < 42
    (late,) = [part for part in report.dropped if "ends" in part["why"]]
    assert late["to_s"] - late["from_s"] == pytest.approx(3.0, abs=0.1)


def test_stamps_of_zero_are_refused(tmp_path):
    detail = refusal(write_bag(tmp_path / "bag", ROBOT, Story(2.0), zero_stamps))
    assert "have no stamp" in detail


def zero_stamps(messages: list[BagMessage]) -> list[BagMessage]:
    return [replace(m, cdr=m.cdr[:4] + bytes(8) + m.cdr[12:]) if m.topic == "/joint_states" else m for m in messages]


@pytest.mark.parametrize(("rate_hz", "fine"), [(20.3, True), (19.0, False), (15.0, False), (5.0, False), (30.0, False)])
def test_a_camera_must_have_the_rate_that_the_robot_declares(tmp_path, rate_hz, fine):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(3.0, camera_hz=rate_hz))
    (report,) = convert([bag], tmp_path / "data")
    assert (report.outcome == "converted") == fine
    assert fine or "20 Hz is declared" in report.detail


def test_joint_states_must_have_the_rate_that_the_caller_declares(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(2.0, state_hz=110.0))
    assert "100 Hz is declared" in refusal(bag, state_hz=100.0)


def test_two_publishers_on_one_topic_are_noticed(tmp_path):
    def doubled(messages: list[BagMessage]) -> list[BagMessage]:
        copies = [replace(m, sequence=m.sequence + 5000) for m in messages if m.topic == "/joint_states"]
        return sorted(messages + copies, key=lambda m: m.log_ns)

    assert "two publishers" in refusal(write_bag(tmp_path / "bag", ROBOT, Story(2.0), doubled))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99, 0.9999])
def test_a_bag_that_was_cut_off_is_refused_by_name(tmp_path, share):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6))
    cut_short(bag, share)
    detail = refusal(bag)
    assert str(bag) in detail
    assert "cut off" in detail


def test_damaged_bytes_are_an_error_of_ours_whatever_they_hit(tmp_path):
    rng = np.random.default_rng(0)
    bag = write_bag(tmp_path / "bag", ROBOT, Story(0.6))
    file = next(bag.glob("*.mcap"))
    whole = file.read_bytes()
    for _ in range(15):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        (report,) = convert([bag], tmp_path / "data")
        assert report.outcome in ("refused", "converted", "known")
    file.write_bytes(rng.bytes(5000))
    assert convert([bag], tmp_path / "data")[0].outcome == "refused"


def test_a_bag_without_messages_or_topics_is_refused(tmp_path):
    with BagWriter(tmp_path / "bag"):
        pass
    assert "empty bag" in refusal(tmp_path / "bag")
    topics, _ = messages_of(ROBOT, Story(0.1))
    with BagWriter(tmp_path / "second" / "bag") as bag:
        for topic in topics.values():
            bag.add_topic(topic)
    assert "it has no message" in refusal(tmp_path / "second" / "bag")


@pytest.mark.parametrize(
    "schema", [None, ("foxglove.CompressedImage", "jsonschema"), ("sensor_msgs/msg/Image", "ros2idl")]
)
def test_a_file_of_another_system_is_refused(tmp_path, schema):
    (tmp_path / "bag").mkdir()
    with (tmp_path / "bag" / "log.mcap").open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        number = 0 if schema is None else writer.register_schema(*schema, b"{}")
        names = ("/joint_states", "/camera/head/image_raw", "/joint_trajectory")
        channels = [writer.register_channel(name, "json", number) for name in names]
        for channel in channels:
            writer.add_message(channel, 1, b"{}", 1)
        writer.finish()
    assert str(tmp_path / "bag") in refusal(tmp_path / "bag")


def test_a_bag_without_an_index_is_refused(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(0.5))
    file = next(bag.glob("*.mcap"))
    with file.open("rb") as stream:
        messages = [found for *_, found in make_reader(stream).iter_messages()]
    with file.open("wb") as stream:
        writer = Writer(
            stream, index_types=IndexType.NONE, repeat_channels=False, repeat_schemas=False, use_summary_offsets=False,
            use_statistics=False,
        )  # fmt: skip
        writer.start()
        channel = writer.register_channel("/joint_states", "cdr", writer.register_schema("x", "ros2msg", b""))
        for message in messages:
            writer.add_message(channel, message.log_time, message.data, message.publish_time)
        writer.finish()
    assert str(bag) in refusal(bag)


def test_foreign_folders_are_refused_and_say_what_is_wanted(tmp_path):
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / "bag_0.db3").touch()
    (tmp_path / "squeezed").mkdir()
    (tmp_path / "squeezed" / "bag_0.mcap.zstd").touch()
    for path, said in (
        ("sqlite", "ros2 bag convert"),
        ("squeezed", "compressed as a whole"),
        ("gone", "there is no bag"),
    ):
        with pytest.raises(DatasetError, match=said):
            find_bags([tmp_path / path])
    with pytest.raises(DatasetError, match="holds none"):
        find_bags([tmp_path])


def without(topic: str, tmp_path: Path) -> Path:
    topics, messages = messages_of(ROBOT, Story(1.6))
    with BagWriter(tmp_path / "bag") as bag:
        for each in topics.values():
            if each.name != topic:
                bag.add_topic(each)
        for message in messages:
            if message.topic != topic:
                bag.write(message)
    return tmp_path / "bag"


@pytest.mark.parametrize("topic", ["/joint_states", "/joint_trajectory", "/camera/head/image_raw"])
def test_a_missing_topic_is_named_with_those_that_exist(tmp_path, topic):
    detail = refusal(without(topic, tmp_path))
    assert f"no topic {topic}" in detail
    assert "it has: /" in detail


def test_a_topic_of_another_type_is_refused(tmp_path):
    topics, messages = messages_of(ROBOT, Story(1.6))
    strange = BagTopic("/joint_states", "std_msgs/msg/String", topics["/language_command"].definition)
    cdr = bytes(TYPES.serialize_cdr(string("x"), "std_msgs/msg/String"))
    with BagWriter(tmp_path / "bag") as bag:
        for topic in topics.values():
            bag.add_topic(strange if topic.name == "/joint_states" else topic)
        for message in messages:
            bag.write(replace(message, cdr=cdr) if message.topic == "/joint_states" else message)
    assert "/joint_states is std_msgs/msg/String, expected sensor_msgs/msg/JointState" in refusal(tmp_path / "bag")


def test_joints_of_another_robot_are_named(tmp_path):
    other = joint_state(ROBOT, Story(), 0.0, names=tuple(f"leg_{number}" for number in range(6)))
    cdr = bytes(TYPES.serialize_cdr(other, "sensor_msgs/msg/JointState"))

    def change(messages: list[BagMessage]) -> list[BagMessage]:
        return [replace(m, cdr=cdr) if m.topic == "/joint_states" else m for m in messages]

    detail = refusal(write_bag(tmp_path / "bag", ROBOT, Story(1.6), change))
    assert "missing joint(s) left_arm_0" in detail
    assert "it has: leg_" in detail


def test_pictures_of_another_size_are_refused(tmp_path):
    big = replace(ROBOT, cameras=(Camera("head", 96, 48, 20.0, "head"),))
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6))
    (report,) = list(convert_bags([bag], tmp_path / "data", Conversion(big)))
    assert "expected (48, 96, 3) uint8 RGB, got (48, 64, 3)" in report.detail

    assert not (tmp_path / "data" / "meta" / "info.json").exists()


def _clock_set(by_s: float) -> Callable[[list[BagMessage]], list[BagMessage]]:
    """The system clock of all computers is set after 2 s: times of receipt, of sending, and stamps."""

    def moved(message: BagMessage) -> BagMessage:
        by_ns = round(by_s * S)
        stamp_ns, cdr = message.stamp_ns + by_ns, message.cdr
        stamp = struct.pack("<iI", stamp_ns // S, stamp_ns % S)
        later = {"log_ns": message.log_ns + by_ns, "publish_ns": message.publish_ns + by_ns}
        return replace(message, cdr=cdr[:4] + stamp + cdr[12:], **later)

    def change(messages: list[BagMessage]) -> list[BagMessage]:
        return [moved(m) if m.publish_ns > START + 2 * S else m for m in messages]

    return change


@pytest.mark.parametrize("by_s", [-3600, -2])
def test_a_system_clock_that_was_set_back_is_refused(tmp_path, by_s):
    """By an hour, later messages lie before all others, in their own order: half of the bag was once left out instead."""
    assert "the clock was set back" in refusal(write_bag(tmp_path / "bag", ROBOT, Story(4.0), _clock_set(by_s)))


def test_a_system_clock_that_was_set_forward_splits_the_episode_and_is_told(tmp_path):
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, Story(4.0), _clock_set(3600))], tmp_path / "data")
    assert report.outcome == "converted" and "set forward by 3600.0 s" in report.detail
    assert [round(episode["to_s"] - episode["from_s"], 1) for episode in report.episodes] == pytest.approx(
        [2, 1.9], abs=0.1
    )


def _without_tables(cdr: bytes) -> bytes:
    """Begin and end of the jpeg are whole; its Huffman tables say nonsense."""
    place = cdr.index(b"\xff\xc4") + 5
    return cdr[:place] + b"\xff" * 16 + cdr[place + 16 :]


@pytest.mark.parametrize("sentences", [((0.0, SENTENCE),), ((0.0, SENTENCE), (2.5, "another one"))])
@pytest.mark.parametrize("damage", [lambda cdr: cdr[:-200], _without_tables], ids=["cut short", "broken inside"])
def test_a_picture_that_cannot_be_decoded_refuses_its_bag_and_changes_nothing(tmp_path, damage, sentences):
    """Also where only decoding tells, which is done when the video of each episode is written."""
    story = Story(5.0, codec="jpeg", sentences=sentences)

    def change(messages: list[BagMessage]) -> list[BagMessage]:
        pictures = [m for m in messages if m.topic.endswith("compressed")]
        broken = pictures[80]
        return [replace(m, cdr=damage(m.cdr)) if m is broken else m for m in messages]

    good = write_bag(tmp_path / "good", ROBOT, Story(2.0))
    assert convert([good], tmp_path / "data")[0].outcome == "converted"
    before = {file: file.read_bytes() for file in (tmp_path / "data").rglob("*.*") if file.is_file()}
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, story, change)], tmp_path / "data")
    assert report.outcome == "refused"
    after = {file: file.read_bytes() for file in (tmp_path / "data").rglob("*.*") if file.is_file()}
    assert after == before
