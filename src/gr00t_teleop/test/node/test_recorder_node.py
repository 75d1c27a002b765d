# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process among real publishers: gating, episodes by action and by service, losses, discarding."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = "193"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import pytest
import rclpy
from gr00t_msgs.action import RecordEpisode
from gr00t_msgs.msg import RecorderState
from gr00t_msgs.srv import FinishEpisode
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.ros import qos
from gr00t_policy.ros.transport import init_ros

RATE_HZ = 100.0


def wait_until(condition, timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


class Scene:
    """A sender of 'joints' and 'mode', which can be silenced, and a person who calls the recorder."""

    def __init__(self, context: Context, folder: Path) -> None:
        self.folder = folder
        self.node = Node("peers", context=context)
        self.state = RecorderState()
        self.alarms: list[str] = []
        self.sent = 0
        self.sending = threading.Event()
        self._joints = self.node.create_publisher(Float64MultiArray, "joints", qos.SENSOR)
        self._mode = self.node.create_publisher(String, "mode", qos.LATCHED)
        self._mode.publish(String(data="early"))
        self.node.create_subscription(RecorderState, "recorder/state", self._on_state, qos.LATCHED)
        self.action = ActionClient(self.node, RecordEpisode, "record_episode")
        self._clients = {}
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._spin), threading.Thread(target=self._send)]
        for thread in self._threads:
            thread.start()

    def call(self, name: str, kind: type = Trigger, **fields: object):
        client = self._clients.setdefault(name, self.node.create_client(kind, f"recorder/{name}"))
        assert client.wait_for_service(60.0), name
        return self.result(client.call_async(kind.Request(**fields)))

    def result(self, future):
        wait_until(future.done)
        return future.result()

    def asked(self, request):
        """The answer to a request of the action's client, which only the executor's thread may make: its answers race."""
        return self.result(self.result(self._executor.create_task(request)))

    def record(self, feedback=None, **goal: object):
        """An accepted goal."""
        assert self.action.wait_for_server(60.0)
        return self.asked(lambda: self.action.send_goal_async(RecordEpisode.Goal(**goal), feedback))

    def outcome(self, goal) -> RecordEpisode.Result:
        return self.asked(goal.get_result_async).result

    def wait_state(self, state: int) -> None:
        wait_until(lambda: self.state.state == state)

    def ready(self) -> None:
        self.sending.set()
        self.wait_state(RecorderState.READY)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._executor.shutdown()
        self.node.destroy_node()

    def _on_state(self, message: RecorderState) -> None:
        self.state = message
        if message.alarm:
            self.alarms.append(message.detail)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def _send(self) -> None:
        next_s = time.monotonic()
        while not self._stop.is_set():
            next_s += 1 / RATE_HZ
            if self.sending.is_set():
                self.sent += 1
                self._joints.publish(Float64MultiArray(data=[float(self.sent)]))
            time.sleep(max(next_s - time.monotonic(), 0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recorder") / "episodes"


def command(folder: Path) -> list[str]:
    parameters = {
        "autostart": "true",
        "folder": str(folder),
        "topics": "[mode]",
        "required_topics": "[joints]",
        "required_rates_hz": "[60.0]",
        "silent_s": "0.5",
        "start_free_mb": "2",
        "stop_free_mb": "1",
    }
    options = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "gr00t_teleop.ros.recorder_node", "--ros-args", *options]


@pytest.fixture(scope="module")
def recorder(folder: Path) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command(folder))
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    init_ros(context)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture(scope="module")
def scene(recorder: subprocess.Popen, context: Context, folder: Path) -> Iterator[Scene]:
    made = Scene(context, folder)
    yield made
    made.close()


def numbers(bag: Path) -> tuple[list[int], list[str]]:
    """What 'joints' and 'mode' said, as an independent reader decodes it."""
    joints, modes = [], []
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic.endswith("joints"):
                joints.append(int(message.data[0]))
            else:
                modes.append(message.data)
    return joints, modes


def test_without_the_required_topic_the_recorder_is_idle_and_names_it(scene):
    scene.sending.clear()
    scene.wait_state(RecorderState.IDLE)
    result = scene.outcome(scene.record(instruction="wave"))
    assert (result.success, result.error_code) == (False, RecordEpisode.Result.ERROR_NO_DATA)
    assert result.error_msg.startswith("/joints ")
    assert scene.state.topics[-1].name == "/joints" and scene.state.topics[-1].required
    assert not list(scene.folder.glob("episode_*"))


