# SPDX-License-Identifier: Apache-2.0
"""A played bag over real DDS: the same bytes, types and QoS as live, the planner does the same, no robot is moved.

How late messages are sent is printed by the player; under the load of other tests only order, counts and stamps are law.
"""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from foreign_bags import CAMERA, COMMANDS, JOINTS, write_foreign_bag
from gr00t_msgs.msg import ConditioningTokens
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin
from rosgraph_msgs.msg import Clock
from sample_data import small_robot
from sensor_msgs.msg import Image, JointState
from small_checkpoint import save_small_checkpoint
from spinner import spin_a_moment
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from gr00t_bringup.playback.selection import select
from gr00t_bringup.ros.bag_publishers import BagPublishers, offered_profile
from gr00t_bringup.ros.recorder import TopicRecorder
from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter, OfferedQos, bag_topics, read_bag
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import ns_from_stamp, rgb_to_image

PLAY = [sys.executable, "-m", "gr00t_bringup.cli", "bag", "play"]
PICTURE = "camera/ego_view/image_raw"
LOOK_S = 0.5  # at the graph, within one process


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


@contextmanager
def spinning(context, *nodes: Node) -> Iterator[None]:
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            spin_a_moment(executor)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        executor.shutdown()


@pytest.fixture
def peers(context) -> Iterator[Node]:
    node = Node("peers", context=context)
    yield node
    node.destroy_node()


def recorded(context, peers: Node, folder: Path) -> Path:
    """A second of joint states at 50 Hz, a state that was latched before, and a sentence, recorded live."""
    joints = peers.create_publisher(JointState, "joint_states", qos.SENSOR)
    mode = peers.create_publisher(String, "mode", qos.LATCHED)
    words = peers.create_publisher(String, "language_command", qos.LANGUAGE)
    mode.publish(String(data="early"))
    with BagWriter(folder) as bag:
        recorder = TopicRecorder(context, bag)
        wait_until(lambda: all(p.get_subscription_count() for p in (joints, mode, words)))
        words.publish(String(data="pick up the can"))
        for index in range(50):
            joints.publish(JointState(name=["a"], position=[float(index)]))
            time.sleep(0.02)
        wait_until(lambda: bag.counts["/joint_states"] == 50)
        recorder.close()
    for publisher in (joints, mode, words):
        peers.destroy_publisher(publisher)
    return folder


