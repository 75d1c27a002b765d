# SPDX-License-Identifier: Apache-2.0
"""The nodes ``planner`` and ``controller`` as real processes: bad sentences, no camera, and a planner that is killed."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from gr00t_msgs.msg import ConditioningTokens, ControllerState, PlannerState
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from small_checkpoint import save_small_checkpoint
from spinner import Spinner
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import (
    JointOrder,
    ns_from_stamp,
    rgb_to_image,
    tokens_from_message,
)
from gr00t_policy.ros.testing import joint_state_message
from gr00t_policy.ros.transport import init_ros

GR1 = load_embodiment("gr1")
CAMERA = GR1.cameras[0]
ORDER = JointOrder(GR1.policy_joints)
PLANNER = [sys.executable, "-m", "gr00t_planner.ros.planner_node", "--ros-args"]
CONTROLLER = [sys.executable, "-m", "gr00t_policy.ros.controller_node", "--ros-args"]
TOKEN_HOLD_S = 0.3
RATE_HZ = 20.0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")


class Robot:
    """Camera, joint states and a listener to all that planner and controller say, spun by a thread of its own."""

    def __init__(self, context: Context) -> None:
        self.node = Node("robot", context=context)
        self.heard: dict[type, list] = {}
        for kind, topic, profile in (
            (ConditioningTokens, "conditioning_tokens", qos.NEWEST),
            (PlannerState, "planner/state", qos.LATCHED),
            (ControllerState, "controller/state", qos.LATCHED),
            (JointTrajectory, "policy/joint_trajectory", qos.COMMAND),
        ):
            self.heard[kind] = []
            self.node.create_subscription(kind, topic, self.heard[kind].append, profile)
        self._show = self.node.create_publisher(Image, f"camera/{CAMERA.name}/image_raw", qos.SENSOR).publish
        self._measure = self.node.create_publisher(JointState, "joint_states", qos.SENSOR).publish
        self.language = self.node.create_publisher(String, "language_command", qos.LANGUAGE)
        self.camera_on = True
        self._rng = np.random.default_rng(0)
        self.node.create_timer(0.05, self._on_camera)
        self.node.create_timer(1 / 60, self._on_joints)
        self._spinner = Spinner(context, self.node)

    @property
    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def say(self, sentence: str) -> None:
        self.until(lambda: self.language.get_subscription_count() > 0, "a planner that listens")
        self.language.publish(String(data=sentence))

    def say_bytes(self, text: bytes) -> None:
        """As any program may send them, whatever language it is written in: a ``std_msgs/String`` of these bytes."""
        header, length = b"\x00\x01\x00\x00", (len(text) + 1).to_bytes(4, "little")  # CDR, little endian
        self.language.publish(header + length + text + b"\x00")

    def newest(self, kind: type):
        return self.heard[kind][-1] if self.heard[kind] else None

    def until(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            said = f"{self.newest(PlannerState)} {self.newest(ControllerState)}"
            assert time.monotonic() < deadline, f"waited for {what}; {said}"
            time.sleep(0.02)

    def until_state(self, kind: type, number: int, detail: str = "") -> None:
        def said() -> bool:
            state = self.newest(kind)
            return state is not None and state.state == number and detail in state.detail

        self.until(said, f"{kind.__name__} {number} '{detail}'")

    def until_tokens(self, sentence: str) -> ConditioningTokens:
        def came() -> bool:
            tokens = self.newest(ConditioningTokens)
            return tokens is not None and tokens.instruction == sentence

        self.heard[ConditioningTokens].clear()
        self.until(came, f"tokens for '{sentence}'")
        return self.newest(ConditioningTokens)

    def assert_no_tokens(self) -> None:
        time.sleep(0.2)
        self.heard[ConditioningTokens].clear()
        time.sleep(0.4)
        assert self.heard[ConditioningTokens] == []

    def close(self) -> None:
        self._spinner.close()
        self.node.destroy_node()

    def _on_camera(self) -> None:
        if self.camera_on:
            picture = self._rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
            self._show(rgb_to_image(picture, self.now_ns, CAMERA.frame_id))

    def _on_joints(self) -> None:
        self._measure(joint_state_message(ORDER, np.zeros(len(ORDER.names)), self.now_ns))


@pytest.fixture(scope="module")
def robot() -> Iterator[Robot]:
    context = Context()
    init_ros(context)
    robot = Robot(context)
    yield robot
    robot.close()
    rclpy.try_shutdown(context=context)


def start(command: list[str], checkpoint: Path, **parameters: object) -> subprocess.Popen:
    given = {"checkpoint": checkpoint, "engine": "torch", "autostart": "true", **parameters}
    arguments = [part for name, value in given.items() for part in ("-p", f"{name}:={value}")]
    return subprocess.Popen([*command, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def planner(robot: Robot, checkpoint: Path) -> Iterator[subprocess.Popen]:
    process = start(PLANNER, checkpoint, max_image_age_s=1.0)
    yield process
    if process.poll() is None:
        process.terminate()
        assert process.wait(20) == 0


def test_tokens_are_the_checkpoints_in_bfloat16_with_the_images_stamp(robot, planner, checkpoint):
    robot.say("take the can")
    message = robot.until_tokens("take the can")
    facts = load_checkpoint(checkpoint)
    assert message.dtype == ConditioningTokens.DTYPE_BFLOAT16
    assert message.checkpoint_hash == facts.hash
    assert message.header.frame_id == CAMERA.frame_id
    assert 0 < robot.now_ns - ns_from_stamp(message.header.stamp) < 3e9
    tokens = tokens_from_message(message)
    assert tokens.features.shape == (len(tokens.mask), facts.config.head.cross_dim)
    assert tokens.stage_s["encode"] > 0
    robot.until_state(PlannerState, PlannerState.ENCODING)


def test_a_sentence_of_10_kb_is_refused_and_the_one_before_stays(robot, planner):
    robot.say("take the ball")
    robot.until_tokens("take the ball")
    robot.say("take it " * 1250)
    robot.until_state(PlannerState, PlannerState.ENCODING, "refused: the sentence has 9999 bytes")
    robot.until_tokens("take the ball")
    assert robot.newest(PlannerState).rejected > 0


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"take \x1b[2J it", "the sentence has control characters"),
        (b"take\nthe\tball", "the sentence has control characters"),
        (b"take the \xff\xfe\x80 ball", "the sentence is not UTF-8"),
        ("nimm den großen roten Würfel".encode("latin-1"), "the sentence is not UTF-8"),
        (b"\xed\xa0\x80", "the sentence is not UTF-8"),  # half of a surrogate pair
    ],
)
def test_bytes_that_are_no_printable_sentence_are_refused_and_the_one_before_stays(robot, planner, sent, why):
    robot.say("nimm den großen roten Würfel")
    robot.until_tokens("nimm den großen roten Würfel")
    rejected = robot.newest(PlannerState).rejected
    robot.say_bytes(sent)
    robot.until_state(PlannerState, PlannerState.ENCODING, why)
    robot.until_tokens("nimm den großen roten Würfel")
    assert robot.newest(PlannerState).rejected == rejected + 1
    assert robot.newest(PlannerState).instruction == "nimm den großen roten Würfel"


def test_an_empty_sentence_stops_the_tokens(robot, planner):
    robot.say("take the ball")
    robot.until_tokens("take the ball")
    robot.say("")
    robot.until_state(PlannerState, PlannerState.WAITING_FOR_INSTRUCTION, "taken back")
    robot.assert_no_tokens()


def test_without_camera_images_there_are_no_tokens_and_the_state_says_why(robot, planner):
    robot.say("take the ball")
    robot.until_tokens("take the ball")
    robot.camera_on = False
    robot.until_state(PlannerState, PlannerState.STALE_IMAGE, "no image of the last 1 s")
    robot.assert_no_tokens()
    robot.camera_on = True
    robot.until_tokens("take the ball")


@pytest.mark.parametrize("module", [PLANNER, CONTROLLER])
def test_a_node_with_an_unknown_parameter_or_without_a_checkpoint_ends_with_one_clear_line(module, tmp_path):
    for parameter, code, expected in (
        ("hurry:=true", 2, "unknown parameter(s) of node"),
        (f"checkpoint:={tmp_path / 'nowhere'}", 1, "no checkpoint folder"),
    ):
        command = [*module, "-p", "autostart:=true", "-p", parameter]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr


def test_when_the_planner_is_killed_the_controller_stops_commanding_within_its_limit(robot, planner, checkpoint):
    """The last test here. Times are those the controller wrote into its commands; a loaded machine may add to them."""
    limits = {"joint_state_timeout_s": 1.0, "token_hold_s": TOKEN_HOLD_S, "rate_hz": RATE_HZ, "head_mode": "every_tick"}
    controller = start(CONTROLLER, checkpoint, **limits, thread_priority=20, process_priority=0)
    try:
        robot.say("take the cube")
        robot.until_state(ControllerState, ControllerState.RUNNING)
        robot.until(lambda: len(robot.heard[JointTrajectory]) > 10, "commands")
        planner.kill()
        killed_ns = robot.now_ns
        robot.until_state(ControllerState, ControllerState.HOLDING, f"no new tokens for {TOKEN_HOLD_S:g} s")
        last = robot.newest(JointTrajectory)
        reach = last.points[0].time_from_start
        last_ns = ns_from_stamp(last.header.stamp) + reach.sec * 1_000_000_000 + reach.nanosec
        assert (last_ns - killed_ns) / 1e9 < TOKEN_HOLD_S + 1 / RATE_HZ + 0.2
        robot.heard[JointTrajectory].clear()
        time.sleep(0.3)
        assert robot.heard[JointTrajectory] == []
    finally:
        controller.terminate()
        assert controller.wait(20) == 0
