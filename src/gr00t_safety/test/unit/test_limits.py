# SPDX-License-Identifier: Apache-2.0
"""The limiter keeps its promise on every tick, and does not stand in the way of commands that need no limiting."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_safety.limits import JointLimiter, limiter_for

RATE_HZ = 120.0
LOWER, UPPER, VELOCITY, ACCELERATION = -1.0, 1.5, 2.0, 15.0
STEP, CHANGE = VELOCITY / RATE_HZ, ACCELERATION / RATE_HZ**2
LIMIT = STEP**2 / (2 * CHANGE)  # way to a stop from full speed, roughly

ROUNDING = 1e-12

hostile = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-3, 3)


def one_joint(start: float = 0.0) -> JointLimiter:
    limiter = JointLimiter(np.array([LOWER]), np.array([UPPER]), np.array([STEP]), np.array([CHANGE]))
    limiter.seed(np.array([start]))
    return limiter


def assert_promise_kept(path: np.ndarray) -> None:
    """path (T,): positions per tick, the first two being the start at rest."""
    assert np.isfinite(path).all()
    assert (path >= LOWER).all() and (path <= UPPER).all()
    assert np.abs(np.diff(path)).max() <= STEP
    assert np.abs(np.diff(path, n=2)).max() <= CHANGE


@settings(max_examples=100, deadline=None)
@given(start=st.floats(LOWER, UPPER), targets=st.lists(st.tuples(hostile, st.integers(1, 40)), min_size=1, max_size=20))
def test_bounds_hold_exactly_for_any_targets(start, targets):
    limiter = one_joint(start)
    path = [start, start]
    for target, ticks in targets:
        path += [limiter.follow(np.array([target]))[0] for _ in range(ticks)]
    assert_promise_kept(np.array(path))


@settings(max_examples=100, deadline=None)
@given(
    scales=st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.booleans()), min_size=5, max_size=60),
    seed=st.integers(0, 2**32 - 1),
)
def test_bounds_hold_when_scales_change_and_braking_starts_at_any_moment(scales, seed):
    rng = np.random.default_rng(seed)
    limiter, path = one_joint(), [0.0, 0.0]
    for speed, acceleration, brake in scales:
        target = rng.uniform(-3, 3, 1)
        for _ in range(rng.integers(1, 15)):
            path.append((limiter.brake() if brake else limiter.follow(target, speed, acceleration))[0])
    assert_promise_kept(np.array(path))


@given(start=st.floats(LOWER, UPPER), target=st.floats(LOWER, UPPER))
@settings(max_examples=50, deadline=None)
def test_a_constant_target_is_reached_exactly_without_overshoot(start, target):
    limiter = one_joint(start)
    path = np.array([limiter.follow(np.array([target]))[0] for _ in range(400)])
    assert path[-1] == target
    assert path.min() >= min(start, target) - ROUNDING and path.max() <= max(start, target) + ROUNDING


def test_full_speed_towards_a_limit_stops_at_the_limit_and_not_beyond():
    limiter = one_joint(-0.9)
    path = [limiter.follow(np.array([UPPER - 2.0 + 0.05 * k]))[0] for k in range(200)]
    path += [limiter.follow(np.array([50.0]))[0] for _ in range(200)]
    assert max(path) <= UPPER
    assert path[-1] == pytest.approx(UPPER, abs=1e-9)


def test_braking_from_full_speed_takes_no_longer_than_physics_asks():
    limiter = one_joint(-0.9)
    for _ in range(60):
        limiter.follow(np.array([UPPER]))
    start = limiter.positions[0]
    ticks = 0
    while not limiter.at_rest:
        limiter.brake()
        ticks += 1
    assert ticks / RATE_HZ <= VELOCITY / ACCELERATION + 1.5 / RATE_HZ
    assert limiter.positions[0] - start <= LIMIT + STEP


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_joints_that_move_together_brake_on_the_line_they_moved_along_as_soon_as_the_slowest_can(seed):
    rng = np.random.default_rng(seed)
    max_step, max_change = rng.uniform(0.01, 0.03, 5), rng.uniform(0.0005, 0.002, 5)
    limiter = JointLimiter(np.full(5, -9.0), np.full(5, 9.0), max_step, max_change)
    limiter.seed(np.zeros(5))
    for _ in range(rng.integers(2, 40)):
        before = limiter.positions
        limiter.follow(rng.uniform(-9.0, 9.0, 5) if rng.random() < 0.1 else np.full(5, 8.0))
    moving, step = limiter.positions, limiter.positions - before
    ticks = 0
    while not limiter.at_rest:
        limiter.brake()
        ticks += 1
    travelled = limiter.positions - moving
    assert 0.0 <= ticks - (np.abs(step) / max_change).max() <= 1.0 + 1e-6
    np.testing.assert_allclose(travelled, step * (travelled @ step) / (step @ step), atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), together_ticks=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_no_joint_brakes_longer_for_another_than_is_stated_and_those_that_need_longer_brake_alone(seed, together_ticks):
    rng = np.random.default_rng(seed)
    max_step, max_change = rng.uniform(0.01, 0.03, 5), rng.uniform(0.0003, 0.002, 5)
    limiter = JointLimiter(np.full(5, -9.0), np.full(5, 9.0), max_step, max_change, together_ticks)
    limiter.seed(np.zeros(5))
    for _ in range(rng.integers(2, 90)):
        before = limiter.positions
        limiter.follow(np.full(5, 8.0))
    step = limiter.positions - before
    own_ticks = step / max_change
    together = own_ticks <= together_ticks
    path = [before, limiter.positions]
    while not limiter.at_rest:
        path.append(limiter.brake())
    steps = np.diff(path, axis=0)
    assert (np.abs(np.diff(steps, axis=0)) <= max_change).all()
    took = np.count_nonzero(np.abs(steps) > 1e-12, axis=0)
    expected = np.where(together, own_ticks.max(where=together, initial=0.0), own_ticks)
    assert (np.abs(took - expected) <= 1.0 + 1e-6).all()
    in_proportion, alone = steps[:, together] / step[together], steps[:, ~together]
    np.testing.assert_allclose(in_proportion, in_proportion[:, :1].repeat(together.sum(), axis=1), atol=1e-9)
    np.testing.assert_allclose(alone[1:], np.maximum(alone[:-1] - max_change[~together], 0.0), atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_joint_that_needs_seconds_to_stop_does_not_keep_an_arm_moving(scale):
    """A robot of one's own. Tightened accelerations make the times of all joints longer alike."""
    gr1 = load_embodiment("gr1")
    slow = {"waist_yaw_joint": {"max_velocity_rad_s": 0.5, "max_acceleration_rad_s2": 0.25}}
    robot = replace(gr1, joints=tuple(replace(joint, **slow.get(joint.name, {})) for joint in gr1.joints))
    lift, arm, wrist = (
        robot.joint_names.index(f"{name}_joint") for name in ("waist_yaw", "left_shoulder_yaw", "left_wrist_yaw")
    )
    limiter, here = limiter_for(robot, 1 / RATE_HZ, acceleration_scale=scale), np.zeros(len(robot.joints))
    here[[lift, arm, wrist]] = -1.0, -2.9, -2.9
    limiter.seed(here)
    target = here.copy()
    for columns, value, seconds in ((lift, 1.0, 1.5 / scale), ([arm, wrist], 2.9, 0.5)):
        target[columns] = value
        for _ in range(round(seconds * RATE_HZ)):
            limiter.follow(target)
    path = [limiter.positions]
    while not limiter.at_rest:
        path.append(limiter.brake())
    steps = np.diff(path, axis=0)
    took_s = np.count_nonzero(steps, axis=0) / RATE_HZ
    assert took_s[lift] > 1.5
    assert took_s[arm] <= took_s[wrist] <= 0.15 / scale + 1.5 / RATE_HZ
    assert abs(path[-1][arm] - path[0][arm]) < 0.18 / scale
    np.testing.assert_allclose(steps[:10, arm] / steps[0, arm], steps[:10, wrist] / steps[0, wrist], atol=1e-9)