@pytest.mark.parametrize(("by_s", "said"), [(-3600, "set back by 3600."), (3600, "set forward by 3600.")])
def test_a_clock_that_was_set_within_the_bag_is_told_once_and_not_waited_for(tmp_path, by_s, said):
    """The recording lasts a second; its first and last time of receipt are an hour apart."""
    start_ns = 1_700_000_000 * 10**9
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(BagTopic("/words", "std_msgs/msg/String", "string data\n", (OfferedQos(),)))
        for i in range(51):
            at_ns = start_ns + i * 20_000_000 + (by_s * 10**9 if i >= 25 else 0)
            bag.write(BagMessage("/words", b"\x00\x01\x00\x00\x02\x00\x00\x00a\x00", at_ns, at_ns, i + 1))
    command = [*PLAY, str(tmp_path / "bag"), "--clock", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(said) == 1 and "played without a wait" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["messages"] == {"/words": 51} and 0.9 < report["seconds"] < 10


def test_a_bag_of_another_recorder_is_played_to_who_listens(context, peers, tmp_path):
    """Its topics have neither QoS nor numbers; its commands are left out."""
    robot = small_robot()
    counts = write_foreign_bag(tmp_path / "bag", robot, 1.0, StoragePlugin.MCAP)
    joints: list[JointState] = []
    pictures: list[Image] = []
    peers.create_subscription(JointState, JOINTS, joints.append, 200)
    peers.create_subscription(Image, CAMERA, pictures.append, 200)
    with spinning(context, peers):
        command = [*PLAY, str(tmp_path / "bag"), "--delay", "1", "--exclude-topics", COMMANDS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: len(joints) == counts[JOINTS] and len(pictures) == counts[CAMERA])
    assert {picture.encoding for picture in pictures} == {"bgr8"}
    assert set(robot.policy_joint_names) < set(joints[0].name)


def test_a_bag_recorded_from_what_is_played_equals_the_bag_that_is_played(context, peers, tmp_path):
    bag = recorded(context, peers, tmp_path / "bag")
    ticks: list[int] = []
    peers.create_subscription(Clock, "/clock", lambda tick: ticks.append(ns_from_stamp(tick.clock)), qos.DIAGNOSTICS)
    wait_until(lambda: peers.count_publishers("/joint_states") == 0)
    with spinning(context, peers), BagWriter(tmp_path / "again") as again:
        recorder = TopicRecorder(context, again)
        command = [*PLAY, str(bag), "--rate", "0.5", "--delay", "2", "--clock", "--json", str(tmp_path / "report.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        recorder.close()
    assert done.returncode == 0, done.stderr
    assert "52 messages" in done.stdout and done.stderr == ""
    first, second = list(read_bag(bag)), [m for m in read_bag(tmp_path / "again") if m.topic != "/clock"]
    for topic in ("/joint_states", "/mode", "/language_command"):
        assert _payloads(second, topic) == _payloads(first, topic), topic
    before, after = bag_topics(bag), bag_topics(tmp_path / "again")
    assert all(_wire(after[name]) == _wire(topic) for name, topic in before.items())
    lasted_s = (first[-1].log_ns - first[0].log_ns) / 1e9
    joints = [message.publish_ns for message in second if message.topic == "/joint_states"]
    assert joints == sorted(joints)
    assert 1.8 < (joints[-1] - joints[0]) / 1e9 / lasted_s < 3.0, "half as fast, however busy the machine is"
    assert first[0].log_ns <= ticks[0] < ticks[-1] and ticks == sorted(ticks)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["messages"] == {"/joint_states": 50, "/mode": 1, "/language_command": 1}
    assert 0 <= report["lateness"]["p50_s"] <= report["lateness"]["p99_s"]


def _payloads(messages: list[BagMessage], topic: str) -> list[bytes]:
    """Filled up to whole words, as they travel."""
    return [m.cdr.ljust((len(m.cdr) + 3) // 4 * 4, b"\0") for m in messages if m.topic == topic]


def _wire(topic: BagTopic) -> tuple:
    """What a listener must be able to rely on: type and offered QoS, but for depths, which discovery does not tell."""
    offered = tuple(dataclasses.replace(each, depth=0, history="") for each in topic.qos)
    return topic.type_name, topic.type_hash, offered


def test_a_played_bag_drives_the_planner_as_the_live_camera_did(context, peers, tmp_path, monkeypatch):
    """The tokens of each picture are the same to the last bit, in the time of the bag as in that of the live camera."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    checkpoint = save_small_checkpoint(tmp_path / "small")
    tokens: dict[str, dict[int, tuple]] = {"live": {}, "played": {}}
    planners = [_planner(context, place, checkpoint) for place in tokens]
    for place, found in tokens.items():
        peers.create_subscription(
            ConditioningTokens, f"/{place}/conditioning_tokens", lambda m, found=found: _keep(found, m), qos.NEWEST
        )
    show = peers.create_publisher(Image, f"/live/{PICTURE}", qos.SENSOR)
    say = peers.create_publisher(String, "/live/language_command", qos.LANGUAGE)
    with spinning(context, peers, *planners):
        with BagWriter(tmp_path / "bag") as bag:
            recorder = TopicRecorder(context, bag)
            wait_until(lambda: show.get_subscription_count() >= 2 and say.get_subscription_count() >= 2)
            say.publish(String(data="pick up the red can"))
            draw, shown = np.random.default_rng(0), set()
            deadline_s = time.monotonic() + 60
            while len(tokens["live"]) < 8 and time.monotonic() < deadline_s:
                stamp_ns = time.time_ns()
                shown.add(stamp_ns)
                show.publish(rgb_to_image(draw.integers(0, 256, (224, 224, 3), np.uint8), stamp_ns, "camera"))
                time.sleep(0.25)
            recorder.close()
        peers.destroy_publisher(show)
        remap = [f"/live/{name}:=/played/{name}" for name in (PICTURE, "language_command")]
        topics = [rule.partition(":=")[0] for rule in remap]
        command = [*PLAY, str(tmp_path / "bag"), "--clock", "--rate", "0.5", "--topics", *topics, "--remap", *remap]
        for _ in range(3):  # a busy planner skips pictures, live as well
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            if len(set(tokens["live"]) & set(tokens["played"])) >= 3:
                break
    for planner in planners:
        planner.stop()
        planner.destroy_node()
    assert set(tokens["played"]) <= shown
    both = set(tokens["live"]) & set(tokens["played"])
    assert len(both) >= 3
    assert all(tokens["live"][stamp] == tokens["played"][stamp] for stamp in both)
    assert len({tokens["live"][stamp] for stamp in both}) == len(both), "each picture has tokens of its own"


def _planner(context, place: str, checkpoint: Path) -> PlannerNode:
    given = {"checkpoint": str(checkpoint), "engine": "torch", "threads": 1, "max_image_age_s": 2.0}
    given["use_sim_time"] = place == "played"
    node = PlannerNode(
        context=context, namespace=f"/{place}", parameter_overrides=[Parameter(k, value=v) for k, v in given.items()]
    )
    assert node.start()
    return node


def _keep(found: dict[int, tuple], message: ConditioningTokens) -> None:
    found[ns_from_stamp(message.header.stamp)] = (message.instruction, bytes(message.data))


def test_ctrl_c_ends_a_loop_at_once_with_its_figures_and_others_on_the_topic_are_told(context, peers, tmp_path):
    bag = recorded(context, peers, tmp_path / "bag")
    other = peers.create_publisher(String, "mode", qos.LATCHED)
    heard: list[str] = []
    peers.create_subscription(JointState, "joint_states", lambda m: heard.append(m.position[0]), qos.SENSOR)
    # What a shell without job control starts in the background is deaf to Ctrl-C, and hands that down.
    command = ["env", "--default-signal=INT", *PLAY, str(bag), "--loop", "--rate", "3"]
    said = tmp_path / "stderr.txt"
    with (
        spinning(context, peers),
        said.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        wait_until(lambda: heard.count(25.0) >= 2 and "warning" in said.read_text())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "sent later than due by" in out
    warning, end = said.read_text().splitlines()
    assert warning == "warning: /mode is published by /peers too: who listens gets both"
    assert end == "gr00t bag play: interrupted"
    peers.destroy_publisher(other)


def test_while_a_gate_commands_a_robot_what_feeds_it_is_not_played_also_when_it_comes_later(context, peers, tmp_path):
    topics = {
        "/joint_states": BagTopic("/joint_states", "sensor_msgs/msg/JointState", ""),
        "/words": BagTopic("/words", "std_msgs/msg/String", ""),
    }
    player = _publishers(context, topics)
    player.watch()
    gate = peers.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
    with pytest.raises(
        ConfigError, match=r"/peers sends /joint_trajectory, and would move the robot by .* /joint_states"
    ):
        wait_until(player.watch)
    player.close()
    wait_until(lambda: peers.count_publishers("/joint_trajectory") == 1)
    with pytest.raises(ConfigError, match="another ROS_DOMAIN_ID, remap what is played, or say --allow-commands"):
        _publishers(context, topics)
    _publishers(context, {"/words": topics["/words"]}).close()
    _publishers(context, topics, allow_commands=True).close()
    peers.destroy_publisher(gate)


def test_a_type_that_is_not_installed_or_is_another_version_is_named_with_the_remedy(context):
    topics = {
        "/a": BagTopic("/a", "nothing_msgs/msg/Thing", ""),
        "/b": BagTopic("/b", "std_msgs/msg/Strung", ""),
        "/c": BagTopic("/c", "gr00t_msgs/action/RecordEpisode_FeedbackMessage", ""),
    }
    with pytest.raises(MessageError) as refused:
        _publishers(context, topics)
    assert "/a: message type nothing_msgs/msg/Thing is not installed" in str(refused.value)
    assert "apt install ros-jazzy-nothing-msgs" in str(refused.value)
    assert "--exclude-topics /a /b /c" in str(refused.value)
    older = BagTopic("/a", "std_msgs/msg/String", "", type_hash=f"RIHS01_{'0' * 64}")
    with pytest.raises(MessageError, match="std_msgs/msg/String is installed in another version"):
        _publishers(context, {"/a": older})


def _publishers(context, topics: dict[str, BagTopic], *, allow_commands: bool = False) -> BagPublishers:
    selection = select(topics, allow_commands=allow_commands)
    return BagPublishers(
        context, selection, with_clock=False, allow_commands=allow_commands, warn=print, discovery_s=LOOK_S
    )


def test_what_is_offered_serves_everybody_who_listened_to_any_of_the_recorded_publishers():
    weak, strong = OfferedQos("best_effort", depth=0), OfferedQos("reliable", "transient_local", depth=7)
    assert offered_profile([weak]).reliability == ReliabilityPolicy.BEST_EFFORT
    assert offered_profile([weak]).depth == 10
    both = offered_profile([weak, strong])
    assert (both.reliability, both.durability, both.depth) == (
        ReliabilityPolicy.RELIABLE,
        DurabilityPolicy.TRANSIENT_LOCAL,
        7,
    )
    assert offered_profile([]).reliability == ReliabilityPolicy.RELIABLE and offered_profile([]).depth == 100
    assert offered_profile([OfferedQos(deadline_ns=10**8), OfferedQos()]).deadline.nanoseconds == 10**8
