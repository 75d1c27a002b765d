# SPDX-License-Identifier: Apache-2.0
"""The paced loop keeps absolute slots, counts what it misses, never bursts, and stops cleanly."""

import threading
import time

import numpy as np
import pytest

from gr00t_policy.runtime.latency import DurationRing, RateMeter
from gr00t_policy.runtime.pacing import PacedLoop, sleep_until_ns

MS = 1_000_000


def run_for(loop: PacedLoop, seconds: float) -> None:
    loop.start()
    time.sleep(seconds)
    loop.stop()


def test_ticks_lie_on_multiples_of_the_period_even_after_an_overrun():
    stamps: list[int] = []

    def tick(now_ns: int) -> None:
        stamps.append(now_ns)
        if len(stamps) == 5:
            time.sleep(0.075)  # three and three quarter slots

    loop = PacedLoop("test", 50.0, tick)
    run_for(loop, 0.6)
    slots = np.diff(stamps) / loop.period_ns
    assert loop.deadline_misses >= 1 and loop.slots_skipped >= 3
    assert slots[4] > 3.4, "the slots lost to the overrun are skipped"
    assert slots.min() > 0.02, "no burst afterwards"
    phases = (np.array(stamps) - stamps[0] + loop.period_ns // 2) % loop.period_ns - loop.period_ns // 2
    assert np.median(np.abs(phases)) < 4 * MS


def test_a_tick_that_raises_ends_the_loop_and_tells_its_owner():
    told: list[BaseException] = []
    heard = threading.Event()

    def fail(_: int) -> None:
        raise ValueError("no")

    loop = PacedLoop("test", 200.0, fail, on_failure=lambda error: (told.append(error), heard.set()))
    loop.start()
    assert heard.wait(2.0)
    loop.stop()
    assert isinstance(loop.failure, ValueError) and told == [loop.failure]


def test_stop_from_inside_a_tick_does_not_deadlock():
    loop: PacedLoop
    done = threading.Event()

    def tick(_: int) -> None:
        loop.stop()
        done.set()

    loop = PacedLoop("test", 200.0, tick)
    loop.start()
    assert done.wait(2.0)


def test_sleeping_until_a_time_in_the_past_returns_at_once():
    before = time.monotonic_ns()
    sleep_until_ns(before - 60_000 * MS)
    assert time.monotonic_ns() - before < 10_000 * MS


def test_sleep_never_ends_early():
    for _ in range(10):
        deadline = time.monotonic_ns() + 3 * MS
        sleep_until_ns(deadline)
        assert time.monotonic_ns() >= deadline


def test_ring_gives_percentiles_of_the_newest_values_only():
    ring = DurationRing(100)
    for value in range(1000):
        ring.add(float(value))
    found = ring.percentiles()
    assert (found.p50_s, found.max_s, found.count, ring.newest_s) == (pytest.approx(949.5), 999.0, 100, 999.0)
    assert DurationRing().percentiles().count == 0


def test_rate_falls_when_events_stop():
    meter = RateMeter()
    for index in range(100):
        meter.add(index * 10 * MS)
    assert meter.rate_hz(991 * MS) == pytest.approx(100.0, rel=1e-3)
    assert meter.rate_hz(10_000 * MS) < 11
    assert RateMeter().rate_hz(0) == 0.0


@pytest.mark.parametrize("phase_ns", [0, 3 * MS, -3 * MS])
def test_a_phase_is_kept_to_the_steady_clock_whenever_the_loop_starts(phase_ns):
    stamps: list[int] = []
    for start in range(3):
        time.sleep(0.007 * start)
        run_for(loop := PacedLoop("test", 100.0, stamps.append, phase_ns=phase_ns), 0.15)
    late = (np.array(stamps) - phase_ns) % loop.period_ns
    assert np.median(late) < 2 * MS
