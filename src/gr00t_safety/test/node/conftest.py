# SPDX-License-Identifier: Apache-2.0
"""One gate process for a module of tests, on a domain of its own; every test configures it anew."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = "147"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
sys.path.insert(0, str(Path(__file__).parent))

import pytest
import rclpy
from gr00t_msgs.msg import GateState
from lifecycle_msgs.msg import Transition
from peers import SOON_S, Commander, Person, Robot
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from spinner import Spinner
from trajectory_msgs.msg import JointTrajectory

GATE = [sys.executable, "-m", "gr00t_safety.ros.command_gate_node", "--ros-args"]


def wait_until(happened: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether ``happened`` became true in time."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@dataclass
class Scene:
    """The gate under test and its peers."""

    node: Node
    robot: Robot
    person: Person
    gate: subprocess.Popen

    def in_state(self, state: int, timeout_s: float = 10.0, reason: str = "") -> bool:
        """Whether the gate reports ``state``, with ``reason`` in its words, within ``timeout_s``."""

        def reported() -> bool:
            newest = self.robot.state
            return newest is not None and newest.state == state and reason in newest.reason

        return wait_until(reported, timeout_s)

    def words(self) -> str:
        newest = self.robot.state
        return "no state yet" if newest is None else f"state {newest.state}: {newest.reason}"

    def driven_by(self, commander: Commander) -> None:
        """Start ``commander`` and wait until the gate follows it."""
        commander.loop.start()
        assert self.in_state(GateState.ACTIVE), self.words()

    def held_by(self, commander: Commander, message: JointTrajectory, reason: str = "") -> bool:
        """Whether the gate holds because of ``message``; sent until it does, for only the newest is kept on the way."""
        deadline = time.monotonic() + 3 * SOON_S
        while time.monotonic() < deadline:
            commander.publisher.publish(message)
            if self.in_state(GateState.HOLD, 0.02, reason):
                return True
        return False

    def release(self) -> None:
        """Reset as soon as the gate allows it, and wait until the source drives again."""
        assert wait_until(lambda: self.person.reset().success), self.words()
        assert self.in_state(GateState.ACTIVE), self.words()

    def first_state_after(self, since_s: float, state: int) -> float:
        """When the gate first reported ``state`` after ``since_s`` [s of the steady clock]."""
        assert wait_until(lambda: any(at > since_s and m.state == state for at, m in self.robot.states)), self.words()
        return next(at for at, message in self.robot.states if at > since_s and message.state == state)


@pytest.fixture
def start_gate() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts gate processes with extra arguments; ends them afterwards."""
    started = []

    def start(*arguments: str) -> subprocess.Popen:
        started.append(
            subprocess.Popen([*GATE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def gate_process() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(GATE)
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def scene(gate_process: subprocess.Popen, context: Context) -> Iterator[Scene]:
    """A configured and active gate with a robot that publishes its joint states."""
    node = Node("peers", context=context)
    robot, person, spinner = Robot(node), Person(node), Spinner(context, node)
    robot.loop.start()
    assert person.change(Transition.TRANSITION_CONFIGURE)
    assert person.change(Transition.TRANSITION_ACTIVATE)
    made = Scene(node, robot, person, gate_process)
    assert made.in_state(GateState.HOLD), made.words()
    yield made
    person.change(Transition.TRANSITION_DEACTIVATE)
    person.change(Transition.TRANSITION_CLEANUP)
    robot.loop.stop()
    spinner.close()
    node.destroy_node()


@pytest.fixture
def commander(scene: Scene) -> Iterator[Commander]:
    commander = Commander(scene.node)
    yield commander
    commander.loop.stop()
