# SPDX-License-Identifier: Apache-2.0
"""Measuring: known delays come out, on whichever clock the stamps are."""

import dataclasses

import numpy as np
import pytest

from gr00t_bringup.measure import RunStreams, measure
from gr00t_policy.core.errors import DatasetError

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
        wake_up_us=np.array([[40.0, 100.0], [42.0, 150.0], [41.0, 900.0]]),
        real_time_factors=np.array([1.0, 1.0, 0.5]),
    )


@pytest.mark.parametrize("offset_ns", [0, 1_699_999_000 * _S], ids=["system clock", "simulated clock"])
def test_known_rates_and_delays_are_found(offset_ns):
    figures = measure(_run(offset_ns))
    assert figures.planner_rate_hz == pytest.approx(10, abs=0.01)
    assert figures.control_rate_hz == pytest.approx(120, abs=0.01)
    assert figures.head_rate_hz == pytest.approx(120, abs=0.01)
    assert figures.joint_state_to_command_ms.p50 == pytest.approx(5, abs=0.01)
    assert figures.joint_state_to_command_ms.p99 == pytest.approx(5, abs=0.01)
    assert 60 + 5 <= figures.image_to_command_ms.p50 <= 60 + 5 + 1000 / 120
    assert figures.head_ms.p95 == pytest.approx(3)
    assert figures.deadline_miss_fraction == pytest.approx(1 / 240)
    assert (figures.deadline_misses, figures.ticks) == (1, 240)
    assert figures.encode_ms.p50 == pytest.approx(4)
    wake_ups = figures.wake_up_lateness_ms
    assert (wake_ups.p50, wake_ups.p99, wake_ups.p99_of_the_worst) == pytest.approx((0.041, 0.15, 0.9))
    assert figures.real_time_factor == 1.0


def test_a_later_gate_adds_exactly_its_delay():
    run = _run()
    slower = dataclasses.replace(run, command_sent=run.command_sent + 2 * _MS)
    added = measure(slower).joint_state_to_command_ms.p50 - measure(run).joint_state_to_command_ms.p50
    assert added == pytest.approx(2, abs=0.01)


def test_a_run_without_commands_is_refused():
    empty = np.array([], dtype=np.int64)
    with pytest.raises(DatasetError, match="sent no command"):
        measure(dataclasses.replace(_run(), policy_sent=empty, policy_stamp=empty))
