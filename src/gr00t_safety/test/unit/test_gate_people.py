# SPDX-License-Identifier: Apache-2.0
"""What people ask: stop, reset, who drives, how fast."""

import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_safety.checks import RefusalKind
from gr00t_safety.config import GateConfig
from gr00t_safety.ladder import State
from gr00t_safety.testing import rig, started

STILL = 1e-12


def test_a_stop_brings_the_moving_robot_to_rest_within_200_ms_and_stays():
    gate_rig = started(transition_s=0.0)
    target = gate_rig.home()
    target[0] += 0.9
    gate_rig.run(0.35, target)
    speed = np.abs(gate_rig.judge.applied[-1] - gate_rig.judge.applied[-2]).max() * 120
    assert speed > 1.8
    gate_rig.gate.stop()
    gate_rig.run(0.2, target)
    assert gate_rig.state is State.STOPPED
    at_rest = gate_rig.robot
    gate_rig.run(2.0, target)
    assert (gate_rig.robot == at_rest).all() and gate_rig.state is State.STOPPED
    assert gate_rig.judge.violations() == dict.fromkeys(("not finite", "position", "velocity", "acceleration"), 0)


def test_reset_after_stop_waits_for_healthy_streams_before_motion():
    gate_rig = started()
    gate_rig.gate.stop()
    gate_rig.run(0.3)
    assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "reset")
    gate_rig.run(0.1)
    assert gate_rig.state is State.HOLD
    gate_rig.run(0.3)
    assert gate_rig.state is State.ACTIVE


def test_reset_never_starts_motion_without_auto_resume():
    gate_rig = rig(auto_resume=False)
    gate_rig.gate.activate()
    gate_rig.gate.select("policy")
    gate_rig.run(0.4)
    gate_rig.gate.stop()
    gate_rig.run(0.3)
    assert gate_rig.gate.reset(gate_rig.now_ns)[0]
    gate_rig.run(2.0)
    assert gate_rig.state is State.HOLD


def test_reset_is_refused_while_joint_states_are_missing():
    gate_rig = started()
    gate_rig.gate.stop()
    gate_rig.run(0.5, measure=False)
    done, message = gate_rig.gate.reset(gate_rig.now_ns)
    assert not done and "joint states" in message and gate_rig.state is State.STOPPED


def test_reset_is_refused_before_the_robot_has_come_to_rest():
    gate_rig = started(transition_s=0.0)
    gate_rig.run(0.2, gate_rig.home() + 0.1)
    gate_rig.gate.stop()
    gate_rig.run(0.02)
    assert gate_rig.gate.reset(gate_rig.now_ns) == (False, "cannot reset: the robot is still coming to rest")


def test_after_reset_the_held_pose_moves_to_the_measured_one_within_the_limits():
    gate_rig = started()
    gate_rig.gate.stop()
    gate_rig.run(0.3)
    commanded = gate_rig.robot
    sagged = commanded.copy()
    sagged[3] += 0.1
    gate_rig.measure(sagged)
    assert gate_rig.gate.reset(gate_rig.now_ns)[0]
    for _ in range(60):
        gate_rig.now_ns += 1
        gate_rig.measure(sagged)
        gate_rig.tick()
    assert np.abs(gate_rig.robot - sagged).max() < STILL
    assert not any(gate_rig.judge.violations().values())


def test_a_second_reset_finds_nothing_to_do():
    gate_rig = started()
    gate_rig.gate.stop()
    gate_rig.run(0.3)
    gate_rig.gate.reset(gate_rig.now_ns)
    assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "nothing waits for a reset")


def test_a_stop_outlives_deactivation():
    gate_rig = started()
    gate_rig.gate.stop("red button")
    gate_rig.gate.deactivate()
    gate_rig.gate.activate()
    gate_rig.run(1.0)
    assert gate_rig.state is State.STOPPED and "red button" in gate_rig.reason


def test_a_moving_robot_is_brought_to_rest_before_the_gate_gives_nothing_more_though_nobody_reads_joint_states_then():
    gate_rig = started(transition_s=0.0)
    target = gate_rig.home()
    target[0] += 0.9
    gate_rig.run(0.35, target)
    assert not gate_rig.gate.is_still
    gate_rig.gate.bring_to_rest()
    gate_rig.run(0.2, target, measure=False)
    assert gate_rig.gate.is_still and gate_rig.state is State.HOLD
    gate_rig.judge.applied.append(gate_rig.robot)  # where a robot stays that is told nothing more
    assert gate_rig.judge.violations() == dict.fromkeys(("not finite", "position", "velocity", "acceleration"), 0)
    gate_rig.gate.deactivate()
    gate_rig.gate.activate()
    gate_rig.run(0.4, gate_rig.robot[gate_rig.columns])
    assert gate_rig.state is State.ACTIVE, gate_rig.reason  # nothing waits for a reset


def test_a_gate_that_is_being_deactivated_does_not_go_on_when_it_has_come_to_rest():
    gate_rig = started()
    gate_rig.gate.bring_to_rest()
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and "deactivated" in gate_rig.reason


