# SPDX-License-Identifier: Apache-2.0
"""Seams are where chunks meet, a turn is one towards the object, delays are those asked for, and runs repeat exactly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import save_small_checkpoint

from gr00t_bringup.bench.seam_episode import SeamJob, Way, drive, run_episode
from gr00t_bringup.bench.seam_figures import differences, inside_chunk, inside_chunks, roughness, turned_after_s
from gr00t_bringup.bench.seam_stack import StackInTime, Timing
from gr00t_bringup.bench.seam_verdict import Outcome, SceneEnd, verdicts
from gr00t_bringup.bench.seams import SeamsConfig, _in_time
from gr00t_bringup.cli import main
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.policy import ReplayPolicy
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.simulation import TabletopSim


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def sim():
    built = TabletopSim("pick_named_object")
    yield built
    built.close()


def path_with_jump(at: int, by: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A steady motion of two joints, one of which jumps at a command that is the first of a chunk."""
    path = np.stack([0.01 * np.arange(60.0), np.zeros(60)], axis=1)
    path[at:, 1] += by
    fresh = np.zeros(60, bool)
    fresh[[0, at]] = True
    return path, fresh


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_jump_at_a_new_chunk_is_counted_at_the_border_and_nowhere_else(order):
    found = roughness([differences(*path_with_jump(30), order)], order)
    steady = 0.01 if order == 1 else 0.0
    assert found.border_max == pytest.approx({1: 0.1, 2: 0.1, 3: 0.2}[order], abs=0.02)
    assert found.inside_max == pytest.approx(steady, abs=1e-9)


def test_a_kink_inside_a_chunk_is_not_blamed_on_its_border():
    path, fresh = path_with_jump(30)
    found = roughness([differences(path, np.roll(fresh, 10), 2)], 2)
    assert found.inside_max == pytest.approx(0.1)
    assert found.border_max < 0.01


def test_without_any_tick_inside_a_chunk_there_is_no_ratio():
    path, _ = path_with_jump(30)
    found = roughness([differences(path, np.ones(60, bool), 3)], 3)
    assert np.isnan(found.inside_p95) and np.isnan(found.ratio) and found.border_max > 0.1
    assert len(differences(path[:2], np.ones(2, bool), 3).values) == 0


def test_inside_a_chunk_straight_lines_are_rough_at_their_corners_alone_and_a_steady_motion_nowhere():
    steady = 0.3 * np.arange(16.0)[:, None]
    for smooth in (False, True):
        assert inside_chunk(steady, 3, 6.0, smooth=smooth).max() < 1e-12
        assert inside_chunk(steady, 1, 6.0, smooth=smooth) == pytest.approx(0.05)
    corner = np.abs(np.arange(16.0) - 8)[:, None]
    values = inside_chunk(corner, 3, 6.0, smooth=False)
    assert len(values) == 15 * 6 + 1 - 3
    assert np.flatnonzero(values > 1e-9).tolist() == [8 * 6 - 2, 8 * 6 - 1]
    assert values.max() == pytest.approx(2 / 6), "the slope turns round in one tick"
    assert inside_chunk(corner, 3, 6.0, smooth=True).max() < values.max() / 3


def test_inside_a_chunk_the_roughest_joint_counts_and_a_chunk_too_short_has_no_differences():
    path = np.zeros((16, 3))
    path[8, 1] = 0.1
    assert inside_chunk(path, 2, 6.0, smooth=False).max() == pytest.approx(0.2 / 6)
    assert len(inside_chunk(path[:1], 3, 6.0, smooth=True)) == 0
    assert np.isnan(inside_chunks(np.zeros(0), 3).p95)


def row(way: str, successes: int, border: float, inside: float, episodes: int = 20) -> dict:
    return {
        "way": way, "head_rate_hz": 120.0, "episodes": episodes, "successes": successes, "success": successes / episodes,
        "commands": [{"border_p95": border}] * 3, "inside_chunk": [{"p95": inside}] * 3,
    }  # fmt: skip


def ends(way: str, solved: range, episodes: int = 20) -> list[SceneEnd]:
    return [SceneEnd("t", seed, way, 120.0, seed in solved, 5.0, False, np.nan) for seed in range(episodes)]


def test_a_seam_no_rougher_than_a_chunk_reaches_its_goal_and_where_there_is_no_border_nothing_is_said():
    rows = [row("blend", 20, 1e-3, 2e-3), row("switch", 20, 9e-3, 2e-3), row("rtc", 20, np.nan, 2e-3)]
    found = [goals[0].outcome for goals in verdicts(rows, [])]
    assert found == [Outcome.REACHED, Outcome.MISSED, Outcome.UNDEFINED]


