# SPDX-License-Identifier: Apache-2.0
"""The planner's ticks settle just behind the pictures, and its rate stays its own."""

import numpy as np
import pytest

from gr00t_planner.camera_phase import CameraPhase

PERIOD_NS = 100_000_000
MS = 1_000_000


def _waits(camera_hz: float, begin_ms: float, seconds: int, jitter_ms: float = 1.0):
    """Waits [ms] of the newest picture at each tick, and the begins of the ticks [ns]."""
    rng = np.random.default_rng(0)
    camera = np.arange(1, (seconds + 2) * camera_hz) * 1e9 / camera_hz
    camera = np.sort(camera + rng.uniform(-jitter_ms, jitter_ms, len(camera)) * MS).astype(np.int64)
    phase, slot, told, begins, waits = CameraPhase(PERIOD_NS), round(1e9 + begin_ms * MS), 0, [], []
    for tick in range(10 * seconds):
        while camera[told] <= slot:
            phase.came(int(camera[told]))
            told += 1
        phase.ticked(slot)
        begins.append(slot)
        waits.append((slot - camera[told - 1]) / MS)
        slot += PERIOD_NS + (phase.move_ns() if tick % 10 == 9 else 0)
    return np.array(waits), np.array(begins)


@pytest.mark.parametrize("begin_ms", [0.0, 1.0, 12.0, 25.0, 37.0, 49.0])
@pytest.mark.parametrize("camera_hz", [10, 20, 30, 60])
def test_after_some_seconds_a_picture_waits_no_longer_than_it_must(camera_hz, begin_ms):
    waits, _ = _waits(camera_hz, begin_ms, 40)
    assert waits[-100:].max() < 7.0


@pytest.mark.parametrize("begin_ms", [1.0, 12.0, 25.0, 37.0, 49.0])
def test_after_the_first_move_already_when_the_camera_is_even(begin_ms):
    waits, _ = _waits(20, begin_ms, 3)
    assert waits[10:].max() < 7.0


def test_without_it_a_picture_waits_as_the_start_happens_to_be():
    waits, _ = _waits(20, 37.0, 1)
    assert waits.min() > 30.0


@pytest.mark.parametrize("camera_hz", [7, 15, 20, 24.9])
def test_after_the_first_move_the_rate_stays_within_half_a_percent_whatever_the_camera_does(camera_hz):
    _, begins = _waits(camera_hz, 37.0, 40)
    seconds = np.diff(begins[::10]) / 1e9
    assert abs(seconds[0] - 1.0) <= 0.051
    seconds = np.delete(seconds, np.flatnonzero(np.abs(seconds - 1.0) > 0.0051)[:1])
    assert np.abs(seconds - 1.0).max() <= 0.0051


def test_a_loop_begins_behind_the_last_picture():
    phase = CameraPhase(PERIOD_NS)
    assert phase.first_phase_ns is None
    phase.came(5 * MS)
    assert 5 * MS < phase.first_phase_ns < 10 * MS


@pytest.mark.parametrize(
    ("period_ns", "margin_ms"), [(100 * MS, 3.0), (50 * MS, 3.0), (20 * MS, 2.0), (16_666_667, 1.67)]
)
def test_the_margin_is_a_small_part_of_a_period(period_ns, margin_ms):
    phase = CameraPhase(period_ns)
    phase.came(5 * MS)
    assert phase.first_phase_ns == pytest.approx((5 + margin_ms) * MS, abs=0.01 * MS)


def test_a_camera_that_is_away_moves_nothing():
    phase = CameraPhase(PERIOD_NS)
    phase.came(MS)
    for tick in range(100):
        phase.ticked(10**9 + tick * PERIOD_NS)
        assert phase.move_ns() == 0
