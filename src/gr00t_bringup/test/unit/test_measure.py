# SPDX-License-Identifier: Apache-2.0
"""Measuring: known delays come out, on whichever clock the stamps are."""

import dataclasses
import math

import numpy as np
import pytest

from gr00t_bringup.measure import Gaps, Numbered, RunStreams, WakeUpsTold, measure
from gr00t_bringup.tracing.chunk_ties import ChunkTie
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.runtime.duration_counts import bin_of

_S = 10**9
_MS = 10**6


def _run(clock_offset_ns: int = 0, seconds: float = 5.0) -> RunStreams:
    """A run at 120 Hz: a command leaves 4 ms after its joint state, tokens 60 ms after their image, the gate adds 1 ms.

    The world's clock is ``clock_offset_ns`` behind the system's.
    """
    sent = 1_700_000_000 * _S + np.arange(round(120 * seconds)) * (_S // 120)
    command = sent + 4 * _MS
    image = sent[0] + np.arange(round(10 * seconds)) * (_S // 10)
    tokens_sent = image + 60 * _MS
    driving = sent >= tokens_sent[0]
    evaluation = np.flatnonzero(driving) + 1
    published = evaluation % 6 == 0
    return RunStreams(
        joint_stamp=sent - clock_offset_ns,
        joint_sent=sent,
        joint_number=np.arange(1, len(sent) + 1),
        pictures={
            "camera/ego_view/image_raw": Numbered(sent[::6], np.arange(len(sent[::6])) + 1),
            "camera/wrist/image_raw/compressed": Numbered(sent[::8], np.zeros(len(sent[::8]), np.int64)),
        },
        tokens_stamp=image - clock_offset_ns,
        tokens_sent=tokens_sent,
        encode_s=np.full(len(tokens_sent), 0.004),
        chunk_id=evaluation[published],
        chunk_sent=command[driving][published],
        chunk_inference_s=np.full(int(published.sum()), 0.003),
        policy_stamp=sent[driving] - clock_offset_ns,
        policy_sent=command[driving],
        command_sent=command + _MS,
        ticks=np.array([100, 220, 340]),
        misses=np.array([5, 5, 6]),
        realtime=np.array([True, True, True]),
        wake_ups=[
            WakeUpsTold(int(sent[0]) + at_s * _S, p99_us, {bin_of(40_000): 120 * at_s, bin_of(900_000): at_s})
            for at_s, p99_us in ((2, math.nan), (3, 150.0), (4, 900.0))
        ],
        real_time_factors=np.array([1.0, 1.0, 0.5]),
    )


@pytest.mark.parametrize("offset_ns", [0, 1_699_999_000 * _S], ids=["system clock", "simulated clock"])
def test_known_rates_and_delays_are_found(offset_ns):
    figures = measure(_run(offset_ns))
    assert figures.planner_rate_hz == pytest.approx(10, abs=0.01)
    assert figures.control_rate_hz == pytest.approx(120, abs=0.01)
    assert figures.head_rate_hz == pytest.approx(120, abs=0.01)
    assert figures.joint_state_rate_hz == pytest.approx(120, abs=0.01)
    assert figures.camera_rate_hz == pytest.approx(15, abs=0.01), "of the slower one"
    assert figures.joint_state_to_command_ms.p50 == pytest.approx(5, abs=0.01)
    assert figures.joint_state_to_command_ms.p99 == pytest.approx(5, abs=0.01)
    assert 60 + 5 <= figures.image_to_command_ms.p50 <= 60 + 5 + 1000 / 120
    assert figures.head_ms.p95 == pytest.approx(3)
    assert figures.deadline_miss_fraction == pytest.approx(1 / 240)
    assert (figures.deadline_misses, figures.ticks) == (1, 240)
    assert figures.encode_ms.p50 == pytest.approx(4)
    assert figures.realtime_scheduling
    wake_ups = figures.wake_up_lateness_ms
    assert wake_ups.p50 == pytest.approx(0.04, rel=1 / 16)
    assert wake_ups.p99_of_the_worst == pytest.approx(0.9)
    assert figures.real_time_factor == 1.0


def test_a_later_gate_adds_exactly_its_delay():
    run = _run()
    slower = dataclasses.replace(run, command_sent=run.command_sent + 2 * _MS)
    added = measure(slower).joint_state_to_command_ms.p50 - measure(run).joint_state_to_command_ms.p50
    assert added == pytest.approx(2, abs=0.01)


def _tied(run: RunStreams, usable_ms: int) -> tuple[RunStreams, float]:
    """The run with the chunks of a head that has its tokens so long after they were sent, and the true age of its images [ms]."""
    numbers = np.arange(1, len(run.tokens_stamp) + 1)
    begins = run.policy_sent - 2 * _MS  # of an evaluation, before its command
    first = np.searchsorted(begins, run.tokens_sent + usable_ms * _MS)
    used = first < len(begins)
    ties = [
        ChunkTie(int(run.policy_sent[at]), int(number), int(stamp), int(run.policy_stamp[at]))
        for at, number, stamp in zip(first[used], numbers[used], run.tokens_stamp[used], strict=True)
    ]
    image = run.tokens_sent - 60 * _MS
    ages_ms = (run.policy_sent[first[used]] + _MS - image[used]) / _MS
    return dataclasses.replace(run, tokens_number=numbers, chunk_ties=ties), float(np.median(ages_ms))


@pytest.mark.parametrize("offset_ns", [0, 1_699_999_000 * _S], ids=["system clock", "simulated clock"])
@pytest.mark.parametrize("usable_ms", [11, 25, 60])
def test_the_way_and_the_preparation_of_tokens_are_part_of_the_age_of_an_image(usable_ms, offset_ns):
    run, true_ms = _tied(_run(offset_ns), usable_ms)
    assert measure(run).image_to_command_ms.p50 == pytest.approx(true_ms, abs=0.01)
    assert true_ms > measure(_run(offset_ns)).image_to_command_ms.p50 + 1


def test_a_command_is_not_taken_for_one_from_an_image_before_its_joint_state_could_know_the_tokens():
    run, _ = _tied(_run(), 0)
    assert measure(run).image_to_command_ms == measure(_run()).image_to_command_ms


def test_images_whose_tokens_were_never_used_have_no_age():
    run, true_ms = _tied(_run(), 25)
    every_second = dataclasses.replace(run, chunk_ties=run.chunk_ties[::2])
    assert measure(every_second).image_to_command_ms.p50 == pytest.approx(true_ms, abs=0.01)
    assert math.isnan(measure(dataclasses.replace(run, chunk_ties=[ChunkTie(1, 99, 1, 1)])).image_to_command_ms.p50)


def test_what_only_the_recorder_lost_does_not_lower_a_rate_and_what_was_never_sent_does():
    run = _run()
    every = run.pictures["camera/ego_view/image_raw"]
    kept = np.arange(len(every.sent)) % 3 > 0

    def rate(number: np.ndarray) -> float:
        return measure(dataclasses.replace(run, pictures={"a": Numbered(every.sent[kept], number)})).camera_rate_hz

    assert rate(every.number[kept]) == pytest.approx(20, abs=0.01)
    assert rate(np.arange(kept.sum()) + 1) == pytest.approx(13.3, abs=0.2)
    assert rate(np.zeros(kept.sum(), np.int64)) == pytest.approx(13.3, abs=0.2), "a recorder that notes no numbers"
    assert rate(np.arange(kept.sum()) % 20 + 1) == pytest.approx(13.3, abs=0.2), "a sender that was started again"


def test_no_camera_is_not_a_camera_of_rate_zero():
    assert math.isnan(measure(dataclasses.replace(_run(), pictures={})).camera_rate_hz)


def test_a_run_without_commands_is_refused():
    empty = np.array([], dtype=np.int64)
    with pytest.raises(DatasetError, match="sent no command"):
        measure(dataclasses.replace(_run(), policy_sent=empty, policy_stamp=empty))


def test_lateness_is_of_all_ticks_of_the_run_and_not_of_its_median_window():
    """Two percent of the ticks of the second minute are late: every window but one is quiet, the p99 of the run is not."""
    run = _run()
    begin = int(run.policy_sent[0])
    quiet, late = bin_of(50_000), bin_of(900_000)
    told = [WakeUpsTold(begin + second * _S, 50.0, {quiet: 120 * second}) for second in range(2, 60)]
    told += [WakeUpsTold(begin + 60 * _S, 950.0, {quiet: 120 * 60, late: 150})]
    wake_ups = measure(dataclasses.replace(run, wake_ups=told)).wake_up_lateness_ms
    assert wake_ups.p50 == pytest.approx(0.05, rel=1 / 16)
    assert wake_ups.p99 == pytest.approx(0.9, rel=1 / 16)
    assert wake_ups.p99_of_the_worst == pytest.approx(0.95)


def test_lateness_is_not_known_from_a_bag_that_does_not_tell_it():
    old = [dataclasses.replace(told, counts={}) for told in _run().wake_ups]
    assert math.isnan(measure(dataclasses.replace(_run(), wake_ups=old)).wake_up_lateness_ms.p99)
    assert math.isnan(measure(dataclasses.replace(_run(), wake_ups=[])).wake_up_lateness_ms.p99_of_the_worst)


def test_counts_that_begin_anew_with_an_activation_lose_nothing():
    run = dataclasses.replace(_run(), ticks=np.array([100, 220, 50, 170]), misses=np.array([5, 8, 1, 2]))
    figures = measure(run)
    assert (figures.deadline_misses, figures.ticks) == (3 + 1 + 1, 120 + 50 + 120)


def test_commands_that_were_not_sent_are_found_without_asking_the_controller():
    run = _run()
    assert measure(run).command_gaps == Gaps(0, 0, pytest.approx(8.33, abs=0.01), 0)
    gone = np.isin(np.arange(len(run.policy_sent)), [200, *range(300, 336)])  # one, and a stall of 300 ms
    fewer = dataclasses.replace(run, policy_sent=run.policy_sent[~gone], policy_stamp=run.policy_stamp[~gone])
    gaps = measure(fewer).command_gaps
    assert (gaps.late, gaps.missed, gaps.pauses) == (2, 37, 0)
    assert gaps.longest_ms == pytest.approx(37 * 1000 / 120, abs=0.01)


def test_half_a_second_without_commands_is_a_pause():
    run = _run()
    gone = np.isin(np.arange(len(run.policy_sent)), range(300, 380))
    fewer = dataclasses.replace(run, policy_sent=run.policy_sent[~gone], policy_stamp=run.policy_stamp[~gone])
    gaps = measure(fewer).command_gaps
    assert (gaps.late, gaps.missed, gaps.pauses) == (0, 0, 1)
