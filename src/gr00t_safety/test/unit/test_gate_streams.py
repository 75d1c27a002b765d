# SPDX-License-Identifier: Apache-2.0
"""Streams that stop or leap hold the robot in time; what comes back goes on by itself where that is safe."""

import numpy as np
import pytest

from gr00t_safety.ladder import State
from gr00t_safety.testing import GR1, GateRig, rig, started

STILL = 1e-12


def still(gate_rig: GateRig, seconds: float = 0.2) -> bool:
    """Whether the robot does not move during the next ``seconds`` of joint states without commands."""
    before = gate_rig.robot
    gate_rig.run(seconds, command=False)
    return bool(np.abs(gate_rig.robot - before).max() < STILL)


def test_commands_that_stop_hold_the_robot_within_60_ms_and_it_stands_within_260():
    gate_rig = started()
    sway = gate_rig.home()
    for k in range(60):
        sway[0] = gate_rig.home()[0] + 0.005 * k
        gate_rig.run(0.009, sway)
    gate_rig.run(0.06, command=False)
    assert gate_rig.state is State.HOLD and "no commands from 'policy'" in gate_rig.reason
    gate_rig.run(0.2, command=False)
    assert still(gate_rig)


def test_a_short_gap_in_the_commands_is_only_a_warning():
    gate_rig = started()
    gate_rig.run(0.035, command=False)
    assert gate_rig.state is State.ACTIVE
    assert gate_rig.gate.report(gate_rig.now_ns).late == ("policy",)


def test_motion_resumes_by_itself_when_commands_are_back_for_a_while():
    gate_rig = started()
    gate_rig.run(0.5, command=False)
    assert gate_rig.state is State.HOLD
    gate_rig.run(0.15)
    assert gate_rig.state is State.HOLD
    gate_rig.run(0.1)
    assert gate_rig.state is State.ACTIVE


def test_commands_that_keep_breaking_off_do_not_resume_motion():
    gate_rig = started()
    gate_rig.run(0.1, command=False)
    for _ in range(10):
        gate_rig.run(0.15)
        gate_rig.run(0.07, command=False)
        assert gate_rig.state is State.HOLD


def test_without_auto_resume_a_person_selects_the_source_to_go_on():
    gate_rig = rig(auto_resume=False)
    gate_rig.gate.activate()
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and "select" in gate_rig.reason
    gate_rig.gate.select("policy")
    gate_rig.run(0.1)
    assert gate_rig.state is State.ACTIVE


def selected(source: str = "policy", **settings: object) -> GateRig:
    """A gate that does not go on by itself, driven by ``source``, which a person selected."""
    gate_rig = rig(auto_resume=False, **settings)  # type: ignore[arg-type]
    gate_rig.gate.activate()
    gate_rig.gate.select(source)
    gate_rig.run(1.0, source=source)
    assert gate_rig.state is State.ACTIVE, gate_rig.reason
    return gate_rig


@pytest.mark.parametrize(
    "interrupt",
    [
        lambda gate_rig: gate_rig.run(0.5, command=False),
        lambda gate_rig: gate_rig.run(0.07, measure=False),
        lambda gate_rig: (gate_rig.gate.deactivate(), gate_rig.gate.activate()),
    ],
    ids=["no commands", "no joint states", "another activation"],
)
def test_without_auto_resume_motion_that_was_interrupted_waits_for_a_person_each_time(interrupt):
    gate_rig = selected()
    for _ in range(2):
        interrupt(gate_rig)
        gate_rig.run(3.0)
        assert gate_rig.state is State.HOLD and "waiting for a person" in gate_rig.reason
        gate_rig.gate.select("policy")
        gate_rig.run(1.0)
        assert gate_rig.state is State.ACTIVE


def test_a_gap_before_motion_has_begun_does_not_take_back_what_a_person_selected():
    gate_rig = rig(auto_resume=False)
    gate_rig.gate.activate()
    gate_rig.gate.select("policy")
    gate_rig.run(0.1)
    gate_rig.run(0.2, command=False)
    gate_rig.run(1.0)
    assert gate_rig.state is State.ACTIVE


