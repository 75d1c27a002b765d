# SPDX-License-Identifier: Apache-2.0
"""Laws of all ways to join chunks, and what is particular to each."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_modes import make_plan
from gr00t_policy.runtime.config import CHUNK_MODES
from gr00t_policy.runtime.interpolation import INTERPOLATIONS, at_steps, slopes_at

MS = 1_000_000
DT_S = 0.05
ALL = pytest.mark.parametrize(("mode", "interpolation"), [(m, i) for m in CHUNK_MODES for i in INTERPOLATIONS])


def chunk(stamp_ms: float, positions) -> ActionChunk:
    positions = np.asarray(positions, float)
    positions = positions[:, None] if positions.ndim == 1 else positions
    return ActionChunk(round(stamp_ms * MS), DT_S, tuple(f"j{i}" for i in range(positions.shape[1])), positions)


def line(stamp_ms: float) -> ActionChunk:
    """A chunk of the motion q(t) = t [s], whatever its stamp."""
    return chunk(stamp_ms, stamp_ms / 1e3 + DT_S * np.arange(16))


def value(plan, time_ms: float) -> float:
    return float(plan.sample(round(time_ms * MS))[0])


@ALL
@given(gaps_ms=st.lists(st.floats(1, 120), min_size=1, max_size=30))
@settings(max_examples=15, deadline=None)
def test_chunks_that_agree_give_the_motion_they_agree_on(mode, interpolation, gaps_ms):
    plan, now = make_plan(mode, 1, interpolation=interpolation), 1000.0
    for gap in gaps_ms:
        now += gap
        plan.update(line(now), round((now - 30) * MS))
        for ahead in (0, 7, 100, 700):
            assert value(plan, now + ahead) == pytest.approx((now + ahead) / 1e3, abs=1e-6)


@ALL
def test_targets_stay_within_those_of_the_chunks(mode, interpolation):
    plan, rng, now = make_plan(mode, 1, interpolation=interpolation), np.random.default_rng(0), 1000.0
    for _ in range(60):
        now += rng.uniform(5, 120)
        plan.update(chunk(now, np.full(16, rng.uniform(-1, 1))), round((now - rng.uniform(-80, 50)) * MS))
        assert all(-1 - 1e-9 <= value(plan, now + ahead) <= 1 + 1e-9 for ahead in (0, 13, 333, 900))


@ALL
def test_what_is_not_finite_or_older_is_refused_and_the_last_target_is_held(mode, interpolation):
    plan = make_plan(mode, 1, interpolation=interpolation)
    assert plan.empty and plan.exhausted(0)
    plan.update(line(1000))
    assert not plan.update(chunk(1050, np.full(16, np.nan)))
    assert not plan.update(line(950))
    assert plan.rejected == 2
    assert value(plan, 5000) == pytest.approx(1.75)
    assert plan.update(chunk(5000, np.full(16, 7.0)))  # after a gap the new one is taken as it is
    assert value(plan, 5001) == pytest.approx(7.0)
    plan.reset()
    assert plan.empty


def test_names_that_nobody_knows_are_refused():
    with pytest.raises(ConfigError, match="chunk_mode.*'swap'.*rtc"):
        make_plan("swap", 1)
    with pytest.raises(ConfigError, match="interpolation"):
        make_plan("blend", 1, interpolation="spline")


def test_switching_follows_the_newest_chunk_alone():
    plan = make_plan("switch", 1)
    plan.update(chunk(0, np.zeros(16)))
    plan.update(chunk(100, np.ones(16)), 140 * MS)
    assert value(plan, 140) == 1.0


def test_the_ensemble_weighs_as_published_at_fifty_chunks_a_second():
    plan, firsts = make_plan("ensemble", 1), np.random.default_rng(1).normal(size=20)
    for index, first in enumerate(firsts):
        plan.update(chunk(20 * index, np.full(16, first)), round(20 * index * MS))
    weights = np.exp(-0.01 * np.arange(20))
    assert value(plan, 390) == pytest.approx(weights @ firsts / weights.sum())


def test_the_ensemble_counts_only_chunks_that_speak_of_the_time_asked_for():
    plan = make_plan("ensemble", 1)
    plan.update(chunk(0, np.zeros(16)))
    plan.update(chunk(300, np.ones(16)), 250 * MS)
    assert plan.begins_ns == 0
    assert value(plan, 260) == 0.0
    assert 0.4 < value(plan, 310) < 0.6
    assert value(plan, 800) == 1.0


def test_the_guide_holds_what_will_be_executed_and_lets_go_of_the_rest_little_by_little():
    plan = make_plan("rtc", 1)
    plan.update(line(0))
    guide = plan.guide(100 * MS, ready_ns=210 * MS)
    np.testing.assert_allclose(guide.positions[:, 0], np.minimum(0.1 + DT_S * np.arange(16), 0.75), atol=1e-9)
    assert (guide.weights[:3] == 1).all()  # 100, 150, 200 ms
    assert (np.diff(guide.weights[2:14]) < 0).all()
    assert (guide.weights[13:] == 0).all()  # from 750 ms on nothing was planned
    left = (750 - 250) / (750 - 210)
    assert guide.weights[3] == pytest.approx(left * math.expm1(left) / math.expm1(1))


def test_chunks_that_come_often_forget_the_plan_as_fast_as_chunks_that_come_seldom():
    for every_ms, share in ((10, 0.1), (100, 1.0), (400, 1.0)):
        plan = make_plan("rtc", 1)
        plan.update(line(0))
        left = (750 - (every_ms + 200)) / 750
        once = left * math.expm1(left) / math.expm1(1)
        assert plan.guide(every_ms * MS, ready_ns=0).weights[4] == pytest.approx(once**share)


def test_nothing_guides_the_first_chunk_nor_one_after_a_gap_nor_one_after_the_clock_was_set_back():
    plan = make_plan("rtc", 1)
    assert plan.guide(0, 0) is None
    plan.update(line(5000))
    assert plan.guide(7000 * MS, 7010 * MS) is None
    assert plan.guide(4000 * MS, 4010 * MS) is not None  # older chunks are refused, and continue nothing
    assert plan.guide(4000 * MS - 1, 4010 * MS) is None
    assert make_plan("blend", 1).guide(0, 0) is None


def test_a_chunk_that_heeds_its_guide_goes_on_without_a_step():
    plan = make_plan("rtc", 1)
    plan.update(chunk(0, np.sin(np.arange(16) / 4)))
    guide = plan.guide(200 * MS, ready_ns=330 * MS)
    other = np.random.default_rng(2).normal(size=16)
    heeding = guide.weights * guide.positions[:, 0] + (1 - guide.weights) * other
    before = [value(plan, t) for t in (300, 325, 330)]
    plan.update(chunk(200, heeding), 330 * MS)
    assert [value(plan, t) for t in (300, 325, 330)] == pytest.approx(before, abs=0.02)
    assert value(plan, 900) == pytest.approx(heeding[14])
    path = np.array([value(plan, t) for t in range(300, 900)])
    assert np.abs(np.diff(path)).max() < 1.2 * np.abs(np.diff(heeding)).max() / 50


@pytest.mark.parametrize("late_ms", [-60, -40, -20, 0, 30])  # after the new chunk's first step
@pytest.mark.parametrize("stamp_ms", [200, 203, 207, 211])
def test_what_two_chunks_differ_at_the_seam_is_passed_over_within_one_step(late_ms, stamp_ms):
    plan = make_plan("rtc", 1)
    plan.update(chunk(0, np.zeros(16)))
    plan.update(chunk(stamp_ms, np.ones(16)), (stamp_ms + late_ms) * MS)
    begins_ms = stamp_ms + max(late_ms, -12.5)
    assert value(plan, begins_ms - 12.5) == 0.0
    path = np.array([value(plan, t) for t in np.arange(begins_ms - 12.5, stamp_ms + 200, 2.5)])
    assert path[-1] == pytest.approx(1.0)
    assert value(plan, begins_ms + 50 + 12.5) == pytest.approx(1.0)
    assert np.diff(path).min() >= 0.0 and np.diff(path).max() <= 2.5 / 50 + 1e-9


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
@settings(max_examples=40, deadline=None)
def test_the_smooth_curve_goes_through_every_step_and_never_beyond_its_neighbours(values):
    points = np.array(values)[:, None]
    slopes = slopes_at(points)
    steps = np.arange(len(points), dtype=float)
    np.testing.assert_allclose(at_steps(points, steps, slopes), points, atol=1e-12)
    for step in np.arange(0, len(points) - 1, 0.1):
        low, high = sorted(points[int(step) : int(step) + 2, 0])
        assert low - 1e-9 <= at_steps(points, np.array([step]), slopes)[0, 0] <= high + 1e-9


def test_the_velocity_of_the_smooth_curve_has_no_steps_where_that_of_straight_lines_has():
    points = np.sin(np.arange(16) / 2)[:, None]
    fine = np.arange(0, 15, 0.01)
    bends = {
        name: np.abs(np.diff(at_steps(points, fine, slopes)[:, 0], n=2)).max()
        for name, slopes in (("linear", None), ("smooth", slopes_at(points)))
    }
    assert bends["smooth"] < 0.15 * bends["linear"]
