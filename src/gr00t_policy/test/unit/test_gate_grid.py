# SPDX-License-Identifier: Apache-2.0
"""Which rates keep a phase to the command gate's ticks, and that a loop at any of them finds it."""

import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.gate_grid import GateRate, gate_grid
from gr00t_policy.runtime.lead_settings import LeadSettings
from gr00t_policy.runtime.slots import Slots

FITTING = [(120, 120), (60, 120), (240, 120), (120, 60), (500, 250), (100, 100), (30, 120), (40, 120), (480, 120)]


@pytest.mark.parametrize(("rate_hz", "gate_rate_hz"), FITTING)
def test_ticks_that_come_later_by_what_they_are_off_have_the_lead(rate_hz, gate_rate_hz):
    grid, rng = gate_grid(rate_hz, gate_rate_hz), np.random.default_rng(0)
    for _ in range(300):
        due_ns = int(rng.integers(0, 10**15))
        lead_ns = int(rng.integers(0, grid.span_ns))
        off_ns = grid.off_ns(due_ns, lead_ns)
        assert abs(off_ns) <= (grid.span_ns + 1) // 2, "the shorter way"
        nanoseconds = abs(grid.lead_ns(due_ns + off_ns) - lead_ns)
        assert min(nanoseconds, grid.span_ns - nanoseconds) <= 8, "a period that is no whole number of them is rounded"


@pytest.mark.parametrize(("rate_hz", "gate_rate_hz"), FITTING)
def test_each_tick_of_the_slower_meets_one_of_the_faster_at_the_same_phase(rate_hz, gate_rate_hz):
    grid = gate_grid(rate_hz, gate_rate_hz)
    begin_ns = 987_654_321 * grid.gate_ns - 1_000_000
    leads = [grid.lead_ns(begin_ns + tick * grid.period_ns) for tick in range(200)]
    assert max(leads) - min(leads) <= 200, "1 ns a tick, where the period is no whole number of them"
    assert grid.period_ns == pytest.approx(1e9 / rate_hz, abs=8)


@pytest.mark.parametrize(("rate_hz", "gate_rate_hz"), [(100, 120), (120, 100), (119.9, 120), (250, 120), (90, 60)])
def test_other_rates_keep_no_phase(rate_hz, gate_rate_hz):
    assert gate_grid(rate_hz, gate_rate_hz) is None
    settings = LeadSettings(rate_hz=rate_hz, gate_rate_hz=gate_rate_hz)
    assert f"rate_hz {rate_hz:g}" in settings.no_lead and f"gate_rate_hz {gate_rate_hz:g}" in settings.no_lead
    with pytest.raises(ConfigError, match="set tick_lead_s to 0"):
        LeadSettings(rate_hz=rate_hz, gate_rate_hz=gate_rate_hz, tick_lead_s=0.002)


def test_a_lead_as_long_as_a_period_is_refused_with_the_longest_that_there_is():
    assert LeadSettings(tick_lead_s=0.008).no_lead == ""
    with pytest.raises(ConfigError, match=r"tick_lead_s is 0\.0084.*shorter than 0\.008333 s"):
        LeadSettings(tick_lead_s=0.0084)
    with pytest.raises(ConfigError, match=r"shorter than 0\.004167 s"):
        LeadSettings(rate_hz=240.0, tick_lead_s=0.008)


def test_a_gate_at_another_rate_than_the_settings_name_is_told_once_and_not_for_a_moment():
    rate = GateRate(120.0)
    assert not any(rate.told(hz) for hz in (0.0, 119.0, *9 * [100.0], 119.8, 100.0, *8 * [80.0], 0.0, 122.0))
    said = [rate.told(99.9) for _ in range(20)]
    assert [place for place, text in enumerate(said) if text] == [9]
    assert "99.9 Hz" in said[9] and "gate_rate_hz is 120" in said[9]


@pytest.mark.parametrize(("rate_hz", "skips"), [(109.0, True), (60.0, True), (131.0, False), (240.0, False)])
def test_a_gate_that_ticks_less_often_may_leave_out_slots_and_one_that_ticks_more_often_has_another_rate(
    rate_hz, skips
):
    """The rate is one over the mean time between ticks: slots that are left out lower it."""
    rate = GateRate(120.0)
    (said,) = filter(None, (rate.told(rate_hz) for _ in range(20)))
    assert "set gate_rate_hz to the gate's tick_rate_hz" in said
    assert ("slots_skipped" in said) is skips


@pytest.mark.parametrize("by_ns", [-3_000_000, -6_000_000])
def test_a_move_to_an_earlier_time_is_made_as_far_as_it_costs_no_slot_and_goes_on_in_the_next_ticks(by_ns):
    slots, period_ns, free_ns = Slots(8_333_333), 8_333_333, 1_333_333
    slots.move(by_ns)
    for tick in range(1, 4):
        due_ns = slots.due_ns
        slots.over(due_ns, due_ns + 7_000_000)
        assert slots.due_ns == tick * period_ns + max(by_ns, -tick * free_ns)
    due_ns = slots.due_ns
    slots.over(due_ns, due_ns + 1_000_000)
    slots.over(slots.due_ns, slots.due_ns + 1_000_000)
    assert slots.due_ns == 5 * period_ns + by_ns
    assert slots.missed == 0
