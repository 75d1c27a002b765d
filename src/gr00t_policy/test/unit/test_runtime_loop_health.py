# SPDX-License-Identifier: Apache-2.0
"""What a loop says of itself: thresholds judge it as they are set, garbage is collected in spare time alone."""

import gc
import json
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime import quiet_process
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.loop_health import Grade, LoopHealth, loop_health
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_policy.runtime.settings import settings_fields

WIDE = {
    "periodicity_mean_warn_hz": 1000.0, "periodicity_mean_error_hz": 1000.0,
    "periodicity_deviation_warn_hz": 1000.0, "periodicity_deviation_error_hz": 1000.0,
    "execution_mean_warn_us": 1e7, "execution_mean_error_us": 1e7,
    "execution_deviation_warn_us": 1e7, "execution_deviation_error_us": 1e7, "thread_priority": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def busy() -> PacedLoop:
    """A loop at 50 Hz that has run for more than a second, with ticks of 1 and 5 ms in turn."""
    count = [0]

    def tick(_: int) -> None:
        count[0] += 1
        time.sleep(0.001 + 0.004 * (count[0] % 2))

    loop = PacedLoop("test", 50.0, tick)
    loop.start()
    time.sleep(1.4)
    loop.stop()
    return loop


def judged(loop: PacedLoop, **limits: float) -> LoopHealth:
    return loop_health(loop, LoopSettings(**{**WIDE, **limits}))


def test_a_loop_within_wide_limits_is_fine(busy):
    health = judged(busy)
    assert (health.grade, health.faults) == (Grade.OK, ())
    assert health.nominal_hz == 50 and health.rate_hz > 30
    assert health.lateness.p50_s <= health.lateness.p99_s <= health.lateness.max_s


@pytest.mark.parametrize(
    ("limits", "grade", "words"),
    [
        ({"execution_mean_warn_us": 100.0}, Grade.WARN, "a tick takes"),
        ({"execution_mean_warn_us": 100.0, "execution_mean_error_us": 200.0}, Grade.ERROR, "a tick takes"),
        ({"execution_deviation_warn_us": 100.0}, Grade.WARN, "time of a tick varies by"),
        ({"periodicity_deviation_warn_hz": 0.001}, Grade.WARN, "rate varies by"),
    ],
)
def test_each_threshold_is_judged_by_itself(busy, limits, grade, words):
    health = judged(busy, **limits)
    assert health.grade is grade
    assert len(health.faults) == 1 and words in health.faults[0]


def test_a_loop_that_is_too_slow_is_an_error_that_names_both_rates():
    loop = PacedLoop("test", 100.0, lambda _: time.sleep(0.015))
    loop.start()
    time.sleep(2.3)
    loop.stop()
    health = judged(loop, periodicity_mean_warn_hz=5.0, periodicity_mean_error_hz=10.0)
    assert health.grade is Grade.ERROR and "Hz instead of 100 Hz" in health.faults[0]
    assert health.slots_skipped >= health.late_ticks > 50
    assert health.deadline_misses == health.late_ticks + health.slots_skipped


def test_nothing_is_judged_before_a_second_of_ticks():
    loop = PacedLoop("test", 100.0, lambda _: None)
    loop.start()
    time.sleep(0.2)
    loop.stop()
    assert judged(loop, execution_mean_warn_us=1.0, execution_mean_error_us=1.0).faults == ()


def test_a_priority_that_was_asked_for_and_not_given_is_a_warning(busy):
    assert "no real-time priority" in judged(busy, thread_priority=50).faults[0]


def test_thresholds_have_the_names_of_ros2_control():
    names = set(settings_fields(ControllerConfig))
    for what in ("periodicity", "execution_time"):
        for kind in ("mean_error", "standard_deviation"):
            for level in ("warn", "error"):
                assert f"diagnostics.threshold.controllers.{what}.{kind}.{level}" in names
    assert {"thread_priority", "cpu_affinity", "lock_memory"} <= names


def test_a_warning_above_its_error_is_refused():
    with pytest.raises(ConfigError, match="warns at 20, above its error at 10"):
        LoopSettings(periodicity_mean_warn_hz=20.0)


class Ring:
    """Garbage that only the collector frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[QuietProcess]:
    """A process that is quiet, and whose next collection is always due."""
    monkeypatch.setattr(quiet_process, "_COLLECT_PERIOD_NS", 0)
    process = QuietProcess()
    process.begin()
    yield process
    process.end()


def test_garbage_is_collected_in_spare_time_and_never_in_short_time(quiet):
    dead = weakref.ref(Ring())
    quiet.spare(100_000)
    assert dead() is not None, "0.1 ms is too short"
    quiet.spare(1_000_000_000)
    assert dead() is None and quiet.collections == 1


def test_a_long_collection_needs_long_spare_time_but_is_not_the_last(quiet):
    ballast = [[number] for number in range(200_000)]
    quiet.spare(10_000_000_000)
    took_ns = quiet.longest_collection_ns
    assert took_ns > 500_000 and ballast.pop()
    del ballast
    quiet.spare(2 * took_ns)
    assert quiet.collections == 1
    for _ in range(12):
        quiet.spare(2 * took_ns)
    assert quiet.collections > 1


def test_a_quiet_process_collects_at_most_once_a_second_and_becomes_an_ordinary_one_again():
    interval_s = sys.getswitchinterval()
    process = QuietProcess()
    process.begin()
    try:
        assert not gc.isenabled() and sys.getswitchinterval() < interval_s
        for _ in range(5):
            process.spare(10_000_000_000)
        assert process.collections == 1
    finally:
        process.end()
    assert gc.isenabled() and sys.getswitchinterval() == interval_s


def test_what_existed_before_is_not_looked_at_again():
    ballast = [[number] for number in range(300_000)]
    began_s = time.perf_counter()
    gc.collect()
    full_s = time.perf_counter() - began_s
    process = QuietProcess()
    process.begin()
    try:
        process.spare(1_000_000_000)
        assert process.longest_collection_ns / 1e9 < full_s / 4 and len(ballast) == 300_000
    finally:
        process.end()


# In a process of its own: locking brings the stacks and heaps of all threads into memory, a gigabyte of a process with torch.
_LOCKS = """
import json, logging, resource
from gr00t_policy.runtime.quiet_process import QuietProcess

def locked_kb():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmLck")).split()[1])

logging.basicConfig()
process = QuietProcess()
process.begin(lock_memory=True)
during = {"says": process.memory_locked, "kb": locked_kb()}
process.end()
unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
print(json.dumps({"during": during, "after": {"says": process.memory_locked, "kb": locked_kb()}, "unlimited": unlimited}))
"""


def test_memory_is_locked_only_where_the_process_may_lock_without_limit():
    done = subprocess.run([sys.executable, "-c", _LOCKS], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert found["during"]["says"] == (found["during"]["kb"] > 1000)
    assert found["during"]["says"] or found["unlimited"] or "memory is not locked" in done.stderr
    assert found["after"] == {"says": False, "kb": 0}
