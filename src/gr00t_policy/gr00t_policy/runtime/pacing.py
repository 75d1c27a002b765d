# SPDX-License-Identifier: Apache-2.0
"""A loop on an absolute schedule of the steady clock, in its own thread, with real-time priority where allowed.

Slot k is at start + k / rate. Loops of one rate that name a phase keep it to each other, also in different processes of one
machine, since the steady clock is the same for all. A tick that ends after the next slot is a deadline miss; the loop then
skips to the next future slot and counts the slots it lost: it never runs late ticks in a burst. Sleeping is
``clock_nanosleep`` to an absolute time, which does not drift and releases the GIL.
"""

import ctypes
import ctypes.util
import errno
import gc
import logging
import os
import threading
import time
from collections.abc import Callable

from gr00t_policy.runtime.latency import DurationRing, Percentiles

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_TIMER_ABSTIME = 1
_NS = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class PacedLoop:
    """Calls ``tick(now_ns)`` with the steady clock's time, ``rate_hz`` times a second, until ``stop``.

    realtime_priority: SCHED_FIFO priority of the loop's thread, 0 = ordinary; without the right to it the loop runs
    at ordinary priority and ``realtime`` is False. An exception of ``tick`` ends the loop: it is logged, and
    ``failure`` holds it for the owner, who must go to a safe state. ``on_failure`` is called from the thread then.
    """

    def __init__(
        self,
        name: str,
        rate_hz: float,
        tick: Callable[[int], object],
        realtime_priority: int = 0,
        on_failure: Callable[[BaseException], object] | None = None,
        phase_ns: int | None = None,
    ) -> None:
        """phase_ns: slots are whole periods of the steady clock and so much more (or less); None: from the start on."""
        self._phase_ns = phase_ns
        self.period_ns = round(_NS / rate_hz)
        self.realtime = False
        self.failure: BaseException | None = None
        self.ticks = 0
        self.deadline_misses = 0
        self.slots_skipped = 0
        self._name, self._tick, self._priority, self._on_failure = name, tick, realtime_priority, on_failure
        self._lateness, self._duration = DurationRing(), DurationRing()
        self._stamps_ns: list[int] = [0, 0]  # first and newest wake-up
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def rate_hz(self) -> float:
        """Ticks per second since the start, 0 before the second tick."""
        first, newest = self._stamps_ns
        return (self.ticks - 1) * _NS / (newest - first) if self.ticks > 1 and newest > first else 0.0

    @property
    def miss_fraction(self) -> float:
        return self.deadline_misses / self.ticks if self.ticks else 0.0

    def lateness(self) -> Percentiles:
        """How long after its slot each tick began."""
        return self._lateness.percentiles()

    def duration(self) -> Percentiles:
        """How long each tick took."""
        return self._duration.percentiles()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Let the running tick end and join the thread; harmless when the loop is not running or from inside it."""
        self._stopping = True
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        self.realtime = set_realtime_priority(self._priority) if self._priority > 0 else False
        slot_ns = time.monotonic_ns() + self.period_ns
        if self._phase_ns is not None:
            slot_ns += (self._phase_ns - slot_ns) % self.period_ns
        try:
            sleep_until_ns(slot_ns)
            while not self._stopping:
                slot_ns = self._once(slot_ns)
                sleep_until_ns(slot_ns)
        except BaseException as error:  # noqa: BLE001 - a dead control thread must be known to its owner, whatever the cause
            self.failure = error
            _log.exception("loop '%s' ended by an error after %d ticks", self._name, self.ticks)
            if self._on_failure is not None:
                self._on_failure(error)

    def _once(self, slot_ns: int) -> int:
        """One tick; returns the next slot."""
        began_ns = time.monotonic_ns()
        self._stamps_ns[self.ticks > 0] = began_ns
        self._tick(began_ns)
        ended_ns = time.monotonic_ns()
        self.ticks += 1
        self._lateness.add((began_ns - slot_ns) / _NS)
        self._duration.add((ended_ns - began_ns) / _NS)
        slot_ns += self.period_ns
        if ended_ns > slot_ns:
            self.deadline_misses += 1
            lost = (ended_ns - slot_ns) // self.period_ns + 1
            self.slots_skipped += lost
            slot_ns += lost * self.period_ns
        return slot_ns


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


def freeze_garbage() -> None:
    """Take the collector out of a control process: what exists now is kept for good, and it never runs again.

    A full collection with torch and rclpy loaded takes tens of milliseconds, several control periods.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
