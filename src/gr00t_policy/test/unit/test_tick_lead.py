# SPDX-License-Identifier: Apache-2.0
"""A loop begins so long before the gate ticks that what it commands is there in time, as measured while it runs."""

import time

import pytest

from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.tick_lead import TickLead

PERIOD_NS = 8_333_333


@pytest.mark.parametrize("head_s", [0.0, 0.5e-3, 1.6e-3, 2.2e-3])
def test_a_tick_whose_head_takes_its_median_is_over_before_the_gate_ticks(head_s):
    assert 1e9 * head_s < TickLead(0.0, head_s, PERIOD_NS).lead_ns - 500_000


def test_a_longer_head_begins_earlier_but_never_a_whole_period():
    leads = [TickLead(0.0, 1e-4 * step, PERIOD_NS).lead_ns for step in range(200)]
    assert leads == sorted(leads)
    assert leads[-1] < PERIOD_NS


def test_what_the_user_asks_for_counts_up_to_a_period_and_is_kept():
    lead = TickLead(0.004, 2e-3, PERIOD_NS)
    assert lead.lead_ns == 4_000_000
    loop = _ran(1000.0, 700, 0.0)
    lead.follow(loop)
    assert lead.lead_ns == 4_000_000
    assert TickLead(0.05, 2e-3, PERIOD_NS).lead_ns < PERIOD_NS


def test_ticks_that_take_longer_than_thought_move_the_loop_forward_step_by_step():
    loop = _ran(600.0, 650, 0.4e-3)
    lead = TickLead(0.0, 0.0, loop.period_ns)
    first = lead.lead_ns
    for _ in range(20):
        before = lead.lead_ns
        lead.follow(loop)
        assert abs(lead.lead_ns - before) <= 300_000
    assert lead.lead_ns > first + 300_000
    assert lead.lead_ns < loop.period_ns


def test_a_loop_that_was_moved_ticks_at_the_new_phase_without_a_miss():
    began: list[int] = []
    loop = PacedLoop("moved", 200.0, began.append, phase_ns=0)
    loop.start()
    time.sleep(0.2)
    moved_from = loop.ticks
    loop.move(-1_000_000)
    time.sleep(0.2)
    loop.stop()
    offsets = [(now_ns % loop.period_ns) / 1e6 for now_ns in began]
    assert sorted(offsets[:moved_from])[moved_from // 2] < 1.0
    after = sorted(offsets[moved_from + 1 :])
    assert after[len(after) // 2] == pytest.approx(4.1, abs=0.9)
    assert loop.slots.skipped <= 8, "of 80, on a busy machine; test_runtime_slots.py has the same on a made clock"


def _ran(rate_hz: float, ticks: int, tick_s: float) -> PacedLoop:
    """A loop that has ticked so often."""
    loop = PacedLoop("ran", rate_hz, lambda _: time.sleep(tick_s), phase_ns=0)
    loop.start()
    until = time.monotonic() + 30.0
    while loop.ticks < ticks and time.monotonic() < until:
        time.sleep(0.01)
    loop.stop()
    assert loop.ticks >= ticks
    return loop
