# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics: it gets there, never beyond a limit, never through itself, and a held arm stands still."""

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import EmbodimentError
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.inverse_kinematics import (
    ROW_GAP_M,
    SIDES,
    VETO_GAP_M,
    InverseKinematics,
    WristTarget,
)
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, rotation_vector
from gr00t_teleop.retargeting.robot_pose import RobotPose
from gr00t_teleop.testing import JointJudge, WildMotion

GR1 = load_embodiment("gr1")
DT_S = 1 / 120


def made(*, use_waist: bool = False) -> InverseKinematics:
    solver = InverseKinematics(GR1, DT_S, use_waist=use_waist)
    solver.reset(np.array([GR1.home.get(name, 0.0) for name in solver.names]))
    return solver


def test_wrists_reach_poses_that_can_be_reached() -> None:
    solver, turn = made(), rotation_from_vector(np.array([0.1, 0.1, 0.1]))
    goals = {
        side: WristTarget(Pose(pose.position + shift, turn @ pose.rotation))
        for side in SIDES
        for pose in [solver.wrist(side)]
        for shift in [np.array([0.05, 0.03 if side == "left" else -0.03, 0.06])]
    }
    for _ in range(240):
        solver.step(goals)
    for side, goal in goals.items():
        found = solver.wrist(side)
        assert np.linalg.norm(found.position - goal.pose.position) < 5e-4
        assert np.linalg.norm(rotation_vector(goal.pose.rotation @ found.rotation.T)) < 5e-3


@pytest.mark.parametrize("use_waist", [False, True])
def test_wild_people_neither_break_a_limit_nor_make_the_robot_touch_itself(use_waist: bool) -> None:
    rng = np.random.default_rng(7)
    for _ in range(4):
        solver = made(use_waist=use_waist)
        judge = JointJudge(GR1, solver.names, DT_S, [solver.positions])
        people = {side: WildMotion(solver.wrist(side), rng, leap_chance=0.01) for side in SIDES}
        for tick in range(400):
            solver.step({side: WristTarget(person.at(tick * DT_S)) for side, person in people.items()})
            judge.path.append(solver.positions)
            solver.model.update(solver.positions)
            assert solver.collision.gaps().gaps.min() > VETO_GAP_M - 1e-6
        assert judge.violations() == {"not finite": 0, "position": 0, "velocity": 0, "acceleration": 0}
        assert solver.unsolved == 0


def test_what_was_prepared_changes_no_step_whatever_came_in_between() -> None:
    rng, plain, prepared = np.random.default_rng(8), made(), made()
    people = {side: WildMotion(plain.wrist(side), rng) for side in SIDES}
    for tick in range(300):
        goals = {side: WristTarget(person.at(tick * DT_S)) for side, person in people.items() if tick % 50 < 45}
        prepared.prepare()
        if tick % 3 == 0:  # where a wrist would be in another pose
            prepared.wrist("left", np.zeros(len(prepared.names)))
        if tick % 70 == 69:
            pose = 0.9 * plain.positions
            for solver in (plain, prepared):
                solver.reset(pose)
        np.testing.assert_array_equal(prepared.step(goals), plain.step(goals))
        np.testing.assert_array_equal(prepared.positions, plain.positions)


def test_parallel_hands_that_are_pulled_through_each_other_stop_before_they_touch() -> None:
    solver = made()
    rest = {side: solver.wrist(side) for side in SIDES}
    middle = (rest["left"].position + rest["right"].position) / 2 + [0.12, 0.0, 0.1]
    smallest, stood = np.inf, 0
    for tick in range(1200):
        apart = 0.225 * np.cos(2 * np.pi * 0.2 * tick * DT_S) * np.array([0.0, 1.0, 0.0])
        before = solver.positions
        solver.step(
            {
                side: WristTarget(Pose(middle + sign * apart, rest[side].rotation))
                for side, sign in (("left", 1), ("right", -1))
            }
        )
        solver.model.update(solver.positions)
        smallest = min(smallest, float(solver.collision.gaps().gaps.min()))
        stood += bool((solver.positions == before).all())
    assert smallest > ROW_GAP_M - 1e-3
    assert solver.vetoed == 0
    assert stood < 12  # it glides along the other hand instead of sticking


