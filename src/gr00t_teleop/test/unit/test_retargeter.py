# SPDX-License-Identifier: Apache-2.0
"""The retargeter as a whole: no jump at any clutch, what is lost holds, silence stops, limits always."""

import numpy as np
import pytest
from operator_rig import GR1, HOME, OperatorRig

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.retargeting.command_times import CommandTimes
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.engagement import State
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, turn_about_z
from gr00t_teleop.testing import JointJudge, WildMotion

ARM = {side: [i for i, joint in enumerate(GR1.joints) if joint.group == f"{side}_arm"] for side in ("left", "right")}


def names_of(side: str) -> list[str]:
    return [GR1.joint_names[column] for column in ARM[side]]


def arm(rig: OperatorRig, side: str) -> np.ndarray:
    newest = rig.commands[-1]
    return np.array([newest.positions[newest.joint_names.index(name)] for name in names_of(side)])


def shifted(pose: Pose | None, by: tuple[float, float, float]) -> Pose:
    assert pose is not None
    return Pose(pose.position + np.array(by), pose.rotation)


def test_nothing_is_commanded_before_the_clutch_is_closed() -> None:
    rig = OperatorRig()
    rig.run(50, engaged=False)
    assert (rig.commands, rig.state) == ([], State.DISENGAGED)


def test_closing_the_clutch_moves_nothing_and_then_the_hand_moves_the_wrist() -> None:
    rig = OperatorRig()
    rig.engage()
    np.testing.assert_allclose(arm(rig, "left"), HOME[ARM["left"]], atol=1e-4)
    before = rig.retargeter.pose.arms.wrist("left").position
    rig.wrists["left"] = shifted(rig.wrists["left"], (0.02, 0.0, 0.0))
    rig.run(40)
    rig.wrists["left"] = shifted(rig.wrists["left"], (0.02, 0.0, 0.0))
    rig.run(200)
    moved = rig.retargeter.pose.arms.wrist("left").position - before
    np.testing.assert_allclose(moved, [0.04, 0, 0], atol=2e-3)
    np.testing.assert_allclose(arm(rig, "right"), HOME[ARM["right"]], atol=1e-4)


def test_a_sample_that_is_read_when_it_comes_commands_what_one_read_by_the_tick_does() -> None:
    paths = []
    for reads_at_once in (True, False):
        rig, rng = OperatorRig(use_fingers=True), np.random.default_rng(5)
        rig.reads_at_once = reads_at_once
        rig.engage()
        for _ in range(150):
            rig.wrists = {side: shifted(pose, tuple(rng.normal(0.0, 0.004, 3))) for side, pose in rig.wrists.items()}
            rig.fingers = {side: rng.uniform(0.0, 0.6, 6) for side in rig.fingers}
            rig.step(send=rng.random() < 0.7, engaged=rng.random() < 0.98)
        paths.append([command.positions for command in rig.commands])
    assert len(paths[0]) > 50
    np.testing.assert_array_equal(*paths)


def test_a_thousand_random_clutches_and_drop_outs_never_step_the_command() -> None:
    """Whatever the hands did while the clutch was open or they were out of sight, it never shows."""
    rig = OperatorRig(settle_s=0.02, gentle_s=0.0)
    rig.engage()
    rng = np.random.default_rng(1)
    judge = JointJudge(GR1, rig.retargeter.names, 1 / 120)
    places = {side: np.zeros(3) for side in ("left", "right")}
    for _ in range(1000):
        for side in ("left", "right"):
            way = rng.normal(size=3)
            places[side] = places[side] + way / np.linalg.norm(way) * rng.uniform(0.25, 1.0)
            turn = rotation_from_vector(rng.uniform(-1.5, 1.5, 3))
            rig.wrists[side] = None if rng.random() < 0.2 else Pose(places[side], turn)
        engaged = bool(rng.random() < 0.6)
        before = rig.retargeter.pose.positions
        rig.run(int(rng.integers(1, 12)), engaged=engaged, send=bool(rng.random() < 0.9))
        if rig.commands:
            judge.path.append(rig.commands[-1].positions)
        # The hand stands still after its leap; an arm that followed the leap would be 0.07 rad away after 11 ticks.
        assert np.abs(rig.retargeter.pose.positions - before)[ARM["left"] + ARM["right"]].max() < 0.005
    assert len(judge.path) > 500
    assert judge.violations()["position"] == 0


