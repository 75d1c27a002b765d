# SPDX-License-Identifier: Apache-2.0
"""A leak is found; noise, warm-up, a step and a saw-tooth are not taken for one. What a sample says is true."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from gr00t_bringup.bench import soak
from gr00t_bringup.bench.soak_levels import SoakLevels, levels_lost
from gr00t_bringup.bench.soak_plot import draw_soak
from gr00t_bringup.bench.soak_verdict import TIME, SoakLimits, getting_worse, trends_of
from gr00t_bringup.bench.trend import Limit, Verdict, judge, robust_slope
from gr00t_bringup.bench.vital_signs import VitalSigns
from gr00t_bringup.cli import main
from gr00t_bringup.status import StackStatus
from gr00t_policy.core.errors import Gr00tError

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
    (words,) = getting_worse(trends)
    assert words.startswith("memory_mb/sim grows by 60 an hour")
    assert getting_worse(trends_of(samples, SoakLimits(memory_mb=70), 120)) == []


HEALTHY = {
    "planner_rate_hz": (10.0, 0.02),
    "control_rate_hz": (120.0, 0.1),
    "head_rate_hz": (120.0, 0.1),
    "real_time_factor": (1.0, 0.002),
    "head_p99_ms": (2.4, 0.2),
    "image_to_command_p95_ms": (29.0, 3.0),
    "joint_state_to_command_p99_ms": (5.5, 0.2),
    "deadline_misses_percent": (0.01, 0.02),
    "memory_mb/planner": (180.0, 0.05),
}  # mean and noise of an hour in which nothing happens


def hour(drifts: dict[str, float], seed: int = 0) -> list[dict[str, float]]:
    """Samples of a healthy hour in which each of ``drifts`` goes to its mean plus so much by the end."""
    series = {
        name: mean + drifts.get(name, 0.0) * HOUR / 3600 + noise(100 * seed + place, 0.5, size)
        for place, (name, (mean, size)) in enumerate(HEALTHY.items())
    }
    return [
        {TIME: float(at), **{name: float(values[i]) for name, values in series.items()}} for i, at in enumerate(HOUR)
    ]


def worse(samples: list[dict[str, float]]) -> list[str]:
    return [words.partition(" by ")[0] for words in getting_worse(trends_of(samples, SoakLimits(), 120))]


def test_a_healthy_hour_fails_nothing_however_it_wobbles():
    assert [worse(hour({}, seed)) for seed in range(12)] == [[]] * 12


@pytest.mark.parametrize(
    ("name", "drift", "words"),
    [
        ("control_rate_hz", -10.0, "falls"),
        ("head_rate_hz", -10.0, "falls"),
        ("planner_rate_hz", -0.5, "falls"),
        ("real_time_factor", -0.1, "falls"),
        ("head_p99_ms", 2.0, "grows"),
        ("image_to_command_p95_ms", 40.0, "grows"),
        ("joint_state_to_command_p99_ms", 3.0, "grows"),
        ("deadline_misses_percent", 2.0, "grows"),
        ("memory_mb/planner", 3.0, "grows"),
    ],
)
def test_each_figure_fails_the_run_when_it_slides_to_the_worse_and_never_when_to_the_better(name, drift, words):
    assert all(worse(hour({name: drift}, seed)) == [f"{name} {words}"] for seed in range(3))
    assert worse(hour({name: -drift})) == []


def stepped(at_s: float, until_s: float = 1e9, **levels: float) -> list[dict[str, float]]:
    """An hour that is healthy and driven, but for these figures from ``at_s`` to ``until_s``."""
    return [
        {**sample, "driven": 1.0, **(levels if at_s <= sample[TIME] < until_s else {})} for sample in hour({}, seed=1)
    ]


def lost(samples: list[dict[str, float]]) -> list[str]:
    return levels_lost(samples, SoakLevels(), 120)


@pytest.mark.parametrize("at_s", [1000.0, 2000.0, 3000.0])
@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("planner_rate_hz", 5.0, "planner_rate_hz fell from 10 to 5: medians of minute 2.0 to 16.4 and of minute "),
        ("control_rate_hz", 60.0, "control_rate_hz fell from 120 to 60: medians of minute 2.0 to 16.4 and of minute "),
        ("real_time_factor", 0.8, "real_time_factor fell from "),
        ("deadline_misses_percent", 50.0, "deadline_misses_percent was 50, the median of minute "),
        ("driven", 0.0, "the robot was driven in "),
    ],
)
def test_a_step_to_the_worse_that_lasts_fails_the_run_though_it_is_no_trend(at_s, name, level, words):
    samples = stepped(at_s, **{name: level})
    (said,) = lost(samples)
    assert said.startswith(words)


@pytest.mark.parametrize(("name", "level"), [("deadline_misses_percent", 50.0), ("driven", 0.0)])
def test_commands_missed_or_a_robot_that_stands_still_from_the_begin_on_fail_the_run(name, level):
    assert len(lost(stepped(0.0, **{name: level}))) == 1


def test_a_healthy_hour_and_what_a_busy_host_does_for_some_minutes_keep_every_level():
    assert lost(stepped(1e9)) == []
    busy = {"planner_rate_hz": 5.0, "control_rate_hz": 60.0, "real_time_factor": 0.5, "deadline_misses_percent": 50.0}
    assert lost(stepped(1200.0, 1500.0, **busy)) == []
    assert lost(stepped(1200.0, 1300.0, driven=0.0)) == []


def test_a_rate_that_was_lower_first_and_values_that_nobody_said_lose_no_level():
    assert lost(stepped(0.0, 1100.0, planner_rate_hz=5.0)) == []
    assert lost(stepped(0.0, planner_rate_hz=math.nan, deadline_misses_percent=math.nan)) == []
    assert lost([]) == lost([{TIME: 0.0, "driven": 1.0}]) == []
    assert lost(hour({})) == [], "samples of before do not say whether the robot is driven"


def test_what_falls_is_told_with_its_sign_and_the_slope_that_would_have_been_seen():
    trend = trends_of(hour({"control_rate_hz": -10.0}), SoakLimits(), 120)["control_rate_hz"]
    assert trend.verdict is Verdict.FALLS
    assert trend.slope.low <= -10 <= trend.slope.high < 0
    assert trend.growth == pytest.approx(-10 * trend.span_s / 3600, abs=0.3)
    quiet = trends_of(hour({}), SoakLimits(), 120)["control_rate_hz"]
    assert 0.5 < quiet.visible_per_hour < 2
    assert worse(hour({"control_rate_hz": -2 * quiet.visible_per_hour})) == ["control_rate_hz falls"]


def written(folder: Path, samples: list[dict[str, float]]) -> Path:
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return folder


def test_the_verb_ends_with_1_and_says_why_when_a_rate_has_slid_and_with_0_when_nothing_did(tmp_path, capsys):
    slid = written(tmp_path, hour({"control_rate_hz": -10.0}))
    verdict = ["bench", "soak", "--again", "--out", str(slid), "--json", str(tmp_path / "soak.json")]
    assert main(verdict) == 1
    printed = capsys.readouterr().out
    assert "FAILED: control_rate_hz falls by 9.98 an hour" in printed and "nothing gets worse" not in printed
    assert json.loads((tmp_path / "soak.json").read_text())["trends"]["control_rate_hz"]["verdict"] == "falls"
    assert main([*verdict, "--limits.control-rate-hz", "20"]) == 0
    assert "nothing gets worse" in capsys.readouterr().out


def test_the_verb_ends_with_1_when_half_the_commands_were_missed_for_most_of_the_time(tmp_path, capsys):
    broken = written(tmp_path, stepped(1000.0, deadline_misses_percent=50.0, planner_rate_hz=5.0))
    assert main(["bench", "soak", "--again", "--out", str(broken)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: planner_rate_hz fell from" in printed and "FAILED: deadline_misses_percent was 50" in printed
    wide = ["--levels.rate-percent", "60", "--levels.misses-percent", "60"]
    assert main(["bench", "soak", "--again", "--out", str(broken), *wide]) == 0


def test_a_run_that_ends_early_for_whatever_reason_is_judged_by_what_it_saw(tmp_path, capsys, monkeypatch):
    """As of a simulator that does not lay the next scene out; without a sample there is nothing to judge."""

    def watch(config: soak.SoakConfig, *_: object) -> None:
        written(config.out, samples)
        raise Gr00tError("the service 'sim/reset' did not answer")

    monkeypatch.setattr(soak, "_watch", watch)
    words = ["bench", "soak", "--out", str(tmp_path), "--json", str(tmp_path / "soak.json")]
    samples = hour({})
    assert main(words) == 1
    assert "FAILED: the service 'sim/reset' did not answer" in capsys.readouterr().out
    assert json.loads((tmp_path / "soak.json").read_text())["failures"] == ["the service 'sim/reset' did not answer"]
    samples = []
    assert main(words) == 2
    assert "sim/reset" in capsys.readouterr().err


def test_a_run_that_was_killed_while_it_wrote_is_judged_by_what_it_saw(tmp_path, capsys):
    folder = written(tmp_path, hour({"memory_mb/planner": 5.0}))
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"time_s": 36')
    assert main(["bench", "soak", "--again", "--out", str(folder)]) == 1
    assert "memory_mb/planner grows" in capsys.readouterr().out


def test_judging_again_what_is_not_there_or_too_short_is_wrong_use(tmp_path, capsys):
    assert main(["bench", "soak", "--again", "--out", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["bench", "soak", "--again", "--out", str(written(tmp_path, hour({})[:20]))]) == 2
    assert "a trend needs" in capsys.readouterr().err


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
    assert main(["bench", "soak", "--levels.misses-percent", "-1"]) == 2