def hands_together(solver: InverseKinematics) -> None:
    """Brings the hands of a robot as near as the rows let them."""
    rest = {side: solver.wrist(side) for side in SIDES}
    middle = (rest["left"].position + rest["right"].position) / 2 + [0.12, 0.0, 0.1]
    for tick in range(360):
        goals = {side: WristTarget(Pose(middle, rest[side].rotation)) for side in SIDES}
        solver.step(goals if tick < 300 else {})


def closing(solver: InverseKinematics, by_m: float) -> np.ndarray:
    """A step (J,) that brings the nearest two parts about so much nearer."""
    solver.model.update_with_jacobians(solver.positions)
    near = solver.collision.nearest(solver.collision.gaps(), 1, 0.25)
    return -by_m * near.gradients[0] / (near.gradients[0] @ near.gradients[0])


@pytest.mark.parametrize(
    ("step_m", "brake_m", "of_step", "of_brake"),
    [
        (0.009, 0.004, 1.0, 0.0),
        (0.014, 0.003, 0.5, 0.5),
        (0.022, 0.003, 0.25, 0.75),
        (0.040, 0.004, 0.0, 1.0),
        (0.040, 0.015, 0.0, 0.5),
        (0.060, 0.030, 0.0, 0.0),
    ],
    ids=["free", "half way to braking", "most of the way", "braking", "half of braking", "none"],
)
def test_a_step_into_a_gap_is_shortened_towards_braking_and_only_then_beyond_it(step_m, brake_m, of_step, of_brake):
    solver = made()
    hands_together(solver)
    here, (step, brake) = solver.positions, (closing(solver, by_m) for by_m in (step_m, brake_m))
    before = solver.collision.gaps().gaps
    assert ROW_GAP_M - 1e-3 < before.min() < ROW_GAP_M + 2e-3
    solver.vetoed = 0
    taken, after = solver._checked(step, brake, before)
    np.testing.assert_array_equal(taken, of_step * step + of_brake * brake)
    np.testing.assert_array_equal(after, here + taken)
    assert solver.vetoed == (of_step < 1.0)
    solver.positions, solver.step_taken, solver._standing = after, taken, None
    solver.prepare()
    fresh = made()
    fresh.reset(after)
    fresh.prepare()
    np.testing.assert_array_equal(solver._standing.gaps, fresh._standing.gaps)
    np.testing.assert_array_equal(solver._standing.jacobians, fresh._standing.jacobians)
    assert solver._standing.gaps.min() >= VETO_GAP_M - 1e-6


class CarelessSolver(InverseKinematics):
    """Wants the nearest two parts to meet, as fast as joints may."""

    def _solve(self, hessian, gradient, low, high, near, rows=0):
        return -1e3 * near.gradients[near.gaps.argmin()]


def test_whatever_the_solver_wants_no_step_leads_nearer_than_the_veto_lets_it() -> None:
    solver = CarelessSolver(GR1, DT_S, use_waist=False)
    solver.reset(np.array([GR1.home.get(name, 0.0) for name in solver.names]))
    judge = JointJudge(GR1, solver.names, DT_S, [solver.positions])
    side = {side: WristTarget(solver.wrist(side)) for side in SIDES}
    for _ in range(240):
        solver.step(side)
        judge.path.append(solver.positions)
        solver.model.update(solver.positions)
        assert solver.collision.gaps().gaps.min() > VETO_GAP_M - 1e-6
    assert solver.vetoed > 0
    assert {**judge.violations(), "acceleration": 0} == dict.fromkeys(judge.violations(), 0)


def test_without_targets_nothing_moves_and_a_moving_arm_brakes_within_its_acceleration_limit() -> None:
    solver = made()
    side = "left"
    goal = WristTarget(Pose(solver.wrist(side).position + 0.15, solver.wrist(side).rotation))
    for _ in range(20):
        solver.step({side: goal})
    assert np.abs(solver.step_taken).max() > 1.0 * DT_S
    limit = np.array([GR1.joint(name).max_acceleration_rad_s2 for name in solver.names]) * DT_S**2
    for _ in range(60):
        last = solver.step_taken
        solver.step({})
        assert (np.abs(solver.step_taken - last) <= limit + 1e-9).all()
    stopped = solver.positions
    for _ in range(100):
        solver.step({})
    np.testing.assert_array_equal(solver.positions, stopped)


