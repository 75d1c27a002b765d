# SPDX-License-Identifier: Apache-2.0
"""The phase at which joint states come is found where there is one, and only there."""

import numpy as np
import pytest

from gr00t_policy.runtime.arrivals import Arrivals
from gr00t_policy.runtime.gate_grid import gate_grid

MS = 1_000_000
GRID = gate_grid(120.0, 120.0)


def told(came_ms: np.ndarray) -> int | None:
    arrivals = Arrivals(GRID)
    for at_ms in came_ms:
        arrivals.came(int(at_ms * MS))
    return arrivals.lead_ns()


def coming(rate_hz: float, before_ms: float, jitter_ms: float = 0.1, count: int = 1500) -> np.ndarray:
    """Every 1 / rate, and so long before a slot of the gate."""
    rng = np.random.default_rng(0)
    return 7 * GRID.gate_ns / MS + np.arange(count) * 1e3 / rate_hz - before_ms + rng.exponential(jitter_ms, count)


@pytest.mark.parametrize("before_ms", [0.9, 2.0, 4.2, 6.0, 8.2])
def test_the_lead_is_that_at_which_all_but_the_latest_have_come(before_ms):
    came = coming(120.0, before_ms) * 120 * GRID.gate_ns / 1e9  # the clock of the gate's slots, to the nanosecond
    lead_ns = told(came)
    leads = -(came * MS) % GRID.gate_ns
    assert 0.985 <= np.mean(leads > lead_ns) <= 1.0
    assert before_ms - 0.8 < lead_ns / MS < before_ms - 0.1


def test_inputs_at_half_the_rate_have_a_phase_too():
    assert told(coming(60.0, 3.0) * 120 * GRID.gate_ns / 1e9) == pytest.approx(2.5 * MS, abs=0.2 * MS)


@pytest.mark.parametrize("rate_hz", [100.0, 119.0, 90.0, 250.0, 500.0, 1000.0])
def test_inputs_of_another_rate_or_more_often_than_ticks_bind_nothing(rate_hz):
    assert told(coming(rate_hz, 3.0)) is None


def test_inputs_that_come_anyhow_or_hardly_ever_came_bind_nothing():
    assert told(coming(120.0, 3.0, jitter_ms=3.0)) is None
    assert told(coming(120.0, 3.0, count=40)) is None
    assert Arrivals(GRID).lead_ns() is None
