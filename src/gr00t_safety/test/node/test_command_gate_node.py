# SPDX-License-Identifier: Apache-2.0
"""The gate as a process among real peers: what it lets through, when it holds, and what a person must release.

Times are measured at the peer, over DDS; the bounds leave room for a busy machine and are far below a human's.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gr00t_msgs.msg import GateState
from peers import COLUMNS, GR1, HOME, SOON_S, Commander
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.types import JointCommand
from gr00t_policy.ros import qos
from gr00t_policy.ros.testing import command_message
from gr00t_policy.runtime.pacing import PacedLoop

PEERS = Path(__file__).parent / "peers.py"


def sway(commander: Commander, seconds: float, amplitude: float = 0.15) -> None:
    """Let the policy's joints swing about home."""
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        commander.target = HOME[COLUMNS] + amplitude * (1 - np.cos(3 * elapsed)) / 2
        time.sleep(0.004)


def moves(scene, seconds: float = 0.3) -> bool:
    """Whether what the robot is told changes during ``seconds``."""
    before = len(scene.robot.applied)
    time.sleep(seconds)
    told = np.array([positions for _, positions in scene.robot.applied[before:]])
    return len(told) > 1 and bool(np.ptp(told, axis=0).max() > 1e-9)


def last_step(scene) -> np.ndarray:
    """How far the joints (J,) were told to go last [rad]."""
    before, last = (positions for _, positions in scene.robot.applied[-2:])
    return np.abs(last - before)


def test_the_gate_holds_the_measured_pose_at_120_hz_until_a_source_drives(scene):
    time.sleep(1.0)
    told = np.array([positions for _, positions in scene.robot.applied])
    assert len(told) > 80
    assert np.abs(told - HOME).max() < 1e-9
    assert scene.robot.state.state == GateState.HOLD
    assert "waiting for commands from 'policy'" in scene.robot.state.reason


def test_a_healthy_policy_drives_within_limits_and_signs_are_those_of_the_urdf(scene, commander):
    scene.driven_by(commander)
    sway(commander, 2.0)
    told = np.array([positions for _, positions in scene.robot.applied])
    assert np.ptp(told, axis=0)[COLUMNS].min() > 0.05
    step = np.array([joint.max_velocity_rad_s for joint in GR1.joints]) / 120
    assert (np.abs(np.diff(told, axis=0)) <= 1.0001 * step).mean() > 0.999  # a lost sample may show as a double step
    assert scene.robot.state.reason == "" and scene.robot.state.source == "policy"
    # At some time: a machine that stands still for 0.2 s shows in the rate of that second.
    assert any(message.rate_hz == pytest.approx(120, abs=12) for _, message in scene.robot.states), scene.words()


def test_a_policy_that_stops_commanding_is_held_soon_and_driven_again_by_itself(scene, commander):
    scene.driven_by(commander)
    commander.loop.stop()
    held_s = scene.first_state_after(commander.last_s, GateState.HOLD)
    assert held_s - commander.last_s < SOON_S
    time.sleep(0.3)
    assert not moves(scene)
    assert scene.in_state(GateState.HOLD, reason="no commands from 'policy'")


def test_lost_joint_states_damp_the_robot_until_reset(scene, commander):
    scene.driven_by(commander)
    scene.robot.loop.stop()
    since_s = time.monotonic()
    assert scene.first_state_after(since_s, GateState.DAMPED) - since_s < SOON_S
    time.sleep(0.3)
    silent = len(scene.robot.applied)
    assert not scene.person.reset().success, "the cause is still there"
    time.sleep(0.2)
    assert len(scene.robot.applied) == silent
    for _ in range(50):
        scene.robot.send(scene.robot.positions)
        time.sleep(0.004)
    answer = scene.person.reset()
    assert answer.success or "joint states" in answer.message


def test_one_command_with_nan_holds_until_reset_and_never_reaches_the_robot(scene, commander):
    scene.driven_by(commander)
    bad = commander.target.copy()
    bad[3] = np.nan
    assert scene.held_by(commander, commander.message(bad), "left_elbow_pitch_joint"), scene.words()
    time.sleep(0.5)
    assert scene.robot.state.state == GateState.HOLD
    assert all(np.isfinite(positions).all() for _, positions in scene.robot.applied)
    scene.release()


def test_joint_states_with_nan_are_not_believed_and_the_joint_is_named_until_a_reset(scene, commander):
    scene.driven_by(commander)
    scene.robot.loop.stop()
    bad = HOME.copy()
    bad[3] = np.nan
    for _ in range(100):
        scene.robot.send(bad)
        time.sleep(0.004)
    assert scene.in_state(GateState.DAMPED, SOON_S * 3, "left_elbow_pitch_joint"), scene.words()
    assert "left_elbow_pitch_joint" in scene.person.reset().message
    assert all(np.isfinite(positions).all() for _, positions in scene.robot.applied)
    scene.robot.go_on()
    time.sleep(0.5)
    assert scene.robot.state.state == GateState.DAMPED, "good joint states alone do not end it"
    scene.release()


def test_unknown_joint_names_hold_until_reset_and_the_reason_names_them(scene, commander):
    scene.driven_by(commander)
    message = commander.message()
    message.joint_names[4] = "left_tail_joint"
    assert scene.held_by(commander, message, "left_tail_joint"), scene.words()
    scene.release()


def test_a_missing_joint_and_an_empty_trajectory_are_refused(scene, commander):
    scene.driven_by(commander)
    message = commander.message()
    message.joint_names = message.joint_names[:-1]
    assert scene.held_by(commander, message), scene.words()
    scene.release()
    empty = commander.message()
    empty.points = []
    assert scene.held_by(commander, empty, "one point"), scene.words()


