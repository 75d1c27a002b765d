# SPDX-License-Identifier: Apache-2.0
"""A loop begins so long before the gate ticks that what it commands is there in time, as measured while it runs."""

import time

import numpy as np
import pytest

from gr00t_policy.runtime.gate_grid import gate_grid
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.slots import Slots
from gr00t_policy.runtime.tick_lead import HAND_OVER_NS, USUAL_HAND_OVER_NS, TickLead

MS = 1_000_000
GRID = gate_grid(120.0, 120.0)
SECOND = 120  # ticks
DEAD_BAND_NS = 0.021 * GRID.span_ns


def measured(first_ms: float = 1.5, in_time: float = 0.999) -> TickLead:
    """Its inputs are there for all leads."""
    lead = TickLead(GRID, 0.0, round(first_ms * MS), in_time)
    lead.input_ns = GRID.span_ns
    return lead


def follow(lead: TickLead, needed_ms: np.ndarray) -> np.ndarray:
    """The lead after each of these commands [ns], of ticks that have it at once."""
    leads = []
    for needed in needed_ms:
        lead.add(round(float(needed) * MS), lead.lead_ns)
        leads.append(lead.lead_ns)
    return np.array(leads)


@pytest.mark.parametrize("needed_ms", [0.2, 1.0, 2.5, 5.0, 6.7])
@pytest.mark.parametrize("first_ms", [0.7, 3.0, 7.5])
def test_commands_that_all_need_the_same_are_in_time_and_the_lead_comes_to_rest(first_ms, needed_ms):
    lead = measured(first_ms)
    leads = follow(lead, np.full(50 * SECOND, needed_ms))
    wanted_ns = needed_ms * MS + HAND_OVER_NS
    assert -1 <= leads[-1] - wanted_ns <= DEAD_BAND_NS
    assert len(set(leads[-5 * SECOND :])) == 1
    assert lead.late <= 2, "those by which it learned"
    assert (np.diff(leads) >= 0).all() or (np.diff(leads) <= 0).all(), "it goes there by one way"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("in_time", [0.999, 0.95])
def test_whatever_commands_need_so_many_are_in_time_and_the_lead_does_not_swing(seed, in_time):
    """Times with a long tail, as a busy machine's: a third of the mean wide, one in fifty 3 ms longer."""
    rng, minutes = np.random.default_rng(seed), 5
    needed = rng.gamma(9.0, 0.15, 60 * minutes * SECOND) + 3.0 * (rng.random(60 * minutes * SECOND) < 0.02)
    lead = measured(in_time=in_time)
    learning = follow(lead, needed[: 30 * SECOND])
    learned = lead.late
    assert learned <= 60 + 1.3 * (1.0 - in_time) * len(learning)
    settled = follow(lead, needed[30 * SECOND :])
    assert (lead.late - learned) / len(settled) <= 1.4 * (1.0 - in_time)
    assert max(learning.max(), settled.max()) <= 0.9 * GRID.span_ns
    slowest = np.quantile(needed, in_time) * MS + HAND_OVER_NS
    assert abs(np.median(settled) - slowest) < 0.7 * MS
    second = settled[::SECOND]
    turns = np.count_nonzero(np.diff(np.sign(np.diff(second)[np.diff(second) != 0])))
    assert turns <= len(second) / 5 and np.ptp(second) < 2.5 * MS
    assert (np.diff(second) >= -0.04 * GRID.span_ns).all(), "it shrinks slowly"


def test_one_slow_tick_in_twenty_seconds_changes_nothing_and_a_second_one_counts_at_once():
    lead = measured(2.0)
    quiet = np.full(3 * SECOND, 1.2)
    assert len(set(follow(lead, quiet))) == 1
    assert set(follow(lead, np.array([6.0, *quiet]))) == {2.0 * MS}
    assert follow(lead, np.array([3.0]))[0] == 3 * MS + HAND_OVER_NS, "what all but one would have needed"


def test_a_slow_spell_makes_a_handful_of_commands_late_and_is_forgotten_slowly():
    lead, rng = measured(2.5), np.random.default_rng(1)
    follow(lead, rng.normal(1.5, 0.05, 20 * SECOND))
    before_ns, late = lead.lead_ns, lead.late
    leads = follow(lead, rng.normal(4.5, 0.1, 20 * SECOND))
    assert lead.late - late <= 25, "of 2400"
    assert leads[5] >= 4.5 * MS + HAND_OVER_NS - 0.3 * MS, "after two ticks it knows"
    after = follow(lead, rng.normal(1.5, 0.05, 60 * SECOND))
    assert after[: 18 * SECOND].min() > leads[-1] - 0.3 * MS, "twenty seconds without need"
    assert (np.diff(after[::SECOND]) <= 0).all() and after[-1] == pytest.approx(before_ns, abs=DEAD_BAND_NS + 0.2 * MS)


