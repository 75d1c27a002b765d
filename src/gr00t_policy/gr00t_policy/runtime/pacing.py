# SPDX-License-Identifier: Apache-2.0
"""A loop on an absolute schedule of the steady clock, in its own thread, with real-time priority where allowed.

Slot k is at start + k / rate. Loops of one rate that name a phase keep it to each other, also in different processes of one
machine, since the steady clock is the same for all. Late ticks never run in a burst: what was missed is skipped and counted
(``slots.py``). Sleeping is ``clock_nanosleep`` to an absolute time of the steady clock, which does not drift, does not follow
jumps of the system clock, and releases the GIL.
"""

import ctypes
import ctypes.util
import errno
import logging
import os
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gr00t_policy.runtime.duration_counts import DurationCounts
from gr00t_policy.runtime.gate_grid import GateGrid
from gr00t_policy.runtime.latency import DurationRing, Percentiles, Spread, spread
from gr00t_policy.runtime.slots import Slots

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_TIMER_ABSTIME = 1
_NS = 1_000_000_000
_WINDOW_S = 10.0  # what statistics look back on


@dataclass(frozen=True)
class ThreadUsage:
    """What the kernel counted for the loop's thread since it began."""

    page_faults: int = 0  # without the disk
    disk_page_faults: int = 0
    preempted: int = 0  # involuntary context switches


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class PacedLoop:
    """Calls ``tick(now_ns)`` with the steady clock's time, ``rate_hz`` times a second, until ``stop``.

    priority: SCHED_FIFO priority of the loop's thread, 0 = ordinary; without the right to it the loop runs at
    ordinary priority and ``realtime`` is False. core: the thread keeps to it, -1 = any. spare: called after each tick with the
    nanoseconds left to the next slot. An exception of ``tick`` ends the loop: it is logged, and ``failure`` holds it for
    the owner, who must go to a safe state. ``on_failure`` is called from the thread then.
    """

    def __init__(
        self,
        name: str,
        rate_hz: float,
        tick: Callable[[int], object],
        priority: int = 0,
        on_failure: Callable[[BaseException], object] | None = None,
        *,
        core: int = -1,
        spare: Callable[[int], object] | None = None,
        phase_ns: int | None = None,
        grid: GateGrid | None = None,
    ) -> None:
        """phase_ns: slots are whole periods of the steady clock and so much more (or less); None: from the start on. grid: those
        periods are the command gate's."""
        self._phase_ns = phase_ns
        self.period_ns = round(_NS / rate_hz) if grid is None else grid.period_ns
        self._aligned_ns = self.period_ns if grid is None else grid.gate_ns
        self.slots = Slots(self.period_ns)
        self.lateness_counts = DurationCounts()  # of all ticks since the start
        self.nominal_hz = rate_hz
        self.realtime = False
        self.priority, self.core = priority, core
        self.usage = ThreadUsage()
        self.failure: BaseException | None = None
        self.name = name
        self._tick, self._on_failure, self._spare = tick, on_failure, spare
        kept = max(round(_WINDOW_S * rate_hz), 16)
        self._lateness, self._duration, self._period = DurationRing(kept), DurationRing(kept), DurationRing(kept)
        self._stamps_ns: list[int] = [0, 0]  # first and newest wake-up
        self._ticks_per_second = max(round(rate_hz), 2)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def rate_hz(self) -> float:
        """Ticks per second since the start, 0 before the second tick."""
        first, newest = self._stamps_ns
        return (self.ticks - 1) * _NS / (newest - first) if self.ticks > 1 and newest > first else 0.0

    @property
    def ticks(self) -> int:
        """Slots that were run."""
        return self.slots.ticks

    def lateness(self) -> Percentiles:
        """How long after its slot each tick began."""
        return self._lateness.percentiles()

    def duration(self) -> Percentiles:
        """How long each tick took."""
        return self._duration.percentiles()

    def periodicity_hz(self) -> Spread:
        """One over the time between the begins of two ticks, of the last ten seconds."""
        return spread(1.0 / np.maximum(self._period.values(), 1e-9))

    def execution_us(self) -> Spread:
        """How long each tick took, of the last ten seconds."""
        return spread(1e6 * self._duration.values())

    def start(self) -> None:
        self._thread.start()

    def move(self, by_ns: int) -> None:
        """The next slot and all after it come so much later, or earlier: in each tick by what costs no slot. At most a period."""
        self.slots.move(by_ns)

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop: what the running tick makes is not to be sent."""
        return self._stopping

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; after ``stop`` the last tick may."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Let the running tick end and join the thread; harmless when the loop is not running or from inside it. Returns whether
        the thread has ended: a tick that takes longer goes on, and is the last."""
        self._stopping = True
        if self.is_alive and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self.is_alive

    def _run(self) -> None:
        self.realtime = set_realtime_priority(self.priority) if self.priority > 0 else False
        self.core = self.core if self.core >= 0 and keep_to_core(self.core) else -1
        due_ns = time.monotonic_ns() + self.period_ns
        if self._phase_ns is not None:
            due_ns += (self._phase_ns - due_ns) % self._aligned_ns
        self.slots.due_ns = due_ns
        try:
            sleep_until_ns(due_ns)
            while not self._stopping:
                self._once()
                sleep_until_ns(self.slots.due_ns)
        except BaseException as error:  # noqa: BLE001 - a dead control thread must be known to its owner, whatever the cause
            self.failure = error
            _log.exception("loop '%s' ended by an error after %d ticks", self.name, self.ticks)
            if self._on_failure is not None:
                self._on_failure(error)

    def _once(self) -> None:
        """One tick, of the slot that is due."""
        began_ns = time.monotonic_ns()
        if self.ticks > 0:
            self._period.add((began_ns - self._stamps_ns[1]) / _NS)
        else:
            self._stamps_ns[0] = began_ns
        self._stamps_ns[1] = began_ns
        self._tick(began_ns)
        ended_ns = time.monotonic_ns()
        late_ns = began_ns - self.slots.due_ns
        self._lateness.add(late_ns / _NS)
        self.lateness_counts.add(late_ns)
        self._duration.add((ended_ns - began_ns) / _NS)
        self.slots.over(began_ns, ended_ns)
        if self.ticks % self._ticks_per_second == 1:
            self.usage = _thread_usage()
        if self._spare is not None:
            self._spare(self.slots.due_ns - time.monotonic_ns())


def sleep_until_ns(deadline_ns: int) -> None:
    """Sleep until the steady clock shows ``deadline_ns``; returns at once when that has passed."""
    wanted = _Timespec(deadline_ns // _NS, deadline_ns % _NS)
    while True:
        result = _libc.clock_nanosleep(time.CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(wanted), None)
        if result == 0:
            return
        if result != errno.EINTR:
            raise OSError(result, os.strerror(result))


def set_realtime_priority(priority: int) -> bool:
    """SCHED_FIFO for the calling thread; False (and a warning) without the right to it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (PermissionError, OSError) as error:
        _log.warning("no real-time priority (%s): grant rtprio %d in limits.conf or run as root", error, priority)
        return False
    return True


def keep_to_core(core: int) -> bool:
    """The calling thread runs on this core alone; False (and a warning) where there is no such core for it."""
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        allowed = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        _log.warning("the loop's thread is not kept to core %d (%s); this process may use: %s", core, error, allowed)
        return False
    return True


def _thread_usage() -> ThreadUsage:
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return ThreadUsage(used.ru_minflt, used.ru_majflt, used.ru_nivcsw)