def test_only_the_selected_source_moves_the_robot():
    gate_rig = started()
    before = gate_rig.robot
    for _ in range(60):
        gate_rig.measure()
        gate_rig.command(gate_rig.home())
        assert gate_rig.command(gate_rig.home() + 0.2, source="teleop").kind is RefusalKind.WRONG_SOURCE
        gate_rig.tick()
    assert np.abs(gate_rig.robot - before).max() < STILL
    assert gate_rig.gate.report(gate_rig.now_ns).refused["teleop.wrong_source"] == 60


def test_switching_the_source_rests_in_between_and_then_follows_the_new_one():
    gate_rig = started()
    gate_rig.gate.select("teleop")
    assert gate_rig.state is State.HOLD
    gate_rig.run(0.5)
    assert gate_rig.state is State.HOLD and "'teleop'" in gate_rig.reason
    gate_rig.run(1.0, gate_rig.home() + 0.05, source="teleop")
    assert gate_rig.state is State.ACTIVE
    assert gate_rig.robot[gate_rig.columns] == pytest.approx(gate_rig.home() + 0.05)


def test_selecting_nobody_holds_the_robot():
    gate_rig = started()
    gate_rig.gate.select("")
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and gate_rig.gate.report(gate_rig.now_ns).source == ""


def test_an_unknown_source_is_refused_with_the_known_ones():
    gate_rig = started()
    with pytest.raises(ConfigError, match=r"'joystick'.*policy, teleop"):
        gate_rig.gate.select("joystick")
    assert gate_rig.state is State.ACTIVE


def test_teleoperation_may_be_silent_for_100_ms():
    gate_rig = rig(default_source="teleop")
    gate_rig.gate.activate()
    gate_rig.run(0.5, source="teleop")
    assert gate_rig.state is State.ACTIVE
    gate_rig.run(0.09, command=False)
    assert gate_rig.state is State.ACTIVE
    gate_rig.run(0.02, command=False)
    assert gate_rig.state is State.HOLD


def test_a_second_publisher_holds_before_its_first_command_until_it_is_gone_and_reset():
    gate_rig = started()
    gate_rig.gate.publishers("policy", 2)
    assert gate_rig.state is State.HOLD and "2 publishers" in gate_rig.reason
    gate_rig.run(1.0)
    assert not gate_rig.gate.reset(gate_rig.now_ns)[0]
    gate_rig.gate.publishers("policy", 1)
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD
    assert gate_rig.gate.reset(gate_rig.now_ns)[0]
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def test_two_publishers_present_at_activation_are_noticed():
    gate_rig = rig()
    gate_rig.gate.publishers("policy", 2)
    gate_rig.gate.activate()
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and "2 publishers" in gate_rig.reason


def test_a_second_publisher_of_the_other_source_does_not_matter_until_it_is_selected():
    gate_rig = started()
    gate_rig.gate.publishers("teleop", 2)
    assert gate_rig.state is State.ACTIVE
    gate_rig.gate.select("teleop")
    assert gate_rig.gate.report(gate_rig.now_ns).reason.startswith("2 publishers")


def test_speed_can_be_lowered_but_not_raised_while_active():
    gate_rig = started()
    gate_rig.gate.set_speed_scale(0.3)
    assert gate_rig.gate.report(gate_rig.now_ns + 10**10).speed_scale == pytest.approx(0.3)
    with pytest.raises(ConfigError, match="only be lowered"):
        gate_rig.gate.set_speed_scale(0.4)
    gate_rig.gate.deactivate()
    gate_rig.gate.set_speed_scale(0.4)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5, float("nan")])
def test_a_speed_scale_that_is_none_is_refused(scale):
    with pytest.raises(ConfigError, match="speed_scale"):
        rig().gate.set_speed_scale(scale)


@pytest.mark.parametrize(
    "settings",
    [
        {"velocity_scale": 2.0},
        {"transition_scale": float("nan")},
        {"profile": "lab"},
        {"default_source": "joystick"},
        {"command_hold_s": 5.0},
        {"profile": "hardware", "joint_state_damp_s": 0.3},
        {"profile": "hardware", "command_hold_s": 0.06},
        {"profile": "hardware", "max_lag_s": 0.3},
        {"profile": "hardware", "max_lead_s": 0.03},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        GateConfig(**settings)


def test_the_hardware_profile_accepts_tighter_ages():
    assert GateConfig(profile="hardware", command_warn_s=0.02, command_hold_s=0.03).command_hold_s == 0.03


def test_the_report_counts_what_was_accepted_refused_and_limited():
    gate_rig = started()
    report = gate_rig.gate.report(gate_rig.now_ns)
    assert report.accepted >= 40 and report.rejected <= 1 and report.limited == 0
    gate_rig.run(0.1, gate_rig.home() + 0.4)
    assert gate_rig.gate.report(gate_rig.now_ns).limited > 0
