# SPDX-License-Identifier: Apache-2.0
"""Inspecting a bag: rates and gaps from its index, sentences, missing topics, cut recordings. The bags are real files."""

import json
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from gr00t_bringup.cli import main
from gr00t_bringup.inspection.bag_index import read_index
from gr00t_bringup.inspection.bag_report import bag_report
from gr00t_bringup.interface import topics
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter, read_bag
from gr00t_teleop.recording.episode_folders import add_custom_data

_STORE = get_typestore(Stores.ROS2_JAZZY)
_TYPES = _STORE.types
_S = 10**9
_START = 1_700_000_000 * _S
_ROBOT = load_embodiment("gr1")


def _topic(name: str, type_name: str) -> BagTopic:
    return BagTopic(name, type_name, _STORE.generate_msgdef(type_name, ros_version=2)[0])


def _cdr(type_name: str, **fields) -> bytes:
    return bytes(_STORE.serialize_cdr(_TYPES[type_name](**fields), type_name))


def _header():
    return _TYPES["std_msgs/msg/Header"](_TYPES["builtin_interfaces/msg/Time"](0, 0), "")


def _joint_state(names=_ROBOT.joint_names) -> bytes:
    empty = np.zeros(0)
    return _cdr(
        "sensor_msgs/msg/JointState",
        header=_header(), name=list(names), position=np.zeros(len(names)), velocity=empty, effort=empty,
    )  # fmt: skip


def _image(width: int = 224, height: int = 224) -> bytes:
    data = np.zeros(width * height * 3, np.uint8)
    return _cdr(
        "sensor_msgs/msg/Image",
        header=_header(), height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width, data=data,
    )  # fmt: skip


def _write(folder: Path, namespace: str = "", skip: str = "", names=_ROBOT.joint_names, pause_s: float = 0.0) -> Path:
    """Two seconds: joint states and commands at 100 Hz, pictures at 20 Hz, one sentence at 0.5 s."""
    streams = {
        "joint_states": ("sensor_msgs/msg/JointState", 100, _joint_state(names)),
        "camera/ego_view/image_raw": ("sensor_msgs/msg/Image", 20, _image()),
        "joint_trajectory": (
            "trajectory_msgs/msg/JointTrajectory",
            100,
            _cdr("trajectory_msgs/msg/JointTrajectory", header=_header(), joint_names=[], points=[]),
        ),
        "language_command": ("std_msgs/msg/String", 0.5, _cdr("std_msgs/msg/String", data="pick up the can")),
    }
    with BagWriter(folder) as bag:
        messages = []
        for name, (type_name, rate_hz, cdr) in streams.items():
            if name == skip:
                continue
            bag.add_topic(_topic(f"{namespace}/{name}", type_name))
            for index in range(max(round(2 * rate_hz), 1)):
                seconds = index / rate_hz if rate_hz > 1 else 0.5
                late_s = pause_s if name == "joint_states" and seconds >= 1 else 0.0
                stamp = _START + round((seconds + late_s) * _S)
                messages.append(BagMessage(f"{namespace}/{name}", cdr, stamp, stamp, index + 1))
        for message in sorted(messages, key=lambda message: message.log_ns):
            bag.write(message)
    return folder


def _found(report, severity: str) -> dict[str, str]:
    return {problem.what: problem.detail for problem in report.problems if problem.severity == severity}