def test_limits_hold_at_every_clutch_of_a_person_who_never_stands_still() -> None:
    rig = OperatorRig(settle_s=0.02, gentle_s=0.1, use_fingers=True)
    rng = np.random.default_rng(2)
    people = {side: WildMotion(pose, rng) for side, pose in rig.wrists.items() if pose is not None}
    judge = JointJudge(GR1, rig.retargeter.names, 1 / 120)
    engaged = True
    for tick in range(800):
        engaged = engaged if rng.random() > 0.02 else not engaged
        for side, person in people.items():
            rig.wrists[side] = None if rng.random() < 0.01 else person.at(tick / 120)
        rig.fingers = {side: rng.uniform(0.0, 1.0, 6) for side in ("left", "right")}
        command = rig.step(engaged=engaged)
        if command is None:
            assert set(judge.violations().values()) <= {0} if len(judge.path) > 1 else True
            judge.path = []
        else:
            judge.path.append(command.positions)


def test_a_hand_out_of_sight_holds_its_arm_says_so_and_takes_up_where_it_is_seen_again() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.wrists["left"] = None
    rig.run(1)
    assert (rig.state, rig.reason) == (State.HOLDING, "left hand not tracked: held")
    rig.run(30)
    held = arm(rig, "left")
    rig.run(120)
    np.testing.assert_array_equal(arm(rig, "left"), held)
    rig.wrists["left"] = Pose(np.array([-0.2, 0.5, 0.7]), rotation_from_vector(np.array([1.0, 0.5, 0.0])))
    rig.run(100)
    assert rig.state is State.ENGAGED
    np.testing.assert_allclose(arm(rig, "left"), held, atol=1e-3)


@pytest.mark.parametrize("by_gate", [False, True])
def test_ahead_is_where_the_head_looked_when_driving_began_also_for_a_hand_that_was_lost_meanwhile(
    by_gate: bool,
) -> None:
    rig = OperatorRig()
    assert rig.head is not None
    looks = {yaw: Pose(rig.head.position, turn_about_z(yaw)) for yaw in (0.0, 0.3, 0.7)}
    rig.head = looks[0.0]
    if by_gate:
        rig.retargeter.gate("the gate's source is 'policy', not 'teleop'", rig.now_ns)
        rig.step(engaged=False)
        rig.run(60)
        rig.head = looks[0.3]
        rig.run(60)
        rig.retargeter.gate("", rig.now_ns)
    else:
        rig.head = looks[0.3]
        rig.engage()
    rig.run(130)
    rig.head, hand, rig.wrists["right"] = (
        looks[0.7],
        rig.wrists["right"],
        None,
    )  # looks aside, which takes a hand out of sight
    rig.run(10)
    rig.wrists["right"] = hand
    rig.run(20)
    before = {side: rig.retargeter.pose.arms.wrist(side).position for side in rig.wrists}
    for _ in range(10):
        rig.wrists = {side: shifted(pose, (0.004, 0.0, 0.0)) for side, pose in rig.wrists.items()}
        rig.run(2)
    rig.run(100)
    for side, place in before.items():
        moved = rig.retargeter.pose.arms.wrist(side).position - place
        np.testing.assert_allclose(moved, turn_about_z(-0.3) @ [0.04, 0, 0], atol=2e-3, err_msg=side)


def test_silence_holds_after_100_ms_and_disengages_after_half_a_second() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.wrists["right"] = shifted(rig.wrists["right"], (0.02, 0, 0))
    rig.run(3)
    rig.run(13, send=False)
    assert rig.state is State.HOLDING
    assert rig.reason.startswith("no samples for 1")
    rig.run(15, send=False)
    held = arm(rig, "right")
    rig.run(15, send=False)
    np.testing.assert_array_equal(arm(rig, "right"), held)
    rig.run(30, send=False)
    assert rig.state is State.DISENGAGED
    assert "open the clutch" in rig.reason
    commanded = len(rig.commands)
    rig.run(30)
    assert len(rig.commands) == commanded  # the clutch was never opened


