# SPDX-License-Identifier: Apache-2.0
"""The phase at which joint states come is found where there is one, and only there."""

import numpy as np
import pytest

from gr00t_policy.runtime.arrivals import Arrivals
from gr00t_policy.runtime.gate_grid import gate_grid

MS = 1_000_000
GRID = gate_grid(120.0, 120.0)


def told(came_ms: np.ndarray) -> np.ndarray | None:
    arrivals = Arrivals(GRID)
    for at_ms in came_ms:
        arrivals.came(int(at_ms * MS))
    return arrivals.leads_ns()


def coming(rate_hz: float, before_ms: float, jitter_ms: float = 0.1, count: int = 1500) -> np.ndarray:
    """Every 1 / rate, and so long before a slot of the gate."""
    rng = np.random.default_rng(0)
    return 7 * GRID.gate_ns / MS + np.arange(count) * 1e3 / rate_hz - before_ms + rng.exponential(jitter_ms, count)


@pytest.mark.parametrize("before_ms", [0.0, 0.9, 2.0, 4.2, 6.0, 8.2])
@pytest.mark.parametrize("rate_hz", [120.0, 60.0, 40.0])
def test_leads_are_those_with_which_inputs_came_but_for_the_way_from_the_callback(rate_hz, before_ms):
    came = (
        coming(rate_hz, before_ms, count=512) * 120 * GRID.gate_ns / 1e9
    )  # the clock of the gate's slots, to the nanosecond
    off_ms = (np.sort(told(came)) - np.sort(-came * MS % GRID.gate_ns)) / MS
    whole = np.round(off_ms / (GRID.gate_ns / MS)) * GRID.gate_ns / MS  # near a slot either may be of the one before
    assert np.median(np.abs(off_ms - whole + 0.1)) < 0.01


def test_inputs_of_which_some_are_late_have_a_phase_and_the_late_ones_their_own_leads():
    came = coming(120.0, 4.0) * 120 * GRID.gate_ns / 1e9
    came[::10] += 3.0
    leads_ms = told(came) / MS
    assert np.mean(leads_ms > 3.0) == pytest.approx(0.9, abs=0.02)
    assert np.mean(np.abs(leads_ms - 0.8) < 0.5) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("rate_hz", [100.0, 119.0, 90.0, 250.0, 500.0, 1000.0])
def test_inputs_of_another_rate_or_more_often_than_ticks_bind_nothing(rate_hz):
    assert told(coming(rate_hz, 3.0)) is None


def test_inputs_that_come_anyhow_or_hardly_ever_came_bind_nothing():
    assert told(coming(120.0, 3.0, jitter_ms=6.0)) is None
    assert told(coming(120.0, 3.0, count=40)) is None
    assert Arrivals(GRID).leads_ns() is None