def test_after_braking_the_position_never_changes_again():
    limiter = one_joint()
    for _ in range(20):
        limiter.follow(np.array([1.0]))
    while not limiter.at_rest:
        limiter.brake()
    rest = limiter.positions
    assert all((limiter.brake() == rest).all() for _ in range(100))


def test_a_smooth_target_within_the_bounds_passes_without_change_or_delay():
    limiter, time_s = one_joint(), np.arange(0, 3, 1 / RATE_HZ)
    targets = 0.5 * np.sin(2.0 * time_s) ** 3  # speed 0.6 rad/s, acceleration at most 4.5 rad/s2
    outputs = np.array([limiter.follow(np.array([target]))[0] for target in targets])
    assert np.abs(outputs - targets).max() < 1e-12


def test_a_chunk_interpolated_between_20_hz_knots_is_followed_within_a_milliradian():
    """Corners of the interpolated chunk ask for more acceleration than allowed; catching up must not ring."""
    limiter = one_joint()
    knots = np.arange(0, 3, 0.05)
    chunk = 0.4 * (1 - np.cos(2.0 * knots))  # at most 0.8 rad/s and 1.6 rad/s2 between the corners
    time_s = np.arange(0, 2.9, 1 / RATE_HZ)
    targets = np.interp(time_s, knots, chunk)
    outputs = np.array([limiter.follow(np.array([target]))[0] for target in targets])
    assert np.abs(outputs - targets).max() < 1e-3