def test_a_silent_robot_gets_no_commands_until_a_person_engages_again() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.run(11, measure=False)
    commanded = len(rig.commands)
    rig.run(20, measure=False)
    rig.run(20)
    assert len(rig.commands) - commanded <= 2
    assert (rig.state, rig.reason.split(" for ")[0]) == (State.DISENGAGED, "no joint states")
    rig.engage()


def test_a_robot_that_does_not_follow_disengages() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.robot = HOME.copy()
    rig.robot[ARM["left"][0]] += 0.7
    stuck = rig.robot.copy()
    for _ in range(70):
        rig.robot = stuck.copy()
        rig.step()
    assert rig.state is State.DISENGAGED
    assert "does not follow" in rig.reason


def test_while_the_gate_does_not_pass_commands_on_the_pose_waits_and_what_the_hand_does_never_shows() -> None:
    rig = OperatorRig()
    rig.retargeter.gate("the gate waits: no commands", rig.now_ns)
    rig.step(engaged=False)
    for _ in range(100):
        rig.wrists["left"] = shifted(rig.wrists["left"], (0.003, 0, 0))
        rig.step()
        np.testing.assert_array_equal(rig.commands[-1].positions, rig.commands[0].positions)
    assert (rig.state, rig.reason) == (State.HOLDING, "the gate waits: no commands")
    rig.retargeter.gate("", rig.now_ns)
    before = arm(rig, "left")
    rig.run(30)
    assert rig.state is State.ENGAGED
    np.testing.assert_allclose(arm(rig, "left"), before, atol=1e-4)


@pytest.mark.parametrize("flickers", [False, True])
def test_a_sagging_arm_neither_turns_nor_sinks_further_at_each_clutch_or_each_time_that_the_hand_is_seen_again(
    flickers: bool,
) -> None:
    """Home is the commanded pose: an error of tracking must not add up."""
    rig = OperatorRig(settle_s=0.02, gentle_s=0.0)
    rig.engage()
    rig.sag[ARM["left"][0]], rig.sag[ARM["left"][4]] = 0.02, 0.05  # shoulder pitch: 1 cm at the wrist; wrist yaw
    before = rig.retargeter.pose.arms.wrist("left")
    for _ in range(10):
        hand = rig.wrists["left"]
        rig.wrists["left"] = None if flickers else hand
        rig.run(1 if flickers else 20, engaged=flickers)
        rig.wrists["left"] = hand
        rig.run(20)
    after = rig.retargeter.pose.arms.wrist("left")
    np.testing.assert_allclose(after.position, before.position, atol=0.005)
    assert np.arccos(np.clip((np.trace(after.rotation @ before.rotation.T) - 1) / 2, -1, 1)) < 0.01


def test_a_clutch_that_closes_again_while_the_arm_is_still_on_its_way_does_not_call_it_back() -> None:
    rig = OperatorRig(settle_s=0.05, gentle_s=0.0)
    rig.engage()
    rig.gain = 0.04  # a robot that lags by a quarter of a second
    for _ in range(30):
        rig.wrists["left"] = shifted(rig.wrists["left"], (0.01, 0.004, 0.006))
        rig.step()
    last = rig.commands[-1].positions
    assert rig.retargeter.pose.arm_lead_rad(rig.robot) > rig.retargeter.config.own_pose_rad
    rig.run(2, engaged=False)
    rig.run(1)
    np.testing.assert_array_equal(rig.commands[-1].positions, last)


def test_a_robot_that_others_have_moved_meanwhile_is_taken_up_where_it_is() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.run(120, engaged=False)
    rig.robot[ARM["left"][0]] -= 0.8
    rig.run(1)
    np.testing.assert_allclose(arm(rig, "left"), rig.robot[ARM["left"]], atol=1e-9)


def test_old_samples_are_not_followed() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.wrists["left"] = shifted(rig.wrists["left"], (0.03, 0, 0))
    before = arm(rig, "left")
    rig.run(60, age_s=0.3)
    np.testing.assert_allclose(arm(rig, "left"), before, atol=1e-3)
    assert rig.state is State.HOLDING
    assert "too old" in rig.reason