def test_success_is_lost_when_the_same_scenes_say_so_beyond_doubt_and_undefined_when_they_are_too_few():
    rows = [row("blend", 20, 1, 2), row("rtc", 18, 1, 2), row("switch", 8, 1, 2)]
    scenes = [*ends("blend", range(20)), *ends("rtc", range(18)), *ends("switch", range(8))]
    best, few, lost = (goals[1] for goals in verdicts(rows, scenes))
    assert (best.outcome, few.outcome, lost.outcome) == (Outcome.REACHED, Outcome.UNDEFINED, Outcome.MISSED)
    assert few.because == "blend alone 2, rtc alone 0 of 20 scenes, p = 0.5"
    assert "blend alone 12, switch alone 0" in lost.because


def test_a_hand_has_turned_when_it_is_off_its_path_towards_the_object_for_fifty_milliseconds():
    left = np.zeros((100, 3))
    moved = left.copy()
    moved[20:23, 0] = 0.5  # a twitch
    moved[40:, 0] = 0.02 + 0.001 * np.arange(60)
    towards = np.array([0.08, 0.0, 0.0])
    assert turned_after_s(moved, left, towards, 0.01, 1 / 120) == pytest.approx(40 / 120)
    assert np.isnan(turned_after_s(moved, left, -towards, 0.01, 1 / 120))
    assert np.isnan(turned_after_s(left, left, towards, 0.01, 1 / 120))


def test_ways_are_written_as_they_are_read():
    for text in ("blend", "rtc+smooth", "switch+compensated", "rtc+smooth+compensated", "blend+compensated+staggered"):
        assert str(Way.parse(text)) == text
    for text in ("swap", "rtc+quick", "rtc+staggered"):
        with pytest.raises(ConfigError, match=text.split("+")[-1]):
            Way.parse(text)


@pytest.mark.parametrize(("rate", "delay_s", "every"), [(120.0, 0.0, 1), (10.0, 0.064, 12), (20.0, 0.02, 6)])
def test_chunks_come_as_often_as_asked_and_as_late(sim, rate, delay_s, every):
    sim.reset(3)
    policy = ReplayPolicy(sim.embodiment, np.zeros((100, len(sim.embodiment.policy_joint_names))))
    timing = Timing(rate, delay_s, 0.03)
    config = ControllerConfig(head_mode="every_tick" if timing.every_tick else "worker", warm_up_evaluations=1)
    stack = StackInTime(sim, policy, config, timing)
    ages: list[float] = []

    def keep(_: int) -> bool:
        ages.append(stack.plan_age_s)
        return False

    stack.run(120, keep)
    fresh = np.flatnonzero([tick.new_chunk for tick in stack.ticks])
    assert set(np.diff(fresh)[1:]) == {every}
    assert stack.number == 120
    assert delay_s - 1e-3 <= min(ages[24:]) <= delay_s + 2 / 120


def test_staggered_chunks_come_in_every_tick_and_are_three_ticks_old(sim, folder):
    sim.reset(3)
    policy = load_policy(folder, "torch", noise_scale=0.0, staggered=True)
    config = ControllerConfig(head_mode="every_tick", warm_up_evaluations=1, staggered=True)
    stack = StackInTime(sim, policy, config, Timing(120.0, 0.0, 0.03))
    ages: list[float] = []
    stack.run(24, lambda _: ages.append(stack.plan_age_s) is not None)
    np.testing.assert_allclose(ages[-10:], 3 / 120, atol=1e-6)
    assert np.flatnonzero([tick.new_chunk for tick in stack.ticks]).tolist() == [0, *range(4, len(stack.ticks))]


def test_a_blind_policy_never_turns_to_the_object_that_was_moved_and_the_runs_are_the_same_until_then(sim):
    recorder = Demonstrator(sim, Variety(random_start=0.0, pushed=0.0, after_success_ticks=2))
    records = ((seed, recorder.run(seed)) for seed in range(3, 9))
    seed, record = next((seed, found) for seed, found in records if found.success)
    policy = ReplayPolicy(sim.embodiment, np.stack(record.actions).astype(float))
    job = SeamJob(Path("replayed"), Way("blend"), Timing(120.0, 0.0, 0.03), "pick_named_object", seed, 12.0, 0.15, 0.01)
    episode = drive(job, sim, policy)
    assert episode.success and episode.moved
    just_in_time = drive(replace(job, max_s=episode.seconds), sim, policy)
    assert (just_in_time.success, just_in_time.seconds) == (True, episode.seconds), (
        "to the beginning of what then lasts"
    )
    assert len(just_in_time.commands) == len(episode.commands) == pytest.approx(120 * episode.seconds, abs=6)
    assert np.isnan(episode.reaction_s)
    ended = sim.place_of(sim.task.goal.object)
    sim.reset(seed)
    assert 0.05 < np.linalg.norm((ended - sim.place_of(sim.task.goal.object))[:2]) < 0.3


