# SPDX-License-Identifier: Apache-2.0
"""A recorder as a process of its own, and who sends to it, listens to it and calls it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = "193"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import rclpy
from gr00t_msgs.action import RecordEpisode
from gr00t_msgs.msg import RecorderState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from spinner import spin_a_moment
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

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
            spin_a_moment(self._executor)

    def _send(self) -> None:
        next_s = time.monotonic()
        while not self._stop.is_set():
            next_s += 1 / RATE_HZ
            if self.sending.is_set():
                self.sent += 1
                self._joints.publish(Float64MultiArray(data=[float(self.sent)]))
            time.sleep(max(next_s - time.monotonic(), 0.0))


def command(folder: Path, **settings: str) -> list[str]:
    """Starts a recorder; settings: parameters that are other than here."""
    parameters = {
        "autostart": "true",
        "folder": str(folder),
        "topics": "[mode]",
        "required_topics": "[joints]",
        "required_rates_hz": "[60.0]",
        "silent_s": "0.5",
        "require_cameras": "false",
        "start_free_mb": "2",
        "stop_free_mb": "1",
        **settings,
    }
    options = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "gr00t_teleop.ros.recorder_node", "--ros-args", *options]


@contextmanager
def recorder_process(folder: Path, path: Path | None = None, **settings: str) -> Iterator[subprocess.Popen]:
    """A recorder until it is told to stop, unless the test killed it. path: searched first for what it imports."""
    places = [str(path)] if path is not None else []
    search = os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(command(folder, **settings), env={**os.environ, "PYTHONPATH": search}) as process:
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 0
        finally:
            process.kill()


@contextmanager
def scene_of(folder: Path) -> Iterator["Scene"]:
    context = Context()
    init_ros(context)
    made = Scene(context, folder)
    try:
        yield made
    finally:
        made.close()
        rclpy.try_shutdown(context=context)


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
