# SPDX-License-Identifier: Apache-2.0
"""One simulator process for all tests of the node, on a domain of its own, and a peer that listens to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ["ROS_DOMAIN_ID"] = "158"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from gr00t_msgs.msg import TaskState
from gr00t_msgs.srv import ResetSimulation
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import Level
from gr00t_policy.ros.transport import init_ros

SIM = [sys.executable, "-m", "gr00t_sim.ros.sim_node", "--ros-args"]


class Listener:
    """Hears all that the simulator says, with the time of arrival, and talks to it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.heard: dict[str, list[tuple[float, Any]]] = {}
        self._clients: dict[str, Any] = {}
        for kind, topic, profile in (
            (JointState, "joint_states", qos.SENSOR),
            (Image, "camera/ego_view/image_raw", qos.SENSOR),
            (Clock, "/clock", qos.SENSOR),
            (TaskState, "sim/task_state", qos.LATCHED),
            (Float64MultiArray, "sim/qpos", qos.SENSOR),
            (DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS),
        ):
            self.heard[topic] = []
            node.create_subscription(kind, topic, self._keeper(topic), profile)
        self.commands = node.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
        self._sentences = node.create_publisher(String, "language_command", qos.LANGUAGE)

    def _keeper(self, topic: str) -> Callable[[Any], None]:
        return lambda message: self.heard[topic].append((time.monotonic(), message))

    def newest(self, topic: str) -> Any:
        return self.heard[topic][-1][1]

    def during(self, seconds: float, topic: str) -> list[tuple[float, Any]]:
        """What is heard on ``topic`` from now on for ``seconds``."""
        before = len(self.heard[topic])
        time.sleep(seconds)
        return self.heard[topic][before:]

    def joints(self) -> dict[str, float]:
        """Newest positions by name, as in the message."""
        message = self.newest("joint_states")
        return dict(zip(message.name, message.position, strict=True))

    def command(self, positions: dict[str, float], seconds: float, ramp_s: float = 0.02) -> None:
        """Command the same positions (as in messages) again and again for ``seconds``."""
        point = JointTrajectoryPoint(positions=list(positions.values()))
        point.time_from_start.nanosec = int(1e9 * ramp_s)
        message = JointTrajectory(joint_names=list(positions), points=[point])
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message.header.stamp = self.newest("joint_states").header.stamp
            self.commands.publish(message)
            time.sleep(0.01)

    def say(self, sentence: str) -> None:
        self._sentences.publish(String(data=sentence))

    def reset(self, task: str = "", seed: int = 0, sentence: str = "") -> ResetSimulation.Response:
        request = ResetSimulation.Request(task=task, seed=seed, sentence=sentence)
        return self._call(ResetSimulation, "sim/reset", request)

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, "sim/change_state", request).success)

    def refused(self, kind: str) -> int:
        """How many commands were refused for this reason, by the next diagnostics."""
        (_, message), *_ = self.during(1.6, "/diagnostics")
        values = {item.key: item.value for item in message.status[0].values}
        assert message.status[0].level in [level.value for level in Level]
        return int(values.get(f"refused.{kind}", 0))

    def wait_for(self, topic: str, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.heard[topic]:
            assert time.monotonic() < deadline, f"nothing on {topic}"
            time.sleep(0.05)

    def _call(self, kind: Any, name: str, request: Any, timeout_s: float = 60.0) -> Any:
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_s), f"no service {name}"
        future = client.call_async(request)
        deadline = time.monotonic() + timeout_s
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert future.done(), f"no answer from {name}"
        return future.result()


@pytest.fixture(scope="module")
def sim_process() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([*SIM, "-p", "autostart:=true", "-p", "seed:=3"])
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.fixture(scope="module")
def listener(sim_process: subprocess.Popen) -> Iterator[Listener]:
    context = Context()
    init_ros(context)
    node = Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    made = Listener(node)
    made.wait_for("joint_states")
    yield made
    stop.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def sim(listener: Listener) -> Listener:
    """The simulator with a fresh scene."""
    assert listener.reset(seed=3).success
    time.sleep(0.2)
    return listener
