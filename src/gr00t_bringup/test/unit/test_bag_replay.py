# SPDX-License-Identifier: Apache-2.0
"""Playing a bag through planner and controller: nothing from the future, latencies as asked, the same again and again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_bags import S
from sample_world import HORIZON, ROBOT, SENTENCE, STEP_S, ClockPolicy, Work, changed, plan, write_work

from gr00t_bringup.bag_evaluation.aligned import align
from gr00t_bringup.bag_evaluation.recorded_run import POSITIONS, RecordedRun, open_run
from gr00t_bringup.bag_evaluation.replay import Replay, ReplaySettings, replay
from gr00t_bringup.bag_evaluation.token_latency import TokenLatency, token_latency
from gr00t_planner.config import PlannerConfig
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.convert_source import TopicNames

NAMES = TopicNames()
EXACT = ReplaySettings(planner=PlannerConfig(frozen_images=0, token_dtype="float32"))
AT_ONCE = TokenLatency((), "zero")


def opened(bag: Path, **changes) -> RecordedRun:
    return open_run(write_work(bag, Work(**changes)), ROBOT, NAMES)


def played(run: RecordedRun, policy: ClockPolicy | None = None, latency: TokenLatency = AT_ONCE, **changes) -> Replay:
    return replay(run, policy or ClockPolicy(), latency, replace(EXACT, **changes))


def test_what_comes_after_a_moment_changes_no_chunk_and_no_command_made_before_it(tmp_path):
    """The policy looks at everything it is given; the two bags differ in every stream from 2 s on, and in length."""
    latency = TokenLatency((0.03, 0.12), "uniform")
    first = played(opened(tmp_path / "first", seconds=3.0), latency=latency)
    second = played(
        opened(tmp_path / "second", seconds=4.0, later_s=2.0, later=lambda positions: positions + 0.3), latency=latency
    )
    changed_ns = opened(tmp_path / "third", seconds=3.0).recording.states.arrivals.stamp_ns[0] + 2 * S
    before = [number for number, made_ns in enumerate(first.made_ns) if made_ns <= changed_ns]
    assert len(before) > 30
    for number in before:
        assert np.array_equal(first.chunks[number].positions, second.chunks[number].positions)
    early = first.command_ns <= changed_ns
    assert np.array_equal(first.commands[early], second.commands[: early.sum()])
    late = [number for number, made_ns in enumerate(first.made_ns) if made_ns > changed_ns + S // 5]
    assert all(np.abs(first.chunks[n].positions - second.chunks[n].positions).max() > 0.05 for n in late)


def test_no_chunk_knows_a_joint_state_or_a_picture_that_had_not_arrived(tmp_path):
    made = played(opened(tmp_path / "bag"), latency=TokenLatency((0.08,), "constant"))
    for chunk, made_ns in zip(made.chunks, made.made_ns, strict=True):
        assert chunk.state_stamp_ns + 0.001 * S <= made_ns
        assert chunk.tokens_stamp_ns + 0.08 * S <= made_ns
        assert chunk.stamp_ns == chunk.state_stamp_ns + round(STEP_S * S)


def test_the_same_seed_gives_the_same_and_another_seed_other_latencies(tmp_path):
    run, latency = opened(tmp_path / "bag", seconds=2.0), TokenLatency((0.03, 0.2), "uniform")
    one, again, other = (played(run, latency=latency, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.commands, again.commands)
    assert one.latencies_s == again.latencies_s
    assert one.latencies_s != other.latencies_s


def test_the_loops_tick_at_their_rates_and_a_slow_planner_skips_ticks(tmp_path):
    run = opened(tmp_path / "bag", seconds=4.0)
    quick, slow = played(run), played(run, latency=TokenLatency((0.25,), "constant"))
    assert len(quick.latencies_s) == pytest.approx(40, abs=2)
    assert len(slow.latencies_s) == pytest.approx(13, abs=3)
    assert np.diff(quick.command_ns).mean() / S == pytest.approx(1 / 120, rel=1e-3)
    assert len(quick.chunks) == pytest.approx(79, abs=3)


def test_a_head_slower_than_the_controller_is_evaluated_at_its_own_rate(tmp_path):
    run = opened(tmp_path / "bag", seconds=2.0)
    slow = played(run, head_hz=10.0)
    stamps = {chunk.state_stamp_ns for chunk in slow.chunks}
    assert len(stamps) == pytest.approx(20, abs=2)
    assert len(slow.commands) == pytest.approx(len(played(run).commands), abs=15)


def test_latency_is_felt_by_a_policy_that_does_not_know_of_it(tmp_path):
    """A picture's clock read as the present: the older the tokens, the later the motion."""

    class Naive(ClockPolicy):
        def act(self, state, state_stamp_ns, guide=None):
            self._tokens = replace(self._tokens, stamp_ns=state_stamp_ns)
            return super().act(state, state_stamp_ns)

    run = opened(tmp_path / "bag")
    errors = []
    for latency in (AT_ONCE, TokenLatency((0.2,), "constant")):
        found = align(run, replay(run, Naive(numb=True), latency, EXACT))
        errors.append(np.abs(found.predicted - found.done)[found.known].mean())
    assert errors[1] > 2 * errors[0]


