# SPDX-License-Identifier: Apache-2.0
"""Bags of the recorder as two readers see them that are not ours, rosbags and mcap with mcap-ros2-support.

The bags are made as the recorder node makes them (plain, in several files, cut off and recovered), of messages with
headers, pictures, nested points and text; what both decode must be what was recorded.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as OtherWriter
from rosbags.typesys import Stores, get_typestore

from gr00t_policy.data.bag import BagMessage, BagTopic, OfferedQos, mcap_files
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode import Decision
from gr00t_teleop.recording.episode_folders import EpisodeFolders
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.recovery import recover_bag
from gr00t_teleop.recording.report import State
from gr00t_teleop.recording.requirement import Requirement

S = 1_000_000_000
START = 1_700_000_000 * S
STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = {
    "/joint_states": "sensor_msgs/msg/JointState",
    "/camera/ego_view/image_raw": "sensor_msgs/msg/Image",
    "/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "/mode": "std_msgs/msg/String",
}
LATCHED = OfferedQos(durability="transient_local")


@dataclass(frozen=True)
class Seen:
    """One message as a reader gives it; content: nested dictionaries and lists."""

    topic: str
    type_name: str
    log_ns: int
    content: Any


def made(type_name: str, **values: object) -> Any:
    return STORE.types[type_name](**values)


def content(topic: str, number: int) -> Any:
    """A message whose every value depends on its number."""
    stamp = made("builtin_interfaces/msg/Time", sec=1_700_000_000 + number, nanosec=number * 7)
    header = made("std_msgs/msg/Header", stamp=stamp, frame_id=f"frame {number}")
    values = np.arange(3) / (number + 1)
    if topic == "/joint_states":
        return made(
            TYPES[topic], header=header, name=["a", "ß", ""], position=values, velocity=-values, effort=values[:0]
        )
    if topic == "/joint_trajectory":
        after = made("builtin_interfaces/msg/Duration", sec=0, nanosec=number)
        empty = values[:0]
        points = [
            made("trajectory_msgs/msg/JointTrajectoryPoint", positions=values * k, velocities=empty, accelerations=empty,
                 effort=empty, time_from_start=after)
            for k in range(2)
        ]  # fmt: skip
        return made(TYPES[topic], header=header, joint_names=["a", "b", "c"], points=points)
    if topic == "/mode":
        return made(TYPES[topic], data=f"mode {number}")
    data = np.full(20 * 30 * 3, number % 256, np.uint8)
    return made(TYPES[topic], header=header, height=20, width=30, encoding="rgb8", is_bigendian=0, step=90, data=data)


def record(root: Path, *, cut: bool = False, **settings: object) -> tuple[Path, list[Seen]]:
    """An episode of 80 messages, and what is in it. cut: as it lies on the disk when the process dies."""
    folders = EpisodeFolders(root)
    config = RecorderConfig(start_free_mb=2, stop_free_mb=1, chunk_kb=64, **settings)
    recorder = EpisodeRecorder(config, folders, list(TYPES), [Requirement(("/joint_states",))], {"embodiment": "gr1"})
    for name, type_name in TYPES.items():
        definition, _ = STORE.generate_msgdef(type_name, ros_version=2)
        qos = (LATCHED,) if name == "/mode" else (OfferedQos("best_effort"), OfferedQos())
        topic = BagTopic(name, type_name, definition, qos, STORE.hash_rihs01(type_name))
        recorder.add_topic(topic, latched=name == "/mode")
    seen = []

    def send(topic: str, number: int) -> None:
        message = content(topic, number)
        at_ns = START + number * S // 100
        cdr = bytes(STORE.serialize_cdr(message, TYPES[topic]))
        recorder.message(BagMessage(topic, cdr, at_ns, at_ns - 1000, number + 1), at_ns)
        seen.append(Seen(topic, TYPES[topic], at_ns, plain(message)))

    send("/joint_states", 0)
    seen.clear()
    bag = recorder.start(START, START, "pick up the can", "Ada")
    for number in range(80):
        send(list(TYPES)[number % 4], number)
    if cut:
        time.sleep(0.5)  # chunks are closed by time
        whole = root / "cut_off"
        whole.mkdir()
        for file in bag.glob("*.mcap"):
            (whole / file.name).write_bytes(file.read_bytes()[:-10_000])
    recorder.stop(START + S)
    _settle(recorder, State.REVIEW)
    recorder.decide(START + S, Decision(keep=True, outcome="success"))
    recorder.close(START + S)
    folders.release()
    return (whole if cut else bag), seen


def _settle(recorder: EpisodeRecorder, state: State) -> None:
    deadline_s = time.monotonic() + 20
    while recorder.report(START + S).state is not state:
        assert time.monotonic() < deadline_s
        recorder.tick(START + S)
        time.sleep(0.005)


def plain(value: Any) -> Any:
    """The same for what either reader makes of a message."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.name != "__msgtype__"}
    if hasattr(value, "__slots__") and not isinstance(value, str | bytes | int | float):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, np.ndarray | list | tuple | bytes | bytearray | memoryview):
        return [plain(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return value


def by_rosbags(bag: Path) -> Iterator[Seen]:
    with AnyReader([bag]) as reader:
        for connection, log_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            yield Seen(connection.topic, connection.msgtype, log_ns, plain(message))


def by_mcap(bag: Path) -> Iterator[Seen]:
    for file in mcap_files(bag):
        with file.open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
            for schema, channel, message, decoded in reader.iter_decoded_messages():
                assert schema is not None and message.publish_time == message.log_time - 1000
                yield Seen(channel.topic, schema.name, message.log_time, plain(decoded))


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_both_readers_give_back_exactly_what_was_recorded(tmp_path, compression):
    bag, seen = record(tmp_path / "episodes", compression=compression)
    assert list(by_rosbags(bag)) == seen
    assert list(by_mcap(bag)) == seen


def test_both_readers_give_back_what_was_recorded_into_several_files(tmp_path):
    bag, seen = record(tmp_path / "episodes", split_s=0.2)
    assert len(mcap_files(bag)) == 4
    assert list(by_rosbags(bag)) == list(by_mcap(bag)) == seen


def test_both_readers_give_back_what_was_recovered_of_a_bag_that_was_cut_off(tmp_path):
    cut, seen = record(tmp_path / "episodes", cut=True)
    recovery = recover_bag(cut)
    kept = list(by_rosbags(recovery.out))
    assert kept == list(by_mcap(recovery.out)) == seen[: len(kept)]
    assert recovery.total == len(kept) and len(seen) > len(kept) > len(seen) // 2


def shape(value: Any) -> Any:
    """Keys and kinds of values; of lists, of their first entry."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_metadata_yaml_has_the_keys_and_kinds_that_another_writer_gives_version_9(tmp_path):
    bag, seen = record(tmp_path / "episodes")
    forever = QosTime(9223372036, 854775807)
    qos = Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.VOLATILE, forever, forever,
        QosLiveliness.AUTOMATIC, forever, avoid_ros_namespace_conventions=False,
    )  # fmt: skip
    with OtherWriter(tmp_path / "other", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.set_custom_data("instruction", "pick up the can")
        for topic, type_name in TYPES.items():
            connection = writer.add_connection(topic, type_name, typestore=STORE, offered_qos_profiles=[qos])
            writer.write(connection, START, bytes(STORE.serialize_cdr(content(topic, 0), type_name)))
    ours, theirs = (yaml.safe_load((folder / "metadata.yaml").read_text()) for folder in (bag, tmp_path / "other"))
    ours, theirs = ours["rosbag2_bagfile_information"], theirs["rosbag2_bagfile_information"]
    assert ours["version"] == theirs["version"] == 9
    for said in (ours, theirs):
        assert set(map(type, said["custom_data"].values())) == {str}
        said["custom_data"] = {}
    assert shape(ours) == shape(theirs)
    hashes = [
        {topic["topic_metadata"]["name"]: topic["topic_metadata"]["type_description_hash"] for topic in said}
        for said in (ours["topics_with_message_count"], theirs["topics_with_message_count"])
    ]
    assert hashes[0] == hashes[1], "types are the same by the hash of their description"
    assert ours["message_count"] == len(seen) == sum(file["message_count"] for file in ours["files"])
    assert ours["starting_time"]["nanoseconds_since_epoch"] == seen[0].log_ns
    assert ours["duration"]["nanoseconds"] == seen[-1].log_ns - seen[0].log_ns
    assert ours["relative_file_paths"] == [file.name for file in mcap_files(bag)]