def test_a_bag_with_all_that_learning_needs_fits_and_is_described(tmp_path):
    bag, file = _write(tmp_path / "bag"), tmp_path / "found.json"
    assert main(["inspect", str(bag), "--robot", "gr1", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["duration_s"] == pytest.approx(1.99)
    assert found["sentences"] == [{"stamp_ns": _START + _S // 2, "text": "pick up the can"}]
    assert found["topics"]["/joint_states"]["rate_hz"] == pytest.approx(100)
    assert found["topics"]["/joint_states"]["gap_s"] == pytest.approx(0.01)
    assert found["topics"]["/camera/ego_view/image_raw"]["count"] == 40
    assert found["image_sizes"] == {"/camera/ego_view/image_raw": [224, 224]}
    assert "conditioning_tokens" in next(p["detail"] for p in found["problems"] if p["what"] == "not recorded")


def test_the_joints_of_a_bag_are_named_on_the_screen(tmp_path, capsys):
    _write(tmp_path / "bag", names=("waist_yaw_joint", "made_up_joint"))
    assert main(["inspect", str(tmp_path / "bag")]) in (0, 1)
    assert "2: waist_yaw_joint, made_up_joint" in capsys.readouterr().out


def test_stamps_come_from_the_index_and_equal_those_of_the_messages(tmp_path):
    bag = _write(tmp_path / "bag")
    index = read_index(sorted(bag.glob("*.mcap")))
    for topic, stamps in index.stamps_ns.items():
        assert stamps.tolist() == [message.log_ns for message in read_bag(bag, [topic])]


@pytest.mark.parametrize("name", [topic.name for topic in topics(_ROBOT) if topic.use == "learning"])
def test_each_topic_that_learning_needs_is_missed(tmp_path, name):
    report = bag_report(_write(tmp_path / "bag", skip=name))
    assert "not recorded" in _found(report, "difference")[f"/{name}"]
    assert len(_found(report, "difference")) == 1


def test_a_namespace_and_a_single_file_are_understood(tmp_path):
    bag = _write(tmp_path / "bag", namespace="/left_robot")
    report = bag_report(bag / "bag_0.mcap")
    assert report.ok
    assert report.data["namespace"] == "/left_robot"


def test_a_silence_is_told_with_its_time(tmp_path):
    notes = _found(bag_report(_write(tmp_path / "bag", pause_s=0.7)), "note")
    assert "silent for 0.71 s at 0.99 s" in notes["/joint_states"]


def test_joints_that_the_robot_drives_and_the_bag_lacks_are_named(tmp_path):
    names = [name for name in _ROBOT.joint_names if name not in ("waist_yaw_joint", "head_yaw_joint")]
    report = bag_report(_write(tmp_path / "bag", names=names), "gr1")
    assert "waist_yaw_joint" in _found(report, "difference")["joint_states"]
    assert "head_yaw_joint" in _found(report, "note")["joint_states"]


def test_a_recording_that_was_cut_off_tells_what_can_be_saved(tmp_path):
    bag = _write(tmp_path / "bag")
    file = bag / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (bag / "metadata.yaml").unlink()
    report = bag_report(bag)
    damages = _found(report, "damage")
    assert "cut off" in damages["bag"]
    assert "reindex" in damages["metadata.yaml"]
    saved = report.data["topics"]["/joint_states"]
    assert 20 < saved["count"] < 190
    assert saved["rate_hz"] == pytest.approx(100)
    assert report.data["sentences"][0]["text"] == "pick up the can"
    assert main(["inspect", str(bag)]) == 1


def test_damaged_bags_raise_only_our_own_error(tmp_path):
    whole = (_write(tmp_path / "bag") / "bag_0.mcap").read_bytes()
    small = whole[:4000] + whole[-4000:]  # the beginning and the end are where the structure is
    rng = np.random.default_rng(1)
    file = tmp_path / "damaged.mcap"
    judged = {"damage": 0, "refused": 0}
    for _ in range(300):
        content = bytearray(small)
        for place in rng.integers(0, len(small), 4):
            content[place] = rng.integers(256)
        file.write_bytes(content)
        try:
            judged["damage"] += not read_index([file]).complete
        except DatasetError:
            judged["refused"] += 1
    assert sum(judged.values()) == 300


def test_what_the_recorder_noted_is_told_also_of_a_single_file_and_after_the_review(tmp_path):
    bag = tmp_path / "bag"
    notes = {
        "instruction": "pick up the can",
        "operator": "Ada",
        "embodiment": "gr1",
        "end": "stopped",
        "host": "robot1",
        "unrecorded./skin": "message type skin_msgs/msg/Touch is not installed",
    }
    lost = {"messages_lost": "7", "lost./joint_states": "7", "version.mcap": "1.6.0", "ros_distro": "jazzy"}
    with BagWriter(bag) as writer:
        writer.add_topic(_topic("/joint_states", "sensor_msgs/msg/JointState"))
        writer.write(BagMessage("/joint_states", _joint_state(), _START, _START, 1))
        writer.close({**notes, **lost})
    assert dict(bag_report(bag).facts)["episode"] == "'pick up the can' by Ada; not judged, stopped"
    add_custom_data(bag, {"outcome": "failure", "kept": "false"})
    for path in (bag, bag / "bag_0.mcap"):
        report = bag_report(path)
        facts = dict(report.facts)
        assert facts["episode"] == "'pick up the can' by Ada; failure, discarded, stopped"
        assert facts["lost"] == "7 messages on the way to the recorder: 7 of /joint_states"
        assert facts["not recorded"] == "/skin: message type skin_msgs/msg/Touch is not installed"
        assert (facts["robot"], facts["recorded"]) == ("gr1", "by mcap 1.6.0, ROS jazzy on robot1")
        assert report.data["notes"]["operator"] == "Ada"


def test_a_file_that_is_no_bag_is_damage(tmp_path):
    (tmp_path / "a.mcap").write_bytes(b"not a bag at all, though long enough to look at")
    assert "cannot be read" in _found(bag_report(tmp_path / "a.mcap"), "damage")["a.mcap"]
