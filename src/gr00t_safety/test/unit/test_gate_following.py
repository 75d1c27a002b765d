# SPDX-License-Identifier: Apache-2.0
"""A robot that is not where it is told to be: drives that an emergency stop took away, an arm that something holds."""

import numpy as np
import pytest

from gr00t_safety.ladder import State
from gr00t_safety.testing import GR1, GateRig, Vector, rig, started

KEPT = dict.fromkeys(("not finite", "position", "velocity", "acceleration"), 0)
ELBOW = GR1.joint_names.index("left_elbow_pitch_joint")
FINGER = GR1.joint_names.index("L_index_proximal_joint")
NEAR_RAD = 0.13


def without_drives(
    gate_rig: GateRig, seconds: float, to_rad: float, joint: int = ELBOW, target: Vector | None = None
) -> Vector:
    """One joint sinks at 1 rad/s, by ``to_rad`` in all, whatever it is told; the others obey. Where the robot is then (J,)."""
    start = gate_rig.robot[joint]
    robot = gate_rig.robot.copy()
    for tick in range(round(seconds * 1e9 / gate_rig.gate.tick_ns)):
        robot = gate_rig.robot.copy()
        robot[joint] = start + min((tick + 1) / 120, to_rad)
        gate_rig.measure(robot)
        if target is not None:
            gate_rig.command(target)
        gate_rig.tick()
    return robot


@pytest.mark.parametrize("is_stopped", [False, True], ids=["held", "stopped"])
def test_an_arm_that_sinks_without_drives_is_held_where_it_is_found_so_that_it_does_not_leap_back(is_stopped):
    gate_rig = rig(default_source="")
    gate_rig.gate.activate()
    gate_rig.run(0.4, command=False)
    if is_stopped:
        gate_rig.gate.stop()
    found = without_drives(gate_rig, 3.0, 1.2)
    assert gate_rig.state is (State.STOPPED if is_stopped else State.HOLD)
    assert abs(gate_rig.robot[ELBOW] - found[ELBOW]) < NEAR_RAD
    assert gate_rig.judge.violations() == KEPT
    if is_stopped:
        gate_rig.run(0.1)
        assert gate_rig.gate.reset(gate_rig.now_ns) == (True, "reset")
    else:
        assert "'left_elbow_pitch_joint' is 1.0" in gate_rig.reason and "are its drives on" in gate_rig.reason


def test_an_arm_that_does_not_follow_its_source_is_held_and_a_person_lets_it_move_again():
    gate_rig = rig(auto_resume=False, transition_s=0.0)
    gate_rig.gate.activate()
    gate_rig.gate.select("policy")
    gate_rig.run(0.6)
    assert gate_rig.state is State.ACTIVE, gate_rig.reason
    found = without_drives(gate_rig, 2.5, 0.8, target=gate_rig.home())
    assert gate_rig.state is State.HOLD and "does not follow" in gate_rig.reason
    assert abs(gate_rig.robot[ELBOW] - found[ELBOW]) < NEAR_RAD
    gate_rig.run(2.0, found[gate_rig.columns])
    assert gate_rig.state is State.HOLD and "waiting for a person" in gate_rig.reason
    gate_rig.gate.select("policy")
    gate_rig.run(0.6, gate_rig.robot[gate_rig.columns])
    assert gate_rig.state is State.ACTIVE, gate_rig.reason
    assert gate_rig.judge.violations() == KEPT


def test_in_a_dry_run_the_robot_is_not_told_to_follow():
    gate_rig = rig(dry_run=True, transition_s=0.0)
    gate_rig.gate.activate()
    gate_rig.run(0.6)
    without_drives(gate_rig, 2.5, 0.8, target=gate_rig.home())
    assert gate_rig.state is State.ACTIVE, gate_rig.reason


def test_a_person_who_selects_the_source_while_the_drives_are_off_is_told_what_is_waited_for():
    gate_rig = rig(auto_resume=False)
    gate_rig.gate.activate()
    gate_rig.gate.select("policy")
    gate_rig.run(0.6)
    found = without_drives(gate_rig, 1.2, 1.2, target=gate_rig.home())
    gate_rig.gate.select("policy")
    for _ in range(3):
        gate_rig.measure(found)
        gate_rig.command(gate_rig.home())
        gate_rig.tick()
    assert gate_rig.reason.endswith("waiting until 'left_elbow_pitch_joint' is where it is told to be")


def test_a_finger_that_cannot_close_further_and_an_arm_that_is_late_for_a_moment_hold_nothing():
    gate_rig = started()
    without_drives(gate_rig, 3.0, 1.2, FINGER, gate_rig.home())
    assert gate_rig.state is State.ACTIVE, gate_rig.reason
    without_drives(gate_rig, 0.9, 1.2, target=gate_rig.home())  # beyond 0.5 rad for 0.4 s of it
    assert gate_rig.state is State.ACTIVE, gate_rig.reason
    gate_rig = started()
    without_drives(gate_rig, 5.0, 0.45, target=gate_rig.home())
    assert gate_rig.state is State.ACTIVE, gate_rig.reason


def test_a_load_under_which_the_arm_hangs_a_little_is_not_followed_down():
    gate_rig = rig(default_source="")
    gate_rig.gate.activate()
    gate_rig.run(0.4, command=False)
    held = gate_rig.robot[ELBOW]
    without_drives(gate_rig, 5.0, 0.3)
    assert np.isclose(gate_rig.robot[ELBOW], held, atol=1e-9)


def test_a_hand_goes_on_holding_while_its_arm_does_not_follow():
    gate_rig = rig(default_source="")
    gate_rig.gate.activate()
    gate_rig.run(0.4, command=False)
    told = gate_rig.robot[FINGER]
    found = gate_rig.robot.copy()
    for tick in range(360):
        found[ELBOW] += (tick < 120) / 120
        found[FINGER] = told + 0.4  # what it holds keeps it from where it is told to be
        gate_rig.measure(found)
        gate_rig.tick()
    assert abs(gate_rig.robot[ELBOW] - found[ELBOW]) < NEAR_RAD
    assert gate_rig.robot[FINGER] == pytest.approx(told, abs=1e-9)