def test_without_auto_resume_a_clutch_that_opens_and_closes_needs_no_further_selection_but_lost_joint_states_do():
    gate_rig = selected("teleop")
    gate_rig.run(2.0, command=False)
    assert gate_rig.state is State.HOLD
    gate_rig.run(1.0, source="teleop")
    assert gate_rig.state is State.ACTIVE
    gate_rig.run(0.07, source="teleop", measure=False)
    gate_rig.run(2.0, source="teleop")
    assert gate_rig.state is State.HOLD and "waiting for a person" in gate_rig.reason


def test_without_auto_resume_a_persons_commands_that_are_refused_are_no_clutch_that_opens():
    gate_rig = selected("teleop")
    for _ in range(20):  # the stream never ends, and nobody opens or closes anything
        gate_rig.measure()
        gate_rig.command(gate_rig.home() + 1.5, "teleop")
        gate_rig.tick()
    assert gate_rig.state is State.HOLD and "refused" in gate_rig.reason
    gate_rig.run(3.0, source="teleop")
    assert gate_rig.state is State.HOLD and "waiting for a person" in gate_rig.reason


def test_a_gate_that_did_not_run_for_a_while_holds_the_robot_where_it_is_found_and_begins_anew():
    gate_rig = started(transition_s=0.0)
    target = gate_rig.home()
    target[0] += 0.9
    gate_rig.run(0.3, target)
    sagged = gate_rig.robot.copy()
    sagged[0] -= 0.6
    gate_rig.now_ns += 10 * 10**9
    gate_rig.robot = sagged
    before = len(gate_rig.judge.applied)
    assert gate_rig.tick() is None, "where the robot is now has not been measured yet"
    for _ in range(12):
        gate_rig.measure()
        gate_rig.command(target)
        gate_rig.tick()
    given = np.array(gate_rig.judge.applied[before:])
    assert len(given) == 12 and np.abs(given - sagged).max() < STILL
    assert gate_rig.state is State.HOLD and "stood still for 10 s" in gate_rig.reason
    gate_rig.run(0.5, sagged[gate_rig.columns])
    assert gate_rig.state is State.ACTIVE


def test_a_gate_that_did_not_run_for_a_moment_goes_on():
    gate_rig = started()
    gate_rig.now_ns += 80_000_000
    gate_rig.run(0.1)
    assert gate_rig.state is State.ACTIVE


def test_drives_that_damp_get_no_commands_because_somebody_says_stop():
    gate_rig = started()
    gate_rig.run(0.5, measure=False)
    assert gate_rig.state is State.DAMPED
    gate_rig.run(0.2)
    before = len(gate_rig.judge.applied)
    gate_rig.gate.stop()
    gate_rig.run(0.3)
    assert len(gate_rig.judge.applied) == before
    assert gate_rig.state is State.DAMPED and "stop was requested" in gate_rig.reason
    assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "reset")
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def test_lost_joint_states_hold_at_50_ms_and_damp_at_100_until_reset():
    gate_rig = started()
    gate_rig.run(0.06, measure=False)
    assert gate_rig.state is State.HOLD and "joint states" in gate_rig.reason
    gate_rig.run(0.05, measure=False)
    assert gate_rig.state is State.DAMPED
    gate_rig.run(0.3, measure=False)
    given = len(gate_rig.judge.applied)
    gate_rig.run(0.3, measure=False)
    assert len(gate_rig.judge.applied) == given, "once at rest, the drives' own damping rules"
    gate_rig.run(1.0)
    assert gate_rig.state is State.DAMPED
    assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "reset")
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def with_nan(gate_rig: GateRig) -> np.ndarray:
    """The pose, but for the left elbow."""
    broken = gate_rig.robot.copy()
    broken[3] = np.nan
    return broken


