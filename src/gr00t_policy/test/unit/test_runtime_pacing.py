# SPDX-License-Identifier: Apache-2.0
"""The paced loop keeps absolute slots, counts what it misses, never bursts, and stops cleanly."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from gr00t_policy.runtime.head_worker import HeadWorker
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
    assert loop.slots.late_ticks >= 1 and loop.slots.skipped >= 3
    assert slots[4] > 3.4, "the slots lost to the overrun are skipped"
    assert slots.min() > 0.02, "no burst afterwards"
    phases = (np.array(stamps) - stamps[0] + loop.period_ns // 2) % loop.period_ns - loop.period_ns // 2
    assert np.median(np.abs(phases - np.median(phases))) < 4 * MS


def test_late_ticks_never_come_in_a_burst_whatever_makes_them_late():
    """Two ticks begin at least a quarter of a period apart, and no slot is run twice."""
    delays = np.random.default_rng(0).choice([0.0, 0.3, 0.8, 0.99, 1.4, 3.2], 60)
    stamps: list[int] = []

    def tick(now_ns: int) -> None:
        stamps.append(now_ns)
        time.sleep(0.005 * delays[len(stamps) % 60])

    loop = PacedLoop("test", 200.0, tick)
    run_for(loop, 0.8)
    steps = np.diff(stamps) / loop.period_ns
    assert loop.slots.late_ticks > 5 and loop.slots.skipped >= loop.slots.late_ticks
    assert steps.min() >= 0.25
    slots = (stamps[-1] - stamps[0]) / loop.period_ns
    assert len(stamps) - 1 + loop.slots.skipped == pytest.approx(slots, abs=8), "each slot was run or counted"


def test_a_process_that_was_stopped_for_300_ms_goes_on_in_its_slots_without_making_up_for_it():
    program = (
        "import sys, time\nfrom gr00t_policy.runtime.pacing import PacedLoop\n"
        "loop = PacedLoop('test', 100.0, lambda now_ns: print(now_ns, flush=True))\nloop.start()\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            stamps = [int(process.stdout.readline()) for _ in range(20)]
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)
            stamps += [int(process.stdout.readline()) for _ in range(30)]
        finally:
            process.kill()
    steps_ms = np.diff(stamps) / MS
    assert steps_ms.max() > 280
    after = steps_ms[int(np.argmax(steps_ms)) + 1 :]
    assert after.min() >= 2.5, "no burst"
    assert len(after[after < 7.5]) <= len(after[after > 12.5]) + 1, "nothing is made up for"


def test_a_thread_that_holds_the_interpreter_makes_ticks_late_but_not_many_at_once():
    stamps: list[int] = []
    loop = PacedLoop("test", 200.0, stamps.append)
    garbage = [[place] for place in range(400_000)]
    loop.start()
    time.sleep(0.1)
    for _ in range(3):
        gc.collect()  # in one piece, with the interpreter lock
    time.sleep(0.1)
    loop.stop()
    assert garbage and np.diff(stamps).min() >= loop.period_ns / 4
    assert loop.lateness().max_s > 0.005 and loop.slots.skipped > 0


def test_a_loop_keeps_to_its_core_and_says_so():
    core = sorted(os.sched_getaffinity(0))[-1]
    seen: list[set[int]] = []
    loop = PacedLoop("test", 200.0, lambda _: seen.append(os.sched_getaffinity(0)), core=core)
    run_for(loop, 0.05)
    assert seen[0] == {core} and loop.core == core
    assert os.sched_getaffinity(0) != {core} or len(os.sched_getaffinity(0)) == 1, "other threads are free"


def test_a_core_that_does_not_exist_is_a_warning_with_the_cores_there_are(caplog):
    loop = PacedLoop("test", 200.0, lambda _: None, core=1000)
    run_for(loop, 0.05)
    assert loop.core == -1 and loop.ticks > 0
    assert "not kept to core 1000" in caplog.text and "this process may use: 0" in caplog.text


def test_spare_time_is_offered_after_each_tick_and_never_longer_than_a_period():
    offered: list[int] = []
    loop = PacedLoop("test", 100.0, lambda _: time.sleep(0.004), spare=offered.append)
    run_for(loop, 0.2)
    assert len(offered) == loop.ticks
    assert max(offered) < 6 * MS + loop.period_ns


def test_statistics_of_the_loop_are_those_of_its_ticks():
    stamps: list[int] = []
    loop = PacedLoop("test", 100.0, stamps.append)
    run_for(loop, 0.4)
    rates = 1e9 / np.diff(stamps)
    found = loop.periodicity_hz()
    assert (found.count, found.mean, found.std) == (len(rates), pytest.approx(rates.mean()), pytest.approx(rates.std()))
    assert (found.min, found.max) == (pytest.approx(rates.min()), pytest.approx(rates.max()))
    assert loop.execution_us().count == loop.ticks


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


@pytest.mark.parametrize("kind", ["loop", "worker"])
def test_stop_says_whether_the_thread_has_ended_and_what_runs_then_is_the_last(kind):
    inside, goes_on, times = threading.Event(), threading.Event(), []

    def work(_: int = 0) -> bool:
        times.append(time.monotonic())
        inside.set()
        goes_on.wait(20.0)
        return True

    thread = PacedLoop("test", 200.0, work) if kind == "loop" else HeadWorker(work)
    thread.start()
    assert inside.wait(5.0)
    assert not thread.stop(0.05) and thread.is_alive
    goes_on.set()
    assert thread.stop(5.0) and not thread.is_alive
    assert len(times) == 1 and thread.failure is None


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
