# SPDX-License-Identifier: Apache-2.0
"""A command that was not sent for its period is missed, counted once, whatever kept it; on a made clock."""

import numpy as np
import pytest

from gr00t_policy.runtime.slots import Slots

MS = 1_000_000
PERIOD_NS = 8_333_333  # 120 Hz


class Run:
    """Slots that are run on a made clock: each tick wakes ``late_ns`` after its slot and works for ``body_ns``."""

    def __init__(self) -> None:
        self.slots = Slots(PERIOD_NS)
        self.now_ns = 0
        self.sent_ns: list[int] = []

    def tick(self, late_ns: int = 0, body_ns: int = MS) -> None:
        began_ns = max(self.now_ns, self.slots.due_ns) + late_ns
        self.now_ns = began_ns + body_ns
        self.sent_ns.append(self.now_ns)
        self.slots.over(began_ns, self.now_ns)


def without_a_command(run: Run) -> int:
    """Periods that passed in which no command was sent, looked up one by one."""
    sent_in = {sent_ns // PERIOD_NS for sent_ns in run.sent_ns}
    return len(set(range(run.slots.due_ns // PERIOD_NS)) - sent_in)


def test_ticks_in_time_miss_nothing():
    run = Run()
    for _ in range(500):
        run.tick(late_ns=MS // 10, body_ns=3 * MS)
    assert (run.slots.passed, run.slots.missed, run.slots.missed_fraction) == (500, 0, 0.0)


def test_a_tick_that_wakes_6_and_a_half_ms_late_misses_the_command_that_is_skipped_for_it():
    """It ends in time, but the next slot is less than a quarter of a period after its begin: that command is never sent."""
    run = Run()
    run.tick()
    run.tick(late_ns=6_500_000)
    run.tick()
    assert (run.slots.late_ticks, run.slots.skipped, run.slots.missed) == (0, 1, 1)
    assert without_a_command(run) == 1
    assert run.slots.passed == 4


@pytest.mark.parametrize(("late_ns", "body_ns"), [(0, 300 * MS), (300 * MS, MS)], ids=["in the tick", "before it"])
def test_a_stall_of_300_ms_misses_37_commands(late_ns, body_ns):
    """The one whose tick was stopped comes 36 periods late, and 36 are never sent."""
    run = Run()
    run.tick(late_ns=late_ns, body_ns=body_ns)
    assert (run.slots.late_ticks, run.slots.skipped, run.slots.missed) == (1, 36, 37)
    assert run.slots.missed_fraction == 1.0
    assert without_a_command(run) == 36, "the command that came late is in a period, but not in its own"
    run.tick()
    assert run.slots.missed == 37 and run.slots.passed == 38


def test_whatever_delays_come_every_slot_counts_once_and_no_period_without_a_command_is_overlooked():
    random = np.random.default_rng(0)
    for _ in range(30):
        run = Run()
        for _ in range(200):
            run.tick(late_ns=int(random.exponential(2 * MS)), body_ns=int(random.exponential(3 * MS)))
        slots = run.slots
        assert slots.passed == slots.due_ns // PERIOD_NS
        assert without_a_command(run) <= slots.missed <= slots.passed
        assert (slots.missed == 0) == (slots.late_ticks == slots.skipped == 0)


def test_slots_that_are_moved_are_neither_missed_nor_run_twice():
    run = Run()
    run.tick()
    run.slots.move(-2 * MS)
    run.tick()
    run.tick()
    assert run.slots.due_ns == 3 * PERIOD_NS - 2 * MS
    assert run.slots.missed == 0


def test_the_time_after_slots_that_were_left_out_is_free_for_a_move_to_an_earlier_one():
    run = Run()
    run.slots.move(-2 * MS)
    run.tick(body_ns=300 * MS)
    assert run.slots.due_ns == 37 * PERIOD_NS - 2 * MS
    assert run.slots.missed == 37