def test_a_second_publisher_holds_before_any_of_its_commands_is_applied(scene, commander):
    scene.driven_by(commander)
    other = Commander(scene.node)
    other.target = HOME[COLUMNS] + 0.3
    assert scene.in_state(GateState.HOLD, reason="2 publishers"), scene.words()
    other.publisher.publish(other.message(other.target))
    time.sleep(0.2)
    assert np.abs(scene.robot.positions - HOME).max() < 1e-6
    assert not scene.person.reset().success
    scene.node.destroy_publisher(other.publisher)
    scene.release()


def test_stop_brings_a_moving_robot_to_rest_and_only_a_reset_releases_it(scene, commander):
    scene.driven_by(commander)
    sway(commander, 1.0)
    since_s = time.monotonic()
    assert scene.person.stop().success
    assert scene.first_state_after(since_s, GateState.STOPPED) - since_s < SOON_S
    time.sleep(0.3)
    assert not moves(scene)
    scene.release()


def test_a_gate_that_is_deactivated_while_the_robot_moves_brings_it_to_rest_first(scene, commander):
    """The robot keeps what it was last told: were that in the midst of a motion, its drives would stop it at once."""
    scene.driven_by(commander)
    commander.target = HOME[COLUMNS] + 0.6 * (GR1.joint_names.index("left_shoulder_pitch_joint") == COLUMNS)
    since_s = time.monotonic()
    while last_step(scene).max() < 0.006:
        assert time.monotonic() - since_s < 10.0
    assert scene.person.change(4)  # deactivate
    assert scene.in_state(GateState.INACTIVE)
    slowest = np.array([joint.max_acceleration_rad_s2 for joint in GR1.joints]) / 120**2
    assert (last_step(scene) <= 2.0 * slowest).all(), "a lost sample may show as a double step"
    commander.loop.stop()
    assert scene.person.change(3)  # activate
    assert scene.in_state(GateState.HOLD, reason="waiting for commands"), scene.words()


def test_a_gate_does_not_become_active_beside_another_one_that_commands_the_robot(scene):
    """As when the stack is launched a second time: one would hold the robot where the other drives it away from."""
    assert scene.person.change(4)  # deactivate
    other = scene.node.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
    command = command_message(JointCommand(time.time_ns(), GR1.joint_names, HOME + 0.1), JointOrder(GR1.joints), 0)
    loop = PacedLoop("another gate", 120.0, lambda now_ns: other.publish(command), 35)
    loop.start()
    try:
        assert not scene.person.change(3)  # activate
        since = len(scene.robot.applied)
        time.sleep(0.3)
        told = np.array([positions for _, positions in scene.robot.applied[since:]])
        assert len(told) > 10 and np.allclose(told, HOME + 0.1)
    finally:
        loop.stop()
        scene.node.destroy_publisher(other)
    assert scene.person.change(3)
    assert scene.in_state(GateState.HOLD), scene.words()


def test_a_second_gate_that_is_started_beside_one_that_commands_ends_with_one_clear_line(scene, start_gate):
    second = start_gate("-p", "autostart:=true")
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "cannot activate: another node commands the robot on /joint_trajectory" in said


def test_a_stop_before_activation_counts(scene, commander):
    scene.driven_by(commander)
    scene.person.stop()
    scene.person.change(4)  # deactivate
    assert scene.in_state(GateState.INACTIVE)
    scene.person.change(3)  # activate
    assert scene.in_state(GateState.STOPPED), scene.words()


def test_teleoperation_takes_over_after_select_and_the_policy_is_ignored(scene, commander):
    scene.driven_by(commander)
    teleop = Commander(scene.node, "teleop")
    teleop.target = HOME[COLUMNS] + 0.1
    teleop.loop.start()
    time.sleep(0.3)
    assert np.abs(scene.robot.positions - HOME).max() < 1e-6
    assert scene.person.select("teleop").success
    assert scene.in_state(GateState.ACTIVE, reason=""), scene.words()
    time.sleep(2.0)
    assert scene.robot.state.source == "teleop"
    assert np.abs(scene.robot.positions[COLUMNS] - teleop.target).max() < 0.06
    teleop.loop.stop()
    assert scene.in_state(GateState.HOLD, reason="teleop"), scene.words()


def test_an_unknown_source_is_refused_with_the_known_ones(scene):
    answer = scene.person.select("joystick")
    assert not answer.success
    assert "policy, teleop" in answer.message


def test_speed_may_be_lowered_while_active_and_nothing_else_may_change(scene, commander):
    scene.driven_by(commander)
    assert scene.person.set("speed_scale", 0.5).successful
    refused = scene.person.set("speed_scale", 0.9)
    assert not refused.successful
    assert "lowered" in refused.reason
    assert not scene.person.set("velocity_scale", 0.5).successful
    assert not scene.person.set("speed_scale", 2.0).successful


def test_a_policy_process_that_is_killed_is_held_soon(scene):
    process = subprocess.Popen([sys.executable, str(PEERS), "policy"], env=os.environ)
    try:
        assert scene.in_state(GateState.ACTIVE, 30), scene.words()
        time.sleep(0.3)
        since_s = time.monotonic()
        process.send_signal(signal.SIGKILL)
        assert scene.first_state_after(since_s, GateState.HOLD) - since_s < SOON_S
    finally:
        process.kill()
        process.wait()


def test_an_unknown_parameter_ends_the_start_with_one_clear_line(start_gate):
    process = start_gate("-p", "velocity_sclae:=0.5")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "velocity_sclae" in output
    assert "velocity_scale" in output


def test_looser_limits_than_the_robots_are_refused_at_the_start(start_gate):
    process = start_gate("-p", "velocity_scale:=1.5")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "velocity_scale" in output
