# SPDX-License-Identifier: Apache-2.0
"""Joining commands into a line gives smooth motion whatever the phase between sender and gate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_safety.command_line import CommandLine

PERIOD_NS = 8_333_333
EPOCH_NS = 1_700_000_000 * 10**9  # the sender's clock is not the gate's


def samples(phase: float, jitter: np.ndarray, ticks: int = 300, speed: float = 0.01) -> np.ndarray:
    """What the gate reads (ticks,) of a sender that moves ``speed`` per period."""
    arrivals = [int((k + phase + jitter[k]) * PERIOD_NS) for k in range(ticks)]
    line, sent, read = CommandLine(), 0, []
    for tick in range(ticks):
        while sent < ticks and arrivals[sent] <= tick * PERIOD_NS:
            line.add(arrivals[sent], EPOCH_NS + sent * PERIOD_NS, np.array([speed * sent]))
            sent += 1
        value = line.sample(tick * PERIOD_NS)
        if value is not None:
            read.append(value[0])
    return np.array(read)


@settings(max_examples=50, deadline=None)
@given(phase=st.floats(0, 1))
def test_a_steady_sender_is_read_with_steady_steps_at_any_phase(phase):
    steps = np.diff(samples(phase, np.zeros(300)))
    assert np.abs(steps[5:] - 0.01).max() < 1e-6


@settings(max_examples=20, deadline=None)
@given(phase=st.floats(0, 1), seed=st.integers(0, 1000))
def test_arrivals_that_jitter_by_a_quarter_period_hardly_show(phase, seed):
    """Taking the newest command instead would give steps of 0 and 0.02."""
    jitter = np.random.default_rng(seed).uniform(0, 0.25, 300)
    steps = np.diff(samples(phase, jitter))[40:]
    assert steps.min() > 0.005 and steps.max() < 0.015


def test_the_delay_is_at_most_two_periods():
    read = samples(0.5, np.zeros(300))
    assert 0.01 * 299 - read[-1] <= 0.02 + 1e-6


def test_nothing_is_extrapolated_past_the_newest_command():
    line = CommandLine()
    for k in range(5):
        line.add(k * PERIOD_NS, EPOCH_NS + k * PERIOD_NS, np.array([float(k)]))
    assert line.sample(100 * PERIOD_NS) == pytest.approx([4.0])


def test_a_step_of_the_senders_clock_restarts_the_line_at_the_new_command():
    line = CommandLine()
    for k in range(5):
        line.add(k * PERIOD_NS, EPOCH_NS + k * PERIOD_NS, np.array([float(k)]))
    line.add(5 * PERIOD_NS, EPOCH_NS + 5 * PERIOD_NS - 5 * 10**9, np.array([5.0]))
    assert line.sample(5 * PERIOD_NS) == pytest.approx([5.0])


def test_an_empty_line_gives_nothing_and_a_single_command_gives_itself():
    line = CommandLine()
    assert line.sample(0) is None and line.newest is None
    line.add(0, EPOCH_NS, np.array([1.0]))
    assert line.sample(0) == pytest.approx([1.0])
    line.clear()
    assert line.sample(0) is None