def test_a_moving_target_that_jumped_ahead_is_caught_up_and_then_followed_without_lag():
    limiter = one_joint()
    targets = np.minimum(0.4 + np.arange(240) * 0.5 * STEP, UPPER - 0.1)
    outputs = np.array([limiter.follow(np.array([target]))[0] for target in targets])
    assert np.abs(outputs - targets)[80:110].max() < 1e-9


def test_lowering_the_speed_scale_in_motion_brakes_within_the_acceleration_limit():
    limiter, path = one_joint(-0.9), [-0.9, -0.9]
    path += [limiter.follow(np.array([1.4]))[0] for _ in range(40)]
    path += [limiter.follow(np.array([1.4]), speed_scale=0.2)[0] for _ in range(60)]
    assert_promise_kept(np.array(path))
    assert abs(path[-1] - path[-2]) <= 0.2 * STEP


def test_a_joint_found_outside_its_limits_only_ever_moves_inwards():
    limiter = one_joint(UPPER + 0.2)
    path = np.array([limiter.follow(np.array([3.0]))[0] for _ in range(5)])
    assert (path == UPPER + 0.2).all() or (np.diff(path) <= 0).all()
    path = np.array([limiter.follow(np.array([0.0]))[0] for _ in range(300)])
    assert (np.diff(path) <= ROUNDING).all() and path[-1] == 0.0


def test_a_target_that_is_not_finite_makes_it_brake():
    limiter = one_joint()
    for _ in range(30):
        limiter.follow(np.array([1.0]))
    for _ in range(30):
        limiter.follow(np.array([np.nan]))
    assert limiter.at_rest


def test_joints_do_not_influence_each_other():
    robot = load_embodiment("gr1")
    together, rng = limiter_for(robot, 1 / RATE_HZ), np.random.default_rng(0)
    together.seed(np.zeros(32))
    alone = limiter_for(robot, 1 / RATE_HZ)
    alone.seed(np.zeros(32))
    for _ in range(200):
        target = rng.uniform(-2, 2, 32)
        only_third = np.where(np.arange(32) == 3, target, 0.0)
        assert together.follow(target)[3] == alone.follow(only_third)[3]


@pytest.mark.parametrize(
    "setting",
    [{"velocity_scale": 1.1}, {"acceleration_scale": 2.0}, {"velocity_scale": 0.0}, {"position_margin_rad": -0.1}],
)
def test_limits_can_be_tightened_but_not_loosened(setting):
    with pytest.raises(ConfigError, match="tightened"):
        limiter_for(load_embodiment("gr1"), 1 / RATE_HZ, **setting)


def test_limits_that_are_no_limits_are_refused():
    with pytest.raises(ConfigError, match="finite"):
        JointLimiter(np.array([0.0]), np.array([np.inf]), np.array([STEP]), np.array([CHANGE]))
    with pytest.raises(ConfigError, match="lower below upper"):
        JointLimiter(np.array([1.0]), np.array([0.0]), np.array([STEP]), np.array([CHANGE]))