def test_a_joint_that_is_no_number_is_lost_as_soon_as_silence_is_and_named_until_good_states_and_a_reset():
    gate_rig = started()
    for ticks, state in ((5, State.ACTIVE), (2, State.HOLD), (6, State.DAMPED), (120, State.DAMPED)):
        for _ in range(ticks):
            gate_rig.measure(with_nan(gate_rig))
            gate_rig.command(gate_rig.home())
            gate_rig.tick()
        assert gate_rig.state is state, (ticks, gate_rig.reason)
    assert "joint states for 100 ms that can be used: " in gate_rig.reason
    assert "'left_elbow_pitch_joint'" in gate_rig.reason
    assert gate_rig.judge.violations()["not finite"] == 0
    refused, why = gate_rig.gate.reset(gate_rig.now_ns)
    assert not refused and "left_elbow_pitch_joint" in why
    gate_rig.run(0.5)
    assert gate_rig.state is State.DAMPED, "good joint states alone do not end it"
    assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "reset")
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE and gate_rig.reason == ""


def test_a_robot_whose_joint_states_are_broken_from_the_start_is_waited_for_by_the_name_of_the_joint():
    """The words stay the same while the fault does, so that they are told and logged once."""
    gate_rig = rig()
    gate_rig.gate.activate()
    beyond = gate_rig.robot.copy()
    said = set()
    for k in range(60):
        beyond[3] = 4.0 + 0.01 * k
        gate_rig.measure(beyond)
        assert gate_rig.tick() is None, "nothing is known of where the robot is"
        said.add(gate_rig.reason)
    assert gate_rig.state is State.HOLD and len(said) == 1
    assert "waiting for joint states: 'left_elbow_pitch_joint' = 4.000 rad" in said.pop()
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def run_unreadable(gate_rig: GateRig, seconds: float, *texts: str) -> set[str]:
    """Ticks with joint states that are refused for these reasons in turn; the gate's own reasons meanwhile."""
    said = set()
    for tick in range(round(seconds * 120)):
        gate_rig.gate.unreadable_state(gate_rig.now_ns, texts[tick % len(texts)])
        gate_rig.command(gate_rig.home())
        gate_rig.tick()
        said.add(gate_rig.reason)
    return said


def test_a_fault_of_another_joint_is_named_as_soon_as_it_is_the_cause_and_the_one_before_it_is_forgotten():
    gate_rig = started()
    run_unreadable(gate_rig, 0.01, "joint state: not finite: joint_1=nan")
    gate_rig.run(0.3)
    run_unreadable(gate_rig, 0.2, "joint state: not finite: joint_2=nan")
    assert gate_rig.state is State.DAMPED and "joint_2=nan" in gate_rig.reason and "joint_1" not in gate_rig.reason
    refused, why = gate_rig.gate.reset(gate_rig.now_ns)
    assert not refused and "joint_2=nan" in why
    assert "joint_2=nan" in gate_rig.gate.report(gate_rig.now_ns).joint_state_fault


def test_what_is_waited_for_is_the_fault_that_lasts_and_does_not_change_with_each_message():
    gate_rig = rig()
    gate_rig.gate.activate()
    first = "3 bytes are no joint state: they end 5 bytes too soon"
    assert len(run_unreadable(gate_rig, 0.2, first, first.replace("5", "12"), first.replace("3", "40"))) == 1
    both = run_unreadable(
        gate_rig, 2.0, "joint state: missing joint(s) joint_1", "joint state: missing joint(s) joint_2"
    )
    assert len(both) == 2, "the one before for half a second, then one of these two"
    said = run_unreadable(gate_rig, 8.0, "joint state: not finite: joint_3=nan")
    assert len(said) == 2 and "waiting for joint states: joint state: not finite: joint_3=nan" in gate_rig.reason