def test_a_good_policy_is_close_to_what_was_done_on_one_time_line(tmp_path):
    run = opened(tmp_path / "bag")
    found = align(run, played(run, latency=TokenLatency((0.05, 0.15), "uniform")))
    assert found.known[:, 0].mean() > 0.9
    assert np.abs(found.predicted - found.done)[found.known].max() < 0.02
    assert found.predicted.shape[1:] == (HORIZON, len(ROBOT.policy_joints))
    assert np.abs(found.executed - found.shown)[found.grid_known].mean() < 0.01


def test_a_bag_without_commands_is_compared_with_where_the_joints_went(tmp_path):
    run = opened(tmp_path / "bag", commands=False)
    assert run.done.kind == POSITIONS
    there, known = run.done.at(run.done.times_ns[[100]])
    assert known.all()
    assert there[0] == pytest.approx(plan(1.0 - 0.1), abs=1e-3)


def test_compressed_pictures_are_read(tmp_path):
    assert len(played(opened(tmp_path / "bag", seconds=2.0, codec="png")).chunks) > 30


def test_what_was_done_is_not_known_in_a_silence():
    times = np.array([0, 1, 2, 12, 13]) * (S // 10)
    from gr00t_bringup.bag_evaluation.recorded_run import Done

    done = Done(times, np.arange(5.0)[:, None])
    values, known = done.at(np.array([-1, 1, 5, 13]) * (S // 10))
    assert known.tolist() == [False, True, False, True]
    assert values[[1, 3], 0].tolist() == [1.0, 4.0]


@pytest.mark.parametrize(
    ("asked", "median_s", "origin"),
    [("zero", 0.0, "zero"), ("constant:0.07", 0.07, "0.07"), ("auto", 0.1, "without a policy")],
)
def test_latencies_are_as_asked_for(tmp_path, asked, median_s, origin):
    latency = token_latency(asked, [opened(tmp_path / "bag", seconds=1.5)], NAMES)
    assert latency.median_s == pytest.approx(median_s)
    assert origin in latency.origin


def test_latencies_of_a_loop_have_its_percentiles(tmp_path):
    file = tmp_path / "loop.json"
    file.write_text(json.dumps({"image_to_command_ms": {"p50": 40.0, "p95": 60.0, "p99": 90.0}}))
    latency = token_latency(f"measured:{file}", [], NAMES)
    rng = np.random.default_rng(0)
    drawn_s = [latency.arrival_ns(0, 0, rng) / S for _ in range(4000)]
    assert np.percentile(drawn_s, (50, 95)) == pytest.approx([0.04, 0.06], rel=0.05)
    assert latency.arrival_ns(0, S, rng) == S, "never before the planner looked"


@pytest.mark.parametrize(
    "asked", ["soon", "constant:much", "constant:-1", "constant:9", "measured:/no/such.json", "zero:1"]
)
def test_a_latency_that_means_nothing_is_refused_with_what_may_be_said(asked):
    with pytest.raises(ConfigError, match="constant:SECONDS|bench loop"):
        token_latency(asked, [], NAMES)


def test_measured_latency_needs_a_bag_of_a_run_with_a_policy(tmp_path):
    with pytest.raises(ConfigError, match="conditioning_tokens or action_chunk"):
        token_latency("measured", [opened(tmp_path / "bag", seconds=1.5)], NAMES)


def test_a_bag_without_a_sentence_needs_one(tmp_path):
    bag = write_work(tmp_path / "bag", Work(seconds=2.0, sentence=""))
    with pytest.raises(DatasetError, match="--sentence"):
        open_run(bag, ROBOT, NAMES)
    run = open_run(bag, ROBOT, NAMES, SENTENCE)
    assert len(played(run, changed()).chunks) > 30