def test_an_episode_by_the_action_holds_every_message_and_the_latched_one_from_before(scene):
    scene.ready()
    feedback = []
    goal = scene.record(feedback.append, instruction="wave", operator_name="Ada", max_duration_s=1.2)
    assert goal.accepted
    scene.wait_state(RecorderState.RECORDING)
    busy = scene.outcome(scene.record(instruction="again"))
    assert busy.error_code == RecordEpisode.Result.ERROR_BUSY
    result = scene.outcome(goal)
    assert result.success and result.error_code == RecordEpisode.Result.ERROR_NONE
    joints, modes = numbers(Path(result.bag_path))
    assert joints == list(range(joints[0], joints[-1] + 1)) and len(joints) > 80
    assert modes == ["early"] and result.messages == len(joints) + 1
    assert feedback
    facts = read_metadata(Path(result.bag_path))["custom_data"]
    assert (facts["instruction"], facts["operator"], facts["messages_lost"]) == ("wave", "Ada", "0")
    scene.wait_state(RecorderState.REVIEW)
    finished = scene.call("finish", FinishEpisode, keep=True, outcome="success")
    assert finished.success and finished.bag_path == result.bag_path
    assert read_metadata(Path(result.bag_path))["custom_data"]["outcome"] == "success"


def test_cancelling_ends_and_keeps_what_was_recorded(scene):
    scene.ready()
    goal = scene.record(instruction="wave")
    scene.wait_state(RecorderState.RECORDING)
    time.sleep(0.3)
    scene.asked(goal.cancel_goal_async)
    result = scene.outcome(goal)
    assert result.success and result.error_code == RecordEpisode.Result.ERROR_CANCELED
    assert len(numbers(Path(result.bag_path))[0]) == result.messages - 1 > 0
    assert scene.call("keep").success
    scene.wait_state(RecorderState.READY)


def test_services_start_stop_discard_and_snapshot_and_a_slow_topic_raises_the_alarm(scene):
    scene.ready()
    assert "needs a sentence" in scene.call("start").message
    sentences = scene.node.create_publisher(String, "language_command", qos.LANGUAGE)
    wait_until(lambda: sentences.get_subscription_count() >= 1)
    sentences.publish(String(data="put it down"))
    wait_until(lambda: scene.call("start").success)
    scene.wait_state(RecorderState.RECORDING)
    assert scene.state.instruction == "put it down"
    scene.alarms.clear()
    scene.sending.clear()
    wait_until(lambda: any("/joints comes at" in alarm for alarm in scene.alarms))
    scene.sending.set()
    saved = scene.call("snapshot")
    assert saved.success and scene.call("stop").success
    wait_until((Path(saved.message) / "metadata.yaml").exists)
    assert len(numbers(Path(saved.message))[0]) > 10
    scene.wait_state(RecorderState.REVIEW)
    discarded = scene.call("discard")
    assert discarded.success and "/discarded/episode_" in discarded.message
    assert numbers(Path(discarded.message))[0]
    scene.wait_state(RecorderState.READY)


def test_a_second_recorder_on_the_same_folder_is_refused_clearly(scene):
    second = subprocess.run(
        [*command(scene.folder), "-r", "__node:=second"], capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 1
    assert "another recorder (process" in second.stderr and "give this one another folder" in second.stderr


def test_a_recorder_that_is_told_to_stop_closes_and_keeps_its_episode(scene, tmp_path):
    with subprocess.Popen([*command(tmp_path), "-p", "instruction:=wave", "-r", "__ns:=/other"]) as process:
        try:
            start = scene.node.create_client(Trigger, "/other/recorder/start")
            joints = scene.node.create_publisher(Float64MultiArray, "/other/joints", qos.SENSOR)
            timer = scene.node.create_timer(0.01, lambda: joints.publish(Float64MultiArray(data=[1.0])))
            assert start.wait_for_service(60.0)
            wait_until(lambda: scene.result(start.call_async(Trigger.Request())).success)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            scene.node.destroy_timer(timer)
    (bag,) = tmp_path.glob("episode_*")
    assert len(numbers(bag)[0]) > 20
    assert read_metadata(bag)["custom_data"]["end"] == "the recorder ended"
