# SPDX-License-Identifier: Apache-2.0
"""Messages that are not what they should be are refused, and a broken source does not drive again by itself."""

import numpy as np
import pytest

from gr00t_policy.core.types import JointCommand
from gr00t_safety.checks import RefusalKind
from gr00t_safety.ladder import State
from gr00t_safety.testing import GR1, rig, started


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_command_that_is_not_finite_holds_until_reset(value):
    gate_rig = started()
    bad = gate_rig.home()
    bad[7] = value
    gate_rig.measure()
    assert gate_rig.command(bad).kind is RefusalKind.NOT_FINITE
    gate_rig.tick()
    assert gate_rig.state is State.HOLD and "L_pinky_proximal_joint" not in gate_rig.reason[:10]
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD, "healthy commands alone do not release a fault"
    assert gate_rig.gate.reset(gate_rig.now_ns)[0]
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def test_a_command_with_unknown_or_missing_joints_holds_until_reset():
    for names in [("ghost", *GR1.policy_joint_names[1:]), GR1.policy_joint_names[:-1]]:
        gate_rig = started()
        gate_rig.measure()
        assert gate_rig.command(np.zeros(len(names)), names=names).kind is RefusalKind.NAMES
        gate_rig.run(1.0)
        assert gate_rig.state is State.HOLD
        assert "joint" in gate_rig.reason


def test_a_message_that_cannot_be_read_as_a_command_holds_until_reset():
    gate_rig = started()
    gate_rig.gate.unreadable(gate_rig.now_ns, "policy", "expected one point, got 0")
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and "one point" in gate_rig.reason


def test_an_unreadable_message_of_the_source_that_does_not_drive_is_only_counted():
    gate_rig = started()
    gate_rig.gate.unreadable(gate_rig.now_ns, "teleop", "expected one point, got 0")
    assert gate_rig.state is State.ACTIVE
    assert gate_rig.gate.report(gate_rig.now_ns).refused["teleop.wrong_source"] == 1


def test_a_joint_state_that_cannot_be_read_is_counted():
    gate_rig = started()
    gate_rig.gate.unreadable_state(gate_rig.now_ns, "32 names but 3 positions")
    assert gate_rig.gate.report(gate_rig.now_ns).refused["joint_state.unreadable"] == 1
    assert gate_rig.gate.report(gate_rig.now_ns).joint_state_fault == "32 names but 3 positions"


def test_a_command_given_now_is_to_be_reached_one_tick_later_by_the_robots_clock():
    gate_rig = started()
    gate_rig.measure()
    gate_rig.now_ns += 3_000_000
    command = gate_rig.gate.tick(gate_rig.now_ns)
    assert command.stamp_ns == gate_rig.stamp_ns + gate_rig.gate.tick_ns
    assert command.joint_names == GR1.joint_names


def test_a_reset_is_refused_while_the_source_still_sends_garbage():
    gate_rig = started()
    for _ in range(20):
        gate_rig.measure()
        gate_rig.command(np.full(len(gate_rig.names), np.nan))
        gate_rig.tick()
    done, message = gate_rig.gate.reset(gate_rig.now_ns)
    assert not done and "just now" in message


def test_a_jump_is_refused_and_its_continuation_becomes_a_hold_with_the_reason():
    gate_rig = started(max_jump_rad=0.5)
    target = gate_rig.home()
    target[3] += 0.8
    gate_rig.measure()
    assert gate_rig.command(target).kind is RefusalKind.JUMP
    gate_rig.tick()
    assert gate_rig.state is State.ACTIVE
    gate_rig.run(0.1, target)
    assert gate_rig.state is State.HOLD and "refused" in gate_rig.reason and "left_elbow_pitch_joint" in gate_rig.reason


def test_a_single_jump_does_not_interrupt_motion():
    gate_rig = started()
    target = gate_rig.home()
    target[3] += 1.4
    gate_rig.measure()
    gate_rig.command(target)
    gate_rig.tick()
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def test_degrees_are_refused():
    gate_rig = started()
    gate_rig.measure()
    refusal = gate_rig.command(np.degrees(gate_rig.home()))
    assert refusal.kind is RefusalKind.BEYOND_LIMITS and "degrees" in refusal.text


def test_old_and_repeated_commands_are_dropped_without_further_ado():
    gate_rig = started()
    gate_rig.measure()
    gate_rig.command(gate_rig.home())
    assert gate_rig.command(gate_rig.home()).kind is RefusalKind.OUT_OF_ORDER
    late_ns = gate_rig.stamp_ns - 1
    late = JointCommand(late_ns + 1, gate_rig.names, gate_rig.home())
    found = gate_rig.gate.command(gate_rig.now_ns, "policy", late, late_ns)
    assert found.kind is RefusalKind.OUT_OF_ORDER
    gate_rig.tick()
    assert gate_rig.state is State.ACTIVE


def test_commands_from_the_future_are_refused_and_become_a_hold():
    gate_rig = started()
    for _ in range(10):
        gate_rig.measure()
        stamp_ns = gate_rig.stamp_ns + 10**9
        early = JointCommand(stamp_ns + 1, gate_rig.names, gate_rig.home())
        found = gate_rig.gate.command(gate_rig.now_ns, "policy", early, stamp_ns)
        assert found.kind is RefusalKind.STAMP
        gate_rig.tick()
    assert gate_rig.state is State.HOLD and "ahead" in gate_rig.reason


@pytest.mark.parametrize("step_s", [5, -5, 3600])
def test_a_step_of_the_system_clock_changes_nothing(step_s, monkeypatch):
    gate_rig = started()
    monkeypatch.setattr("gr00t_safety.testing._ROBOT_CLOCK_NS", (1_700_000_000 + step_s) * 10**9)
    for _ in range(60):
        gate_rig.run(0.0084)
        assert gate_rig.state is State.ACTIVE


@pytest.mark.parametrize("back_ms", [10, 20, 30, 45, 60, 80, 95, 99])
def test_a_clock_that_is_set_back_by_some_hundredths_of_a_second_holds_nothing_and_keeps_the_limits(
    back_ms, monkeypatch
):
    gate_rig = started(transition_s=0.0)
    monkeypatch.setattr("gr00t_safety.testing._ROBOT_CLOCK_NS", 1_700_000_000 * 10**9 - back_ms * 10**6)
    for tick in range(60):
        gate_rig.run(0.0084, gate_rig.home() + 0.002 * tick)
        assert gate_rig.state is State.ACTIVE, gate_rig.reason
    assert not any(gate_rig.judge.violations().values())


def test_a_joint_state_with_nan_is_not_believed_and_becomes_damping_if_it_goes_on():
    gate_rig = started()
    bad = gate_rig.robot.copy()
    bad[4] = np.nan
    assert gate_rig.measure(bad).kind is RefusalKind.NOT_FINITE
    gate_rig.tick()
    assert gate_rig.state is State.ACTIVE
    for _ in range(20):
        gate_rig.measure(bad)
        gate_rig.command(gate_rig.home())
        gate_rig.tick()
    assert gate_rig.state is State.DAMPED


def test_a_joint_state_in_degrees_is_not_believed():
    gate_rig = started()
    assert gate_rig.measure(np.degrees(gate_rig.robot)).kind is RefusalKind.BEYOND_LIMITS


def test_a_command_before_any_joint_state_is_refused():
    gate_rig = rig()
    gate_rig.gate.activate()
    assert gate_rig.command(gate_rig.home()).kind is RefusalKind.NOT_READY
