# SPDX-License-Identifier: Apache-2.0
"""Retargeter and command gate as processes, a robot that obeys and a person made of numbers as their peers, over DDS."""

import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gr00t_msgs.msg import GateState, TeleopState
from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from peers import COLUMNS, Robot, system_ns
from rclpy.context import Context
from rclpy.node import Node
from spinner import Spinner
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.command_wire import CommandReader
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import JointOrder, ns_from_stamp
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_safety.ladder import State
from gr00t_safety.testing import rig
from gr00t_teleop.operator_wire import state_to_cdr
from gr00t_teleop.retargeting.pose import Pose
from gr00t_teleop.testing import RobotShapedHand, WildMotion, quaternion
from gr00t_teleop.types import OperatorState

GR1 = load_embodiment("gr1")
_GATE = ("gr00t_safety.ros.command_gate_node", "-p", "default_source:=teleop", "-p", "transition_s:=0.2")
# As config/gr1/retargeter.yaml has it for a simulation: this robot stutters with the machine.
_RETARGETER = ("gr00t_teleop.ros.retargeter_node", "-p", "gentle_s:=0.5", "-p", "joint_state_timeout_s:=0.1")


class Person:
    """Swings both wrists and bends the fingers; publishes 90 samples a second, with a drop-out of a hand now and then."""

    def __init__(self, node: Node) -> None:
        rng = np.random.default_rng(0)
        centres = {side: Pose(np.array([0.4, y, 1.1]), np.eye(3)) for side, y in (("left", 0.2), ("right", -0.2))}
        self.engaged = False
        self._wrists = {side: WildMotion(centre, rng, reach_m=0.2) for side, centre in centres.items()}
        self._hands = {side: RobotShapedHand(GR1, side) for side in centres}
        self._sequence = 0
        self._publisher = node.create_publisher(OperatorStateMsg, "operator_state", qos.SENSOR)
        self.loop = PacedLoop("person", 90.0, self._tick)

    def _tick(self, now_ns: int) -> None:
        self._sequence += 1
        time_s = self._sequence / 90
        poses = {side: wrist.at(time_s) for side, wrist in self._wrists.items()}
        bend = np.full(6, 0.5 + 0.4 * np.sin(3 * time_s))
        numbers = {side: np.concatenate([pose.position, quaternion(pose.rotation)]) for side, pose in poses.items()}
        if self._sequence % 200 < 9:
            numbers["left"] = np.full(7, np.nan)
        state = OperatorState(
            stamp_ns=system_ns(),
            frame="operator",
            source="numbers",
            sequence=self._sequence,
            engaged=self.engaged,
            head=np.array([0, 0, 1.6, 0, 0, 0, 1.0]),
            left_wrist=numbers["left"],
            right_wrist=numbers["right"],
            left_hand=self._hands["left"].keypoints(bend, 1.0, poses["left"]),
            right_hand=self._hands["right"].keypoints(bend, 1.0, poses["right"]),
        )
        self._publisher.publish(state_to_cdr(state))