def test_stop_ends_commands_until_it_is_released_and_the_clutch_closed_anew() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.retargeter.stop("a person stopped")
    commanded = len(rig.commands)
    rig.run(20)
    rig.run(5, engaged=False)
    rig.run(20)
    assert (len(rig.commands), rig.state) == (commanded, State.STOPPED)
    rig.retargeter.engagement.release()
    rig.engage()


def test_fingers_follow_and_hold_when_out_of_sight() -> None:
    rig = OperatorRig(gentle_s=0.0, use_fingers=True)
    rig.engage()
    rig.fingers = {"left": np.array([1.2, 1.2, 1.2, 1.2, 0.2, 0.1]), "right": np.full(6, 0.0)}
    rig.run(120)
    names = [f"L_{finger}_proximal_joint" for finger in ("pinky", "ring", "middle", "index")]
    closed = [rig.commands[-1].positions[rig.commands[-1].joint_names.index(name)] for name in names]
    assert min(closed) > 1.0
    rig.wrists["left"] = None
    rig.run(60)
    assert [rig.commands[-1].positions[rig.commands[-1].joint_names.index(name)] for name in names] == pytest.approx(
        closed, abs=0.05
    )


def test_the_neck_follows_the_head_only_when_it_may() -> None:
    for use_head in (False, True):
        rig = OperatorRig(use_head=use_head)
        rig.engage()
        rig.head = Pose(np.array([0.0, 0.0, 1.6]), rotation_from_vector(np.array([0.0, 0.0, 0.4])))
        rig.run(240)
        command = rig.commands[-1]
        assert ("head_yaw_joint" in command.joint_names) is use_head
        if use_head:
            assert command.positions[command.joint_names.index("head_yaw_joint")] == pytest.approx(0.4, abs=0.03)


def test_calibration_scales_what_the_arms_do() -> None:
    rig = OperatorRig()
    rig.run(3, engaged=False)
    rig.wrists = {side: Pose(np.array([0, sign * 0.6, 1.3]), np.eye(3)) for side, sign in (("left", 1), ("right", -1))}
    assert rig.retargeter.calibrate(rig.now_ns) == ""
    rig.run(10)
    assert rig.state is State.CALIBRATING
    rig.run(260, engaged=False)
    assert rig.reason.startswith("calibrated: arm span 1.20 m")
    assert rig.retargeter.scale == pytest.approx(1.42 / 1.2, abs=0.01)


def test_commands_answer_the_newest_joint_state_and_each_is_for_a_later_time() -> None:
    rig = OperatorRig()
    rig.engage()
    rig.run(3, measure=False)
    rig.run(3)
    reach = [command.stamp_ns for command in rig.commands]
    assert (np.diff(reach) > 0).all()
    assert rig.retargeter.answers_ns == rig.stamp_ns < reach[-1]


def test_commands_are_a_tick_apart_though_joint_states_arrive_unevenly() -> None:
    rng, tick_ns = np.random.default_rng(0), 8_333_333
    times = CommandTimes(tick_ns)
    late_ns = rng.integers(0, 6_000_000, 400)
    reach = [times.next_ns(tick * tick_ns, int(late)) for tick, late in enumerate(late_ns)]
    assert np.abs(np.diff(reach) - tick_ns)[1:].max() < 0.02 * tick_ns
    assert abs(reach[-1] - 400 * tick_ns - 3_000_000) < 1_000_000
    assert times.next_ns(10**12, 0) == 10**12 + tick_ns  # the clock was set, or ticks were skipped


def test_lost_and_refused_samples_are_counted() -> None:
    rig = OperatorRig()
    rig.run(5, engaged=False)
    for _ in range(3):
        rig.sample(engaged=False)  # never arrives
    rig.run(1, engaged=False)
    rig.wrists["left"] = None
    rig.run(2, engaged=False)
    report = rig.retargeter.report(rig.now_ns, rig.stamp_ns)
    assert (report.samples, report.lost, report.rejected) == (6, 3, 2)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="operator_hold_s"):
        RetargeterConfig(operator_hold_s=0.6)
