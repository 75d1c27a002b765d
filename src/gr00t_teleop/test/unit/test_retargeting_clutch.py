# SPDX-License-Identifier: Apache-2.0
"""Clutch, filters, outliers, ramp, calibration: each by the law it must keep."""

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_teleop.retargeting.calibration import ArmSpan, CalibrationError, heading, robot_span_m
from gr00t_teleop.retargeting.clutch import Clutch
from gr00t_teleop.retargeting.filters import CutOff, PoseFilter
from gr00t_teleop.retargeting.outliers import FROZEN_S, OutlierGate
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, rotation_vector, turn_about_z
from gr00t_teleop.retargeting.ramp import Ramp


def random_pose(rng: np.random.Generator) -> Pose:
    return Pose(rng.uniform(-1, 1, 3), rotation_from_vector(rng.uniform(-1.8, 1.8, 3)))


def test_the_frame_of_closing_gives_exactly_the_home_pose_wherever_the_hand_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        clutch, home = Clutch(), random_pose(rng)
        out = clutch.follow(
            random_pose(rng), turn_about_z(rng.uniform(-3, 3)), rng.uniform(0.5, 1.5), lambda home=home: home
        )
        assert out is home
        clutch.release()
        assert clutch.is_owed


def test_the_robot_moves_as_the_hand_does_seen_from_the_person() -> None:
    rng = np.random.default_rng(1)
    facing = turn_about_z(np.pi / 2)  # the person faces the frame's y
    clutch, home, origin = Clutch(), random_pose(rng), random_pose(rng)
    clutch.follow(origin, facing, 0.8, lambda: home)
    forward = Pose(
        origin.position + np.array([0, 0.1, 0]), rotation_from_vector(np.array([0, 0.3, 0])) @ origin.rotation
    )
    out = clutch.follow(forward, facing, 0.8, lambda: home)
    np.testing.assert_allclose(out.position, home.position + np.array([0.08, 0, 0]), atol=1e-12)
    np.testing.assert_allclose(rotation_vector(out.rotation @ home.rotation.T), [0.3, 0, 0], atol=1e-9)


def test_a_step_of_the_hand_while_the_latch_is_owed_never_shows() -> None:
    rng = np.random.default_rng(2)
    clutch, home = Clutch(), random_pose(rng)
    before = clutch.follow(random_pose(rng), np.eye(3), 1.0, lambda: home)
    clutch.release()
    after = clutch.follow(random_pose(rng), np.eye(3), 1.0, lambda: before)
    assert after is before


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0])
def test_a_steady_motion_comes_out_as_late_as_is_stated(speed: float) -> None:
    cut_off = CutOff(5.0, 20.0)
    smooth, dt_s = PoseFilter(cut_off, CutOff(5.0, 5.0)), 1 / 90
    for tick in range(300):
        x = speed * tick * dt_s
        true = Pose(np.array([x, 0, 0]), rotation_from_vector(np.array([0, 0, x])))
        out = smooth.step(true, dt_s)
    assert (x - out.position[0]) / speed == pytest.approx(cut_off.delay_s(speed), rel=0.02)
    assert smooth.delay_s() == pytest.approx(cut_off.delay_s(speed), rel=0.02)
    assert rotation_vector(true.rotation @ out.rotation.T)[2] / speed == pytest.approx(
        CutOff(5.0, 5.0).delay_s(speed), rel=0.02
    )


def test_tremble_is_smaller_after_the_filter_and_a_first_sample_is_not_changed() -> None:
    rng, smooth = np.random.default_rng(3), PoseFilter()
    noise = rng.normal(0, 0.001, (400, 3))
    first = Pose(noise[0], np.eye(3))
    assert smooth.step(first, 0.0) is first
    out = np.array([smooth.step(Pose(sample, np.eye(3)), 1 / 90).position for sample in noise[1:]])
    assert out.std() < 0.6 * noise.std()


def test_a_leap_costs_one_sample_and_a_frozen_tracker_is_seen() -> None:
    gate, there = OutlierGate(), np.array([0.5, 0, 0])
    assert gate.fault(Pose(np.zeros(3), np.eye(3)), 0.0) == ""
    assert gate.fault(Pose(np.array([0.03, 0, 0]), np.eye(3)), 0.011) == ""
    assert gate.fault(Pose(there, np.eye(3)), 0.022).startswith("leapt 0.47 m")
    assert gate.fault(Pose(there + 0.001, np.eye(3)), 0.033) == ""
    assert gate.fault(Pose(there + 0.001, rotation_from_vector(np.array([3.0, 0, 0]))), 0.044).startswith("turned")
    still = OutlierGate()
    faults = [still.fault(Pose(there, np.eye(3)), 0.01 * sample) for sample in range(60)]
    assert faults[int(100 * FROZEN_S) - 1] == "" != faults[-1]
    assert still.fault(Pose(there + 1e-5, np.eye(3)), 0.6) == ""


def test_a_ramp_arrives_within_a_period_and_goes_no_further() -> None:
    ramp, goal = Ramp(1 / 120), Pose(np.array([0.1, 0, 0]), rotation_from_vector(np.array([0, 0.2, 0])))
    assert ramp.tick() is None
    ramp.start(Pose(np.zeros(3), np.eye(3)))
    ramp.aim(goal, 1 / 60)
    steps = [ramp.tick() for _ in range(8)]
    path = np.array([step.pose.position[0] for step in steps if step is not None])
    assert (np.diff(path) >= 0).all()
    assert path[0] < 0.1 == path[1] == path[-1]
    np.testing.assert_allclose(sum(step.shift[0] for step in steps if step is not None), 0.1)


def test_the_heading_is_where_the_head_looks_along_the_floor() -> None:
    tilted = (
        turn_about_z(0.7) @ rotation_from_vector(np.array([0, 0.5, 0])) @ rotation_from_vector(np.array([0.2, 0, 0]))
    )
    found = heading(Pose(np.zeros(3), tilted))
    assert found is not None
    np.testing.assert_allclose(found, turn_about_z(0.7), atol=1e-9)
    assert heading(None) is None
    assert heading(Pose(np.zeros(3), rotation_from_vector(np.array([0, np.pi / 2, 0])))) is None


def test_an_arm_span_is_measured_and_what_is_none_is_refused_with_the_remedy() -> None:
    def sampled(apart_m: float, tilt_m: float = 0.0, wobble_m: float = 0.0, samples: int = 40) -> ArmSpan:
        span = ArmSpan()
        for sample in range(samples):
            half = (apart_m + wobble_m * np.sin(sample)) / 2
            span.offer(Pose(np.array([0, half, tilt_m]), np.eye(3)), Pose(np.array([0, -half, 0]), np.eye(3)))
        return span

    assert sampled(1.35, wobble_m=0.01).result_m() == pytest.approx(1.35, abs=0.01)
    for wrong, why in (
        (sampled(1.35, samples=5), "5 samples only"),
        (sampled(0.4), "stretch both arms"),
        (sampled(1.2, tilt_m=0.8), "stretch both arms"),
        (sampled(1.35, wobble_m=0.2), "hold the arms still"),
    ):
        with pytest.raises(CalibrationError, match=why):
            wrong.result_m()


def test_the_robots_span_is_that_of_its_description() -> None:
    assert robot_span_m(load_embodiment("gr1")) == pytest.approx(1.42, abs=0.01)