class Scene:
    """The peers, and what the two nodes say."""

    def __init__(self, node: Node) -> None:
        self.node, self.robot, self.person = node, Robot(node), Person(node)
        self.teleop: list[TeleopState] = []
        self.commands: list[tuple[int, np.ndarray]] = []
        self.robot_then: list[np.ndarray] = []  # what the robot was told last when each command came
        # By the gate: number of the message, one per tick, and all joints.
        self.given: list[tuple[int, np.ndarray]] = []
        self._reader = CommandReader(lambda names: JointOrder(GR1.policy_joints))
        self._given_reader = CommandReader(lambda names: JointOrder(GR1.joints))
        node.create_subscription(TeleopState, "teleop/state", self.teleop.append, qos.LATCHED)
        node.create_subscription(JointTrajectory, "teleop/joint_trajectory", self._on_command, qos.COMMAND, raw=True)
        node.create_subscription(JointTrajectory, "joint_trajectory", self._on_given, qos.COMMAND, raw=True)

    def _on_command(self, data: bytes) -> None:
        command, _ = self._reader.read(data)
        self.commands.append((command.stamp_ns, command.positions))
        self.robot_then.append(self.robot.positions[COLUMNS])

    def _on_given(self, data: bytes, info: dict[str, Any]) -> None:
        command, _ = self._given_reader.read(data)
        self.given.append((info["publication_sequence_number"], command.positions))

    def gate_changes(self) -> list[tuple[float, bool]]:
        """When the gate changed, by the clock that stamps commands [s], and whether it was active from then on."""
        return [
            (ns_from_stamp(told.header.stamp) / 1e9, told.state == GateState.ACTIVE) for _, told in self.robot.states
        ]

    def until(self, happened: Callable[[], bool], timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline, (self.teleop[-1:], self.robot.state)
            time.sleep(0.005)

    def until_teleop(self, state: int) -> None:
        self.until(lambda: bool(self.teleop) and self.teleop[-1].state == state)

    def engage(self) -> None:
        self.person.engaged = False
        self.until_teleop(TeleopState.DISENGAGED)
        time.sleep(0.05)
        self.person.engaged = True
        self.until_teleop(TeleopState.ENGAGED)

    def call(self, name: str) -> Trigger.Response:
        client = self.node.create_client(Trigger, name)
        assert client.wait_for_service(10.0)
        future = client.call_async(Trigger.Request())
        self.until(future.done)
        return future.result()


def through_a_gate(commands: list[tuple[float, np.ndarray]]) -> dict[str, int]:
    """What the robot would get: the recorded commands through a gate on a fake clock, judged by the joint table."""
    gate = rig(default_source="teleop", transition_s=0.2)
    gate.gate.activate()
    start_s = commands[0][0]
    for _ in range(round((commands[-1][0] - start_s) * 120) + 60):
        gate.measure()
        due_s = start_s + len(gate.judge.applied) / 120
        due = [positions for stamp_s, positions in commands if due_s <= stamp_s < due_s + 1 / 120]
        if due:
            assert gate.command(due[-1], "teleop") is None or gate.state is not State.ACTIVE
        gate.tick()
    assert np.ptp(np.array(gate.judge.applied), axis=0).max() > 0.2
    return gate.judge.violations()


def too_fast(path: list[tuple[float, np.ndarray]], limits: np.ndarray) -> list[int]:
    """Where positions change faster than ``limits`` [rad/s]. Messages may be lost, hence whole ticks and one half more."""
    wrong = []
    for index, ((start_s, before), (end_s, after)) in enumerate(pairwise(path)):
        ticks = max(np.ceil((end_s - start_s) * 120 + 0.5), 1.0)
        if (np.abs(after - before) > limits * ticks / 120 + 1e-9).any():
            wrong.append(index)
    return wrong


def while_active(
    path: list[tuple[float, np.ndarray]], gate_changes: list[tuple[float, bool]]
) -> list[list[tuple[float, np.ndarray]]]:
    """The stretches of a path in which the gate passed it on. While it holds, it need not be a path: it leaps to the robot."""
    stretches: list[list[tuple[float, np.ndarray]]] = []
    active, changes = False, deque(gate_changes)
    for stamp_s, positions in path:
        while changes and changes[0][0] <= stamp_s:
            now_active = changes.popleft()[1]
            if now_active and not active:
                stretches.append([])
            active = now_active
        if active:
            stretches[-1].append((stamp_s, positions))
    return stretches


def broken_promises(given: list[tuple[int, np.ndarray]]) -> dict[str, int]:
    """Of the gate's messages, those beyond the joint table. Each is one tick; of lost ones the numbers tell how many."""
    joints = GR1.joints
    lower, upper = np.array([(joint.lower_rad, joint.upper_rad) for joint in joints]).T
    speed = np.array([joint.max_velocity_rad_s for joint in joints])
    acceleration = np.array([joint.max_acceleration_rad_s2 for joint in joints])
    path = np.array([positions for _, positions in given])
    ticks = np.diff([number for number, _ in given])
    steps = np.diff(path, axis=0) / ticks[:, None]
    in_a_row = (ticks[1:] == 1) & (ticks[:-1] == 1)
    assert (ticks > 0).all() and in_a_row.mean() > 0.5
    leaps = np.abs(np.diff(steps, axis=0))[in_a_row] > acceleration / 120**2 + 1e-9
    return {
        "position": int(((path < lower - 1e-9) | (path > upper + 1e-9)).any(axis=1).sum()),
        "velocity": int((np.abs(steps) > speed / 120 + 1e-9).any(axis=1).sum()),
        "acceleration": int(leaps.any(axis=1).sum()),
    }


@pytest.fixture
def scene(context: Context) -> Iterator[Scene]:
    processes = [
        subprocess.Popen([sys.executable, "-m", module, "--ros-args", "-p", "autostart:=true", *arguments])
        for module, *arguments in (_GATE, _RETARGETER)
    ]
    node = Node("peers", context=context)
    made, spinner = Scene(node), Spinner(context, node)
    made.robot.loop.start()
    made.until(lambda: bool(made.teleop), 40.0)
    made.person.loop.start()
    yield made
    made.person.loop.stop()
    made.robot.loop.stop()
    for process in processes:
        process.send_signal(signal.SIGINT)
    codes = [process.wait(20) for process in processes]
    spinner.close()
    node.destroy_node()
    assert codes == [0, 0]


def test_a_person_drives_the_robot_through_the_gate_and_no_clutch_steps_it(scene: Scene) -> None:
    for _ in range(3):
        scene.engage()
        time.sleep(1.5)
    scene.person.engaged = False
    scene.until_teleop(TeleopState.DISENGAGED)
    applied = np.array([positions for _, positions in scene.robot.applied])
    assert np.ptp(applied, axis=0).max() > 0.2  # the robot did move

    assert broken_promises(scene.given) == {"position": 0, "velocity": 0, "acceleration": 0}

    limits = np.array([joint.max_velocity_rad_s for joint in GR1.joints])
    commands = [(stamp_ns / 1e9, positions) for stamp_ns, positions in scene.commands]
    passed_on = while_active(commands, scene.gate_changes())
    assert sum(map(len, passed_on)) > 120  # a second of four and a half
    assert [too_fast(stretch, limits[COLUMNS]) for stretch in passed_on] == [[] for _ in passed_on]
    opened_s = [ns_from_stamp(told.header.stamp) / 1e9 for told in scene.teleop if told.state == TeleopState.DISENGAGED]
    two_ticks = limits[COLUMNS] * 2 / 120  # of a gate that still brakes, while messages are under way
    closings = [
        np.abs(after - before).max() < 1e-9 or (np.abs(after - scene.robot_then[number + 1]) < two_ticks).all()
        for number, ((end_s, before), (start_s, after)) in enumerate(pairwise(commands))
        if any(end_s - 0.02 < at_s < start_s for at_s in opened_s)
    ]
    assert len(closings) >= 2
    assert all(closings), (
        "the first command after a clutch is the last one before it, or where the gate holds the robot"
    )
    assert through_a_gate(commands) == {"not finite": 0, "position": 0, "velocity": 0, "acceleration": 0}
    reach_ns = np.array([stamp_ns for stamp_ns, _ in scene.commands])
    assert (np.diff(reach_ns) > 0).all()

    driven = [gate for _, gate in scene.robot.states if gate.state == GateState.ACTIVE]
    assert driven[-1].commands_rejected - driven[0].commands_rejected <= 0.02 * len(commands)
    told = scene.teleop[-1]
    assert told.source == "numbers"
    assert 20 < told.device_rate_hz < 120
    assert told.samples > 100
    assert told.samples_rejected > 0
    assert 0 < told.solve_p50_s <= told.solve_p99_s < 0.1


def test_what_goes_silent_or_is_stopped_ends_motion_until_a_person_wants_it_again(scene: Scene) -> None:
    scene.engage()
    assert scene.call("teleop/stop").success
    scene.until_teleop(TeleopState.STOPPED)
    commanded = len(scene.commands)
    time.sleep(0.3)
    assert len(scene.commands) <= commanded + 2  # those under way
    assert scene.robot.state is not None
    assert scene.robot.state.state == GateState.HOLD
    assert scene.call("teleop/engage").success
    scene.engage()

    scene.person.loop.stop()
    scene.until_teleop(TeleopState.DISENGAGED)
    assert any(state.state == TeleopState.HOLDING and "no samples for" in state.reason for state in scene.teleop)
    assert "silent" in scene.teleop[-1].reason
    held = scene.robot.positions.copy()
    time.sleep(0.3)
    np.testing.assert_allclose(scene.robot.positions, held, atol=1e-6)
