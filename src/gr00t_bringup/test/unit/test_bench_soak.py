# SPDX-License-Identifier: Apache-2.0
"""A leak is found; noise, warm-up, a step and a saw-tooth are not taken for one. What a sample says is true."""

import math
import os

import numpy as np
import pytest

from gr00t_bringup.bench.soak_plot import draw_soak
from gr00t_bringup.bench.soak_verdict import TIME, SoakLimits, growing, trends_of
from gr00t_bringup.bench.trend import Limit, Verdict, judge, robust_slope
from gr00t_bringup.bench.vital_signs import VitalSigns
from gr00t_bringup.cli import main
from gr00t_bringup.status import StackStatus

HOUR = np.arange(0.0, 3600.0, 5.0)  # s
LIMIT = Limit(per_hour=1.0, least=1.0)
SEEDS = range(40)


def noise(seed: int, alike: float = 0.0, size: float = 1.0) -> np.ndarray:
    """Noise of standard deviation ``size``, each value resembling the last by ``alike``."""
    fresh = np.random.default_rng(seed).normal(size=len(HOUR)) * size * math.sqrt(1 - alike**2)
    values = np.zeros(len(HOUR))
    for index in range(1, len(values)):
        values[index] = alike * values[index - 1] + fresh[index]
    return values


def found(values: np.ndarray) -> bool:
    return judge(HOUR, values, LIMIT, warm_up_s=120).verdict is Verdict.GROWS


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_a_leak_of_five_megabytes_an_hour_is_found_in_an_hour_of_noise(alike):
    assert all(found(200 + 5 * HOUR / 3600 + noise(seed, alike, size=0.5)) for seed in SEEDS)


def test_the_slope_is_right_and_its_interval_holds_it():
    for seed in SEEDS:
        trend = judge(HOUR, 200 + 5 * HOUR / 3600 + noise(seed, 0.5), LIMIT)
        assert trend.slope.low <= 5 <= trend.slope.high
        assert trend.slope.per_hour == pytest.approx(5, abs=0.7)


@pytest.mark.parametrize("alike", [0.0, 0.9, 0.98])
def test_noise_is_no_trend(alike):
    assert sum(found(200 + noise(seed, alike, size=3)) for seed in SEEDS) == 0


@pytest.mark.parametrize("memory_s", [30, 200, 600])
def test_a_warm_up_that_ends_is_no_trend(memory_s):
    assert not any(found(200 - 80 * np.exp(-HOUR / memory_s) + noise(seed, 0.5, size=0.2)) for seed in SEEDS)


def test_one_step_is_no_trend_wherever_it_is():
    for at in np.linspace(200, 3500, 25):
        assert not found(200 + 30 * (at < HOUR) + noise(int(at), size=0.1))


def test_a_saw_tooth_is_no_trend():
    assert not any(found(200 + 20 * (HOUR / period_s % 1)) for period_s in (60, 333, 700, 1100))


def test_memory_that_falls_is_no_trend():
    assert not found(200 - 5 * HOUR / 3600)


def test_one_handle_every_ten_minutes_is_found_and_three_in_all_are_not():
    limit = SoakLimits().of("handles/planner")
    assert judge(HOUR, 20 + HOUR // 600, limit).verdict is Verdict.GROWS
    assert judge(HOUR, 20 + np.minimum(HOUR // 300, 3), limit).verdict is Verdict.FLAT


def test_gaps_and_a_few_wild_values_change_nothing():
    values = 200 + 5 * HOUR / 3600 + noise(1, size=0.3)
    values[::7] = np.nan
    values[100] = 5000
    assert found(values)


def test_too_few_values_are_not_judged():
    assert judge([0, 1, 2], [1, 2, 3], LIMIT).verdict is Verdict.SHORT
    assert judge([], [], LIMIT).verdict is Verdict.SHORT
    assert judge(HOUR, np.full(len(HOUR), np.nan), LIMIT).verdict is Verdict.SHORT


def test_the_smallest_slope_that_a_run_could_have_seen_is_indeed_seen():
    flat = judge(HOUR, 200 + noise(3, 0.5), LIMIT)
    assert flat.verdict is Verdict.FLAT
    steep = 1.5 * flat.visible_per_hour
    assert found(200 + noise(3, 0.5) + steep * HOUR / 3600)


def test_a_slope_of_exact_values_is_exact():
    slope = robust_slope(np.arange(20.0), 3 + np.arange(20.0) / 3600)
    assert (slope.low, slope.per_hour, slope.high) == pytest.approx((1, 1, 1))


def test_what_grows_is_named_and_what_has_no_limit_may_grow():
    samples = [{TIME: t, "memory_mb/sim": 200 + t / 60, "memory_mb/planner": 100.0, "load_average": t} for t in HOUR]
    trends = trends_of(samples, SoakLimits(), warm_up_s=120)
    (words,) = growing(trends)
    assert words.startswith("memory_mb/sim grows by 60 an hour")
    assert growing(trends_of(samples, SoakLimits(memory_mb=70), 120)) == []


def test_a_picture_is_drawn_also_when_a_sensor_is_missing(tmp_path):
    samples = [{TIME: t, "memory_mb/sim": 200 + t / 60, "planner_rate_hz": math.nan} for t in HOUR[:50]]
    draw_soak(samples, trends_of(samples, SoakLimits(), 20), 20, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 10_000


def test_a_sample_counts_what_a_process_holds(tmp_path):
    signs = VitalSigns("me")
    before = signs.sample(StackStatus(ticks=100, deadline_misses=1), {})
    files = [(tmp_path / str(number)).open("w") for number in range(5)]
    after = signs.sample(StackStatus(ticks=300, deadline_misses=4), {"again": os.getpid()})
    for file in files:
        file.close()
    assert after["handles/me"] == after["handles/again"] == before["handles/me"] + 5
    assert after["threads/me"] >= 1
    assert 10 < after["memory_mb/me"] < 10_000
    assert after["deadline_misses_percent"] == pytest.approx(1.5)
    assert math.isnan(signs.sample(StackStatus(ticks=300), {})["deadline_misses_percent"])


def test_a_process_that_is_gone_leaves_a_gap_and_no_error():
    assert "memory_mb/gone" not in VitalSigns().sample(StackStatus(), {"gone": 2**22 + 1})


def test_a_run_too_short_to_judge_and_limits_below_zero_are_wrong_use(capsys):
    assert main(["bench", "soak", "--minutes", "1"]) == 2
    assert "too few to see a trend" in capsys.readouterr().err
    assert main(["bench", "soak", "--limits.memory-mb", "-1"]) == 2