def test_an_arm_without_target_stands_exactly_still_while_the_other_one_moves_into_its_way() -> None:
    solver = made()
    rest = solver.positions[solver.columns["left_arm"]]
    goal = WristTarget(Pose(solver.wrist("left").position, solver.wrist("right").rotation))
    for _ in range(300):
        solver.step({"right": goal})
        np.testing.assert_array_equal(solver.positions[solver.columns["left_arm"]], rest)


def test_the_waist_moves_only_when_it_may() -> None:
    for use_waist in (False, True):
        solver = made(use_waist=use_waist)
        goals = {side: WristTarget(Pose(solver.wrist(side).position + 0.4, np.eye(3))) for side in SIDES}
        for _ in range(240):
            solver.step(goals)
        assert bool(solver.positions[solver.columns["waist"]].any()) is use_waist


def test_a_robot_whose_hanging_hands_touch_its_thighs_can_leave_and_never_goes_deeper() -> None:
    solver = made()
    goals = {side: WristTarget(solver.wrist(side)) for side in SIDES}
    solver.reset(np.zeros(len(solver.names)))
    solver.model.update(solver.positions)
    gap = float(solver.collision.gaps().gaps.min())
    assert gap < 0.0
    for _ in range(360):
        solver.step(goals)
        solver.model.update(solver.positions)
        assert solver.collision.gaps().gaps.min() >= min(gap, VETO_GAP_M) - 1e-6
        gap = float(solver.collision.gaps().gaps.min())
    assert gap > ROW_GAP_M


def test_positions_of_other_joints_are_refused() -> None:
    with pytest.raises(EmbodimentError, match="expected 17 positions"):
        made().reset(np.zeros(14))


def test_a_hand_pulled_to_the_shoulder_bends_no_elbow_so_far_that_the_wrist_meets_the_upper_arm() -> None:
    solver = made()
    back = np.array([-0.3, 0.0, 0.2])
    rest = {side: solver.wrist(side) for side in SIDES}
    goals = {side: WristTarget(Pose(pose.position + back, pose.rotation)) for side, pose in rest.items()}
    elbows = [solver.names.index(f"{side}_elbow_pitch_joint") for side in SIDES]
    path = np.array([solver.step(goals)[elbows] for _ in range(360)])
    assert path.min() > -2.1  # MuJoCo finds their hulls in contact from 2.12 rad on
    assert path.min() < -1.95


def test_work_done_ahead_and_questions_between_ticks_change_no_step() -> None:
    plain, ahead, asked = made(), made(), made()
    rng = np.random.default_rng(4)
    people = {side: WildMotion(plain.wrist(side), rng, leap_chance=0.01) for side in SIDES}
    for tick in range(400):
        goals = {side: WristTarget(person.at(tick * DT_S)) for side, person in people.items()}
        path = [solver.step(goals) for solver in (plain, ahead, asked)]
        np.testing.assert_array_equal(path[1], path[0])
        np.testing.assert_array_equal(path[2], path[0])
        ahead.prepare()
        asked.wrist("left", np.full(len(asked.names), -0.1))


def test_the_time_that_is_told_of_the_arms_has_what_was_prepared_in_it() -> None:
    ticks = iter(range(0, 10**9, 1_000_000))  # each look at this clock is a millisecond after the one before
    pose = RobotPose(GR1, RetargeterConfig(), lambda: next(ticks))
    pose.tick({}, 1.0)
    assert pose.arm_steps.percentiles().max_s == pytest.approx(0.001)
    pose.prepare()
    pose.tick({}, 1.0)
    assert pose.arm_steps.percentiles().max_s == pytest.approx(0.002)
    pose.tick({}, 1.0)
    assert sorted(pose.arm_steps.values()) == pytest.approx([0.001, 0.001, 0.002])
