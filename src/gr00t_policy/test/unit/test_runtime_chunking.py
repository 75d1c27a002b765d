# SPDX-License-Identifier: Apache-2.0
"""Laws of the chunk blender: absolute time, no jump, no re-anchoring, hostile input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunking import ChunkBlender

DT_S = 0.05
MS = 1_000_000


def chunk(stamp_ms: float, positions) -> ActionChunk:
    positions = np.asarray(positions, float)
    names = tuple(f"j{i}" for i in range(positions.shape[1]))
    return ActionChunk(round(stamp_ms * MS), DT_S, names, positions)


def line(stamp_ms: float, steps: int = 16) -> ActionChunk:
    """A chunk of the motion q(t) = t [s], whatever its stamp."""
    times = stamp_ms / 1e3 + DT_S * np.arange(steps)
    return chunk(stamp_ms, times[:, None])


def test_step_i_of_a_single_chunk_is_at_its_stamp_plus_i_steps():
    blender = ChunkBlender(1)
    values = np.random.default_rng(0).normal(size=(16, 1))
    blender.update(chunk(1000, values))
    for i in range(16):
        np.testing.assert_allclose(blender.sample(round((1000 + 50 * i) * MS)), values[i])
    np.testing.assert_allclose(blender.sample(1025 * MS), values[:2].mean(axis=0))


@given(st.lists(st.floats(1, 60), min_size=1, max_size=60), st.floats(0, 0.5))
@settings(max_examples=60, deadline=None)
def test_chunks_that_agree_give_the_motion_they_agree_on(gaps_ms, blend_time_s):
    blender = ChunkBlender(1, blend_time_s)
    now = 1000.0
    for gap in gaps_ms:
        now += gap
        blender.update(line(now))
        for ahead in (0, 7, 100, 700):
            np.testing.assert_allclose(blender.sample(round((now + ahead) * MS)), (now + ahead) / 1e3, atol=1e-6)


def test_a_different_new_chunk_moves_the_plan_gradually_and_fully_in_the_end():
    blender = ChunkBlender(1, blend_time_s=0.1)
    blender.update(chunk(0, np.zeros((16, 1))))
    values = []
    for tick in range(1, 121):
        now = tick * 1000 / 120
        blender.update(chunk(now, np.ones((16, 1))))
        values.append(float(blender.sample(round(now * MS))[0]))
    steps = np.diff([0.0, *values])
    assert steps.max() < 1.01 * (1 / 120) / 0.1 and steps.min() >= 0
    assert values[11] == pytest.approx(1 - np.exp(-1), abs=0.01)  # after one blend time
    assert values[-1] > 0.99


def test_smoothing_does_not_depend_on_how_often_chunks_come():
    ends = []
    for rate_hz in (20, 60, 120):
        blender = ChunkBlender(1, blend_time_s=0.2)
        blender.update(chunk(0, np.zeros((16, 1))))
        for tick in range(1, rate_hz // 5 + 1):
            blender.update(chunk(tick * 1000 / rate_hz, np.ones((16, 1))))
        ends.append(float(blender.sample(200 * MS)[0]))
    np.testing.assert_allclose(ends, 1 - np.exp(-1), atol=1e-3)


def test_a_late_chunk_uses_only_what_lies_ahead():
    blender = ChunkBlender(1)
    blender.update(line(1000))
    np.testing.assert_allclose(blender.sample(1300 * MS), 1.3)  # 300 ms after its stamp: not re-anchored


def test_the_last_target_is_held_when_chunks_stop_and_that_is_said():
    blender = ChunkBlender(1)
    blender.update(line(1000))
    assert not blender.exhausted(1700 * MS)
    assert blender.exhausted(1800 * MS)
    np.testing.assert_allclose(blender.sample(5000 * MS), 1.75)


def test_before_its_first_step_the_first_target_is_given():
    blender = ChunkBlender(1)
    blender.update(line(1000))
    np.testing.assert_allclose(blender.sample(900 * MS), 1.0)


def test_after_a_gap_the_new_chunk_is_taken_as_it_is():
    blender = ChunkBlender(1)
    blender.update(line(0))
    blender.update(chunk(5000, np.full((16, 1), 7.0)))
    np.testing.assert_allclose(blender.sample(5000 * MS), 7.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_chunk_that_is_not_finite_is_refused_whole_and_counted(bad):
    blender = ChunkBlender(1)
    blender.update(line(1000))
    values = np.ones((16, 1))
    values[9] = bad
    assert not blender.update(chunk(1050, values))
    assert blender.rejected == 1
    np.testing.assert_allclose(blender.sample(1100 * MS), 1.1)


def test_an_older_chunk_is_refused_but_a_clock_set_back_starts_a_new_time_line():
    blender = ChunkBlender(1)
    blender.update(line(10_000))
    assert not blender.update(line(9_950))
    assert blender.update(chunk(2_000, np.full((16, 1), 3.0)))
    np.testing.assert_allclose(blender.sample(2_000 * MS), 3.0)


def test_a_plan_that_ends_inside_the_new_chunk_is_continued_without_a_jump():
    blender = ChunkBlender(1, blend_time_s=10.0)
    blender.update(chunk(0, np.zeros((16, 1))))
    blender.update(chunk(400, np.full((16, 1), 1.0)))
    times = np.arange(400, 1150, 5)
    values = np.array([float(blender.sample(t * MS)[0]) for t in times])
    assert np.abs(np.diff(values)).max() < 0.02


def wave(stamp_ms: float, phase: float, steps: int = 16) -> ActionChunk:
    """A chunk with corners: a triangle wave of 0.3 s, shifted by ``phase`` seconds."""
    times = stamp_ms / 1e3 + DT_S * np.arange(steps) + phase
    return chunk(stamp_ms, np.abs((times / 0.3) % 2 - 1)[:, None])


def test_the_plan_is_the_average_of_chunks_on_absolute_time_with_nothing_smeared():
    """Re-gridding the old plan at every chunk would round its corners more each time."""
    blender, tau_s, gap_ms = ChunkBlender(1, blend_time_s=0.15), 0.15, 1000 / 120
    chunks, weights = [], []
    for tick in range(90):
        stamp_ms = 1000 + tick * gap_ms
        chunks.append(wave(round(stamp_ms * MS) / MS, phase=0.02 * np.sin(tick)))
        share = -np.expm1(-gap_ms / 1e3 / tau_s) if tick else 1.0
        weights = [weight * (1 - share) for weight in weights] + [share]
        blender.update(chunks[-1])
    for ahead_ms in (0, 15, 30, 45):
        time_ns = chunks[-1].stamp_ns + ahead_ms * MS
        values = [np.interp(time_ns, one.stamp_ns + 50 * MS * np.arange(16), one.positions[:, 0]) for one in chunks]
        assert float(blender.sample(time_ns)[0]) == pytest.approx(np.dot(weights, values), abs=0.012)


def test_a_chunk_that_comes_late_is_joined_without_a_jump():
    blender = ChunkBlender(1, blend_time_s=0.0)
    blender.update(chunk(1000, np.zeros((16, 1))))
    before = float(blender.sample(1200 * MS)[0])
    blender.update(chunk(1100, np.ones((16, 1))), now_ns=1200 * MS)
    values = [float(blender.sample((1200 + ms) * MS)[0]) for ms in range(0, 80, 2)]
    assert values[0] == pytest.approx(before, abs=0.01)
    assert np.abs(np.diff(values)).max() < 1.05 * 2 / 50
    assert values[-1] == pytest.approx(1.0)


def test_a_long_motion_at_the_stamps_of_a_real_clock_is_followed_to_the_microradian():
    blender, start_ms = ChunkBlender(1), 1.8e12
    for tick in range(1200):
        stamp_ns = round((start_ms + tick * 1000 / 120) * MS)
        times = (stamp_ns - round(start_ms * MS)) / 1e9 + DT_S * np.arange(16)
        blender.update(ActionChunk(stamp_ns, DT_S, ("j0",), times[:, None]))
        assert float(blender.sample(stamp_ns)[0]) == pytest.approx(times[0], abs=1e-6)
        assert float(blender.sample(stamp_ns + 400 * MS)[0]) == pytest.approx(times[8], abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.5, 120), st.floats(-1, 1)), min_size=2, max_size=60))
@settings(max_examples=60, deadline=None)
def test_targets_stay_within_those_of_the_chunks(steps):
    blender, now, seen = ChunkBlender(1, 0.1), 1000.0, []
    for gap_ms, value in steps:
        now += gap_ms
        seen.append(value)
        blender.update(chunk(now, np.full((16, 1), value)))
        for ahead_ms in (0, 33, 400, 900):
            sample = float(blender.sample(round((now + ahead_ms) * MS))[0])
            assert min(seen) - 1e-9 <= sample <= max(seen) + 1e-9
