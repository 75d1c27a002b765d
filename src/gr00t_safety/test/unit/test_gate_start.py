# SPDX-License-Identifier: Apache-2.0
"""The gate starts from the measured pose, gently, and only with healthy streams."""

import numpy as np

from gr00t_safety.ladder import State
from gr00t_safety.testing import GR1, rig, started


def test_an_inactive_gate_gives_nothing_to_the_robot():
    gate_rig = rig()
    gate_rig.run(0.5)
    assert gate_rig.judge.applied == [] and gate_rig.state is State.INACTIVE


def test_nothing_is_given_to_the_robot_before_its_pose_is_known():
    gate_rig = rig()
    gate_rig.gate.activate()
    gate_rig.run(0.5, measure=False)
    assert gate_rig.judge.applied == []
    assert gate_rig.state is State.HOLD and "waiting for joint states" in gate_rig.reason


def test_the_first_command_to_the_robot_is_its_measured_pose():
    measured = GR1.positions_by_name(GR1.home) + 0.123
    gate_rig = rig(np.clip(measured, [j.lower_rad for j in GR1.joints], [j.upper_rad for j in GR1.joints]))
    start = gate_rig.robot
    gate_rig.gate.activate()
    gate_rig.run(0.1)
    assert (gate_rig.judge.applied[0] == start).all()
    assert (gate_rig.judge.applied[-1] == start).all()


def test_motion_begins_after_a_healthy_time_and_gently():
    gate_rig = rig(healthy_s=0.2, transition_scale=0.5)
    gate_rig.gate.activate()
    target = gate_rig.home()
    target[0] += 0.45
    gate_rig.run(0.19, target)
    assert gate_rig.state is State.HOLD
    gate_rig.run(0.4, target)
    assert gate_rig.state is State.ACTIVE
    speed = np.abs(np.diff(np.array(gate_rig.judge.applied), axis=0)).max(axis=0)[0] * 120
    assert 0.9 < speed <= 0.5 * GR1.joints[0].max_velocity_rad_s


def test_limits_open_up_after_the_transition():
    gate_rig = started(transition_s=0.5)
    gate_rig.run(0.5)
    target = gate_rig.home()
    target[0] += 0.9
    before = len(gate_rig.judge.applied)
    gate_rig.run(0.5, target)
    speed = np.abs(np.diff(np.array(gate_rig.judge.applied[before:]), axis=0)).max(axis=0)[0] * 120
    assert speed > 1.9


def test_motion_does_not_begin_while_the_command_is_far_from_the_pose():
    gate_rig = rig(max_start_s=0.15)
    gate_rig.gate.activate()
    target = gate_rig.home()
    target[2] += 0.4
    gate_rig.run(1.0, target)
    assert gate_rig.state is State.HOLD
    assert "left_shoulder_yaw_joint" in gate_rig.reason and "0.40" in gate_rig.reason


def test_how_far_the_command_is_changes_the_reason_and_not_what_there_is_to_tell():
    gate_rig = rig()
    gate_rig.gate.activate()
    far, reasons, gists = gate_rig.home(), set(), set()
    for joint in (0, 1):
        far[0] = gate_rig.home()[0]
        for k in range(60):
            far[joint] = gate_rig.home()[joint] + 0.8 - 0.004 * k
            gate_rig.run(0.02, far)
            if "far" in gate_rig.reason:
                reasons.add(gate_rig.reason)
                gists.add(gate_rig.gate.gist)
    assert gate_rig.state is State.HOLD and len(reasons) > 40
    assert len(gists) == 2, "one for each joint"


def test_a_fast_joint_may_be_further_ahead_of_the_held_pose_than_a_slow_one():
    """The plan of a closing hand runs ahead of a robot that the gate still holds; 0.7 rad is 0.18 s of a finger."""
    finger = GR1.policy_joint_names.index("L_pinky_proximal_joint")
    near, far = rig(), rig()
    for gate_rig, distance_rad in ((near, 0.7), (far, 1.05)):
        gate_rig.gate.activate()
        target = gate_rig.home()
        target[finger] += distance_rad
        gate_rig.run(0.5, target)
    assert near.state is State.ACTIVE
    assert far.state is State.HOLD and "at most 1 rad" in far.reason


def test_permuted_names_move_the_robot_identically():
    order = np.random.default_rng(3).permutation(len(GR1.policy_joint_names))
    names = tuple(GR1.policy_joint_names[i] for i in order)
    straight, permuted = started(), started()
    rng = np.random.default_rng(4)
    for _ in range(200):
        target = straight.home() + rng.uniform(-0.2, 0.2, len(names))
        for gate_rig in (straight, permuted):
            gate_rig.measure()
        assert straight.command(target) is None
        assert permuted.command(target[order], names=names) is None
        assert (straight.tick() == permuted.tick()).all()


def test_joints_a_command_does_not_name_stay_where_they_are():
    gate_rig = started()
    neck = [GR1.joint_names.index(joint.name) for joint in GR1.joints if joint.group == "neck"]
    before = gate_rig.robot[neck]
    gate_rig.run(0.5, gate_rig.home() + 0.05)
    assert (gate_rig.robot[neck] == before).all()