def test_a_broken_joint_state_among_good_ones_is_told_for_a_second_and_holds_nothing():
    gate_rig = started()
    gate_rig.measure(with_nan(gate_rig))
    gate_rig.run(0.5)
    report = gate_rig.gate.report(gate_rig.now_ns)
    assert report.state is State.ACTIVE and "left_elbow_pitch_joint" in report.joint_state_fault
    gate_rig.run(0.6)
    assert gate_rig.gate.report(gate_rig.now_ns).joint_state_fault == ""


def test_joint_states_that_break_off_before_any_motion_are_only_waited_for():
    """A simulator or driver that starts up may pause; nobody should have to reset for that."""
    gate_rig = rig()
    gate_rig.gate.activate()
    gate_rig.run(0.1)
    gate_rig.run(0.5, measure=False)
    given = len(gate_rig.judge.applied)
    gate_rig.run(0.5, measure=False)
    assert gate_rig.state is State.HOLD and len(gate_rig.judge.applied) == given
    moved = gate_rig.robot + 0.2
    gate_rig.robot = np.clip(moved, [j.lower_rad for j in GR1.joints], [j.upper_rad for j in GR1.joints])
    where = gate_rig.robot
    gate_rig.measure()
    assert (gate_rig.tick() == where).all()
    gate_rig.run(0.5)
    assert gate_rig.state is State.ACTIVE


def test_after_damping_the_first_command_is_the_pose_measured_then():
    gate_rig = started()
    gate_rig.run(0.5, measure=False)
    fallen = gate_rig.robot + 0.2
    gate_rig.robot = np.clip(fallen, [j.lower_rad for j in GR1.joints], [j.upper_rad for j in GR1.joints])
    gate_rig.run(0.1)
    where = gate_rig.robot
    gate_rig.gate.reset(gate_rig.now_ns)
    gate_rig.measure()
    assert (gate_rig.tick() == where).all()


def test_joint_states_with_old_stamps_do_not_count_as_fresh():
    gate_rig = started()
    stamp_ns = gate_rig.stamp_ns
    for _ in range(20):
        gate_rig.gate.joint_state(gate_rig.now_ns, GR1.joint_names, gate_rig.robot, stamp_ns)
        gate_rig.command(gate_rig.home())
        gate_rig.tick()
    assert gate_rig.state is State.DAMPED


def test_a_tick_that_comes_late_gives_waiting_messages_a_chance_first():
    gate_rig = started()
    gate_rig.now_ns += 80_000_000
    gate_rig.tick()
    assert gate_rig.state is State.ACTIVE, "the gate itself slept; the streams may be fine"
    gate_rig.run(0.1)
    assert gate_rig.state is State.ACTIVE


def test_a_gate_that_always_sleeps_still_notices_that_commands_stopped():
    gate_rig = started()
    for _ in range(4):
        gate_rig.now_ns += 40_000_000
        gate_rig.measure()
        gate_rig.tick()
    assert gate_rig.state is State.HOLD


def leapt(gate_rig: GateRig) -> None:
    gate_rig.robot = gate_rig.robot.copy()
    gate_rig.robot[1] += 0.9
    gate_rig.now_ns += 1_000_000


def test_a_simulation_reset_under_the_gate_is_taken_over_and_motion_resumes_from_there():
    gate_rig = started()
    leapt(gate_rig)
    gate_rig.measure()
    where = gate_rig.robot
    assert (gate_rig.tick() == where).all() and gate_rig.state is State.HOLD
    gate_rig.run(1.0, where[gate_rig.columns])
    assert gate_rig.state is State.ACTIVE and (gate_rig.robot == where).all()


def test_on_hardware_a_leap_of_the_pose_is_a_fault_and_the_held_pose_stays():
    gate_rig = started(profile="hardware")
    before = gate_rig.robot
    leapt(gate_rig)
    gate_rig.measure()
    assert np.abs(gate_rig.tick() - before).max() < STILL
    gate_rig.run(1.0)
    assert gate_rig.state is State.HOLD and "leapt" in gate_rig.reason