def test_spells_that_come_and_go_do_not_make_it_swing_with_them():
    lead, rng = measured(), np.random.default_rng(2)
    spells = np.concatenate([rng.normal(mean, 0.1, 3 * SECOND) for mean in [1.5, 4.0] * 20])
    leads = follow(lead, spells)[30 * SECOND :]
    assert np.ptp(leads) < 0.4 * MS and leads.min() > 4.0 * MS
    assert lead.late < 60, "of 14,400"


def with_inputs(lead: TickLead, inputs_ms: np.ndarray, needed_ms: np.ndarray) -> np.ndarray:
    """The lead after each command [ns]; inputs that were there so long before the gate's slots are looked at once a second."""
    leads = []
    for second in np.split(needed_ms, len(needed_ms) // SECOND):
        lead.look_at_inputs(inputs_ms * MS)
        leads.append(follow(lead, second))
    return np.concatenate(leads)


@pytest.mark.parametrize("needs_ms", [1.5, 2.5, 3.0, 3.5, 4.0])
def test_a_lead_for_inputs_with_a_phase_leaves_as_few_old_commands_as_any_could(needs_ms):
    """Old: made from the input of the period before, or late for the gate."""
    rng = np.random.default_rng(3)
    needed = rng.normal(needs_ms, 0.3, 60 * SECOND)
    inputs = 4.4 - rng.exponential(0.15, 1000)
    lead = measured()
    settled = with_inputs(lead, inputs, needed)[-1] / MS

    def old(lead_ms: float) -> float:
        return float(np.mean(inputs < lead_ms) + np.mean(needed + USUAL_HAND_OVER_NS / MS > lead_ms))

    assert old(settled) <= min(old(each) for each in np.linspace(0.0, 7.5, 76)) + 0.02


def test_no_tick_begins_before_its_input_to_save_a_few_commands_from_being_late():
    lead, rng = measured(first_ms=6.5), np.random.default_rng(3)
    inputs = 4.4 - rng.exponential(0.1, 1000)
    leads = with_inputs(lead, inputs, rng.normal(3.0, 0.5, 30 * SECOND))
    assert leads.max() < 4.35 * MS, "from the first on, though one in thirty is late for it"
    assert leads[-1] > 3.8 * MS


def test_an_input_that_no_tick_can_wait_for_is_not_waited_for_and_the_choice_does_not_flutter():
    lead, rng = measured(), np.random.default_rng(4)
    leads = with_inputs(lead, np.full(1000, 1.0), rng.normal(2.0, 0.1, 30 * SECOND))  # 0.6 ms for a tick
    assert leads[-1] > 2.7 * MS
    leads = with_inputs(lead, np.full(1000, 2.1), rng.normal(2.0, 0.2, 30 * SECOND))  # one in fourteen could be in time
    assert leads.min() > 2.6 * MS
    leads = with_inputs(lead, np.full(1000, 2.5), rng.normal(2.0, 0.2, 30 * SECOND))  # two of three
    assert leads[-1] <= 2.5 * MS and lead.input_ns is not None
    leads = with_inputs(lead, np.full(1000, 2.1), rng.normal(2.0, 0.2, 30 * SECOND))  # a few are better than none
    assert leads[-1] <= 2.1 * MS


def test_inputs_that_come_at_any_time_bind_nothing():
    lead, rng = measured(), np.random.default_rng(5)
    lead.look_at_inputs(None)
    follow(lead, rng.normal(5.0, 0.1, 5 * SECOND))
    lead.look_at_inputs(None)
    assert lead.input_ns is None and lead.lead_ns > 5.5 * MS


def test_where_inputs_come_at_any_time_a_few_late_commands_do_not_make_all_of_them_older():
    lead, rng = measured(), np.random.default_rng(6)
    lead.look_at_inputs(None)
    follow(lead, np.full(SECOND, 1.5))  # as every first second, not counted
    assert (follow(lead, np.array([6.0, 6.5, 7.0, 5.0])) == lead.lead_ns).all(), "nor a slow start"
    quiet = rng.normal(1.5, 0.1, 25 * SECOND)
    before_ns = follow(lead, quiet)[-1]
    leads = follow(lead, np.concatenate([np.full(10, 6.0), quiet]))
    assert leads.max() - before_ns < 0.2 * MS
    late = lead.late
    assert follow(lead, np.full(SECOND, 3.0))[-1] == 3 * MS + HAND_OVER_NS and lead.late - late < 40, "a spell counts"


def test_what_the_user_asks_for_is_kept_and_what_is_late_for_it_is_counted():
    lead = TickLead(GRID, 0.004, 0, 0.999)
    lead.input_ns = round(2.0 * MS)
    leads = follow(lead, np.full(3 * SECOND, 5.0))
    assert set(leads) == {4 * MS}
    assert lead.late == 2 * SECOND, "of all but the first second's"


@pytest.mark.parametrize(("rate_hz", "gate_rate_hz"), [(60.0, 120.0), (240.0, 120.0), (500.0, 500.0), (10.0, 50.0)])
def test_at_other_rates_it_is_the_same_in_parts_of_the_shorter_period(rate_hz, gate_rate_hz):
    grid = gate_grid(rate_hz, gate_rate_hz)
    lead = TickLead(grid, 0.0, 10**9, 0.999)
    lead.input_ns = grid.span_ns
    assert lead.lead_ns == round(0.9 * grid.span_ns)
    for _ in range(round(60 * rate_hz)):
        lead.add(round(0.3 * grid.span_ns), lead.lead_ns)
    assert -1 <= lead.lead_ns - (0.3 * grid.span_ns + HAND_OVER_NS) <= 0.021 * grid.span_ns


class MadeLoop:
    """A loop on a made clock, led by ``lead``: each tick sends its command after ``sent_ms`` and ends after ``body_ms``."""

    def __init__(self, lead: TickLead) -> None:
        self.lead, self.slots = lead, Slots(lead.grid.period_ns)
        self.slots.due_ns = 1000 * lead.grid.gate_ns - lead.lead_ns
        self.behind = 0  # commands that the gate had not read at its slot

    def move(self, by_ns: int) -> None:
        self.slots.move(by_ns)

    def run(self, ticks: int, sent_ms: float, body_ms: float = 0.0) -> None:
        for _ in range(ticks):
            began_ns = self.slots.due_ns
            sent_ns = began_ns + round(sent_ms * MS)
            self.behind += sent_ns + HAND_OVER_NS > began_ns + self.lead.grid.lead_ns(began_ns)
            self.lead.sent(self, sent_ns)
            self.slots.over(began_ns, max(sent_ns, began_ns + round(body_ms * MS)))


@pytest.mark.parametrize("slow_ms", [3.5, 5.0, 5.5, 6.0, 6.5])
def test_ticks_that_stay_slow_get_the_lead_they_need_and_late_commands_are_counted_as_long_as_they_do_not(slow_ms):
    lead = measured(3.4)
    loop = MadeLoop(lead)
    loop.run(10 * SECOND, 2.5)
    assert loop.behind == lead.late == 0
    loop.run(10 * SECOND, slow_ms)
    assert 0 < loop.behind <= 6, "of 1200"
    assert lead.late == loop.behind
    assert GRID.lead_ns(loop.slots.due_ns) == pytest.approx(slow_ms * MS + HAND_OVER_NS, abs=0.01 * GRID.span_ns)
    assert loop.slots.missed == 0


def test_a_lead_that_cannot_be_had_is_no_excuse_every_late_command_is_counted():
    """Ticks that last a period leave no room to begin earlier."""
    lead = measured(3.4)
    loop = MadeLoop(lead)
    loop.run(10 * SECOND, 2.5)
    loop.run(10 * SECOND, 5.5, body_ms=8.333)
    assert GRID.lead_ns(loop.slots.due_ns) < 4.5 * MS
    assert loop.behind == lead.late == 10 * SECOND


def test_a_move_that_was_asked_for_and_is_no_longer_wanted_is_taken_back():
    """Ticks that last a period leave a move waiting; the lead that wanted it is gone before it was made."""
    lead = measured(3.4)
    loop = MadeLoop(lead)
    loop.run(10 * SECOND, 2.5)
    before_ns = lead.lead_ns
    lead.lead_ns = round(6.2 * MS)
    loop.run(1, 2.5, body_ms=GRID.period_ns / MS)
    lead.lead_ns = before_ns
    due_ns = loop.slots.due_ns
    loop.run(1, 2.5)
    assert loop.slots.due_ns == due_ns + GRID.period_ns


def test_a_running_loop_is_led_to_its_phase_without_a_miss():
    grid = gate_grid(200.0, 200.0)
    lead, begins = TickLead(grid, 0.002, 0, 0.999), []

    def tick(now_ns: int) -> None:
        begins.append(grid.lead_ns(loop.slots.due_ns))
        lead.sent(loop, now_ns)

    loop = PacedLoop("led", 200.0, tick, phase_ns=-500_000, grid=grid)
    loop.start()
    time.sleep(0.15)
    loop.stop()
    assert begins[0] == 500_000
    assert begins[-1] == 2_000_000 and begins == sorted(begins)
    assert loop.slots.skipped <= 8, "of 30, on a busy machine; test_gate_grid.py has the same on a made clock"