def test_the_same_scene_runs_the_same_twice_and_another_delay_differently(folder):
    def driven(delay_s: float):
        job = SeamJob(folder, Way("rtc"), Timing(10.0, delay_s, 0.03), "pick_named_object", 5, 0.7, 0.15, 0.01)
        return run_episode(job)

    replaced = SeamJob(folder, Way("rtc"), Timing(10.0, 0.0, 0.03), "pick_named_object", 5, 0.7, 0.15, 0.01, "0" * 64)
    with pytest.raises(CheckpointError, match="was replaced while it drove"):
        run_episode(replaced)
    one, two, later = driven(0.03), driven(0.03), driven(0.09)
    np.testing.assert_array_equal(one.commands, two.commands)
    np.testing.assert_array_equal(one.new_chunk, two.new_chunk)
    assert np.isfinite(one.commands).all() and len(one.commands) > 60
    assert not np.array_equal(one.new_chunk[:60], later.new_chunk[:60])


def test_the_verb_writes_a_row_for_every_way_and_rate_and_draws_them(folder, tmp_path, capsys):
    file, picture = tmp_path / "seams.json", tmp_path / "seams.png"
    options = [
        "--checkpoint",
        str(folder),
        "--episodes",
        "1000",
        "--minutes",
        "0.001",
        "--max-s",
        "1",
        "--workers",
        "1",
        "--head-rate",
        "120",
        "10",
    ]
    assert (
        main(["bench", "seams", *options, "--ways", "blend", "rtc", "--json", str(file), "--plot", str(picture)]) == 0
    )
    printed, written = capsys.readouterr().out, json.loads(file.read_text())
    rows = written["rows"]
    assert [(row["head_rate_hz"], row["way"]) for row in rows] == [
        (120, "blend"),
        (120, "rtc"),
        (10, "blend"),
        (10, "rtc"),
    ]
    for row in rows:
        assert row["episodes"] == 1 and row["wilson95"][0] <= row["success"] <= row["wilson95"][1]
        assert [one["order"] for one in row["commands"]] == [1, 2, 3]
        assert row["commands"][0]["border_p50"] <= row["commands"][0]["border_p95"] <= row["commands"][0]["border_max"]
        (inside,) = (one for one in row["inside_chunk"] if one["order"] == 3)
        assert 0 < inside["p95"] <= inside["max"], "defined at 120 Hz too, where every tick is a border"
        assert [goal["outcome"] in ("reached", "missed", "undefined") for goal in row["goals"]] == [True, True]
        (scene,) = (s for s in written["scenes"] if (s["way"], s["head_rate_hz"]) == (row["way"], row["head_rate_hz"]))
        assert (scene["task"], scene["seed"]) == ("pick_named_object", 10_000)
        assert scene["success"] == (row["successes"] == 1)
    assert "third difference at borders no larger than inside chunks:" in printed
    assert "no success lost against the best way:" in printed
    assert picture.stat().st_size > 20_000


@pytest.mark.parametrize(
    ("options", "scenes"),
    [
        ({}, 20),
        ({"minutes": 30.0}, 1000),
        ({"episodes": 7}, 7),
        ({"episodes": 7, "minutes": 30.0}, 7),
    ],
)
def test_minutes_alone_bound_the_run_unless_a_number_of_scenes_is_named(options, scenes):
    jobs = SeamsConfig(ways=("blend", "rtc"), head_rate=(10.0,), **options).jobs(Path("any"))
    assert len(jobs) == 2 * scenes
    assert sorted({job.seed for job in jobs}) == list(range(10_000, 10_000 + scenes))


def test_with_minutes_more_than_twenty_scenes_are_driven_as_long_as_there_is_time(monkeypatch):
    clock = iter(np.arange(0.0, 3000.0, 2.0))  # [s], a scene every two seconds
    monkeypatch.setattr("gr00t_bringup.bench.seams.time.monotonic", lambda: next(clock))
    config = SeamsConfig(ways=("blend", "rtc"), head_rate=(10.0,), minutes=1.0)
    begun = [job.seed for job in _in_time(config.jobs(Path("any")), config)]
    assert len(set(begun)) == 31 and all(begun.count(seed) == 2 for seed in begun)


def test_the_exit_code_stays_0_unless_a_way_is_enforced_that_misses_a_goal(folder, tmp_path):
    """Random weights: each chunk is another motion, so that switching between them is rougher than any of them."""
    options = ["--checkpoint", str(folder), "--episodes", "1", "--max-s", "1", "--workers", "1", "--head-rate", "10"]
    options += ["--ways", "switch", "rtc+smooth+compensated"]
    assert main(["bench", "seams", *options, "--enforce", "switch"]) == 1
    assert main(["bench", "seams", *options, "--enforce", "blend"]) == 2


def test_what_cannot_be_compared_is_wrong_use(capsys):
    assert main(["bench", "seams", "--ways", "swap"]) == 2
    assert main(["bench", "seams", "--tasks", "juggle"]) == 2
    assert main(["bench", "seams", "--head-rate", "30"]) == 2
    assert "cannot be evaluated 30 times a second" in capsys.readouterr().err
    assert main(["bench", "seams", "--ways", "blend+staggered"]) == 2
    assert "advances with the ticks" in capsys.readouterr().err
    assert main(["bench", "seams", "--episodes", "0"]) == 2
