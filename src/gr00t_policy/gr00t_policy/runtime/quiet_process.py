# SPDX-License-Identifier: Apache-2.0
"""Keeps the rest of a process from delaying its paced loop: garbage collection, other Python threads, paging.

A full collection with torch and rclpy loaded takes 50 to 300 ms, many control periods. So what exists at the start is kept
for good and the collector is switched off; what has come since is collected by the loop itself, in the spare time after a
tick, where 0.1 ms hurts nobody.
"""

import ctypes
import ctypes.util
import gc
import logging
import resource
import sys
import time

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_COLLECT_PERIOD_NS = 1_000_000_000
_MARGIN = 4  # spare time must be so many times the longest of the recent collections, and at least half a millisecond
_FIRST_NS = 500_000
# A thread that computes in Python gives the interpreter lock away after this time instead of 5 ms.
_SWITCH_INTERVAL_S = 0.0005


class QuietProcess:
    """``begin`` and ``end`` around the life of the loop; ``spare`` is for the loop, after each tick."""

    def __init__(self) -> None:
        self.collections = 0
        self.longest_collection_ns = 0
        self.memory_locked = False
        self._begun = False
        self._due_ns = self._expected_ns = 0
        self._switch_interval_s = sys.getswitchinterval()

    def begin(self, *, lock_memory: bool = False) -> None:
        """Collect once, then keep what exists. lock_memory: also keep all pages in memory, if the process may."""
        self._begun = True
        self.memory_locked = lock_memory and _lock_memory()
        self._switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(min(_SWITCH_INTERVAL_S, self._switch_interval_s))
        gc.collect()
        gc.freeze()
        gc.disable()

    def end(self) -> None:
        """As before ``begin``; harmless without it."""
        if not self._begun:
            return
        self._begun = False
        gc.unfreeze()
        gc.enable()
        sys.setswitchinterval(self._switch_interval_s)
        if self.memory_locked:
            self.memory_locked = False
            _libc.munlockall()

    def spare(self, spare_ns: int) -> None:
        """Collect what has come since ``begin``, at most once a second, if that surely fits into ``spare_ns``."""
        began_ns = time.monotonic_ns()
        if began_ns < self._due_ns:
            return
        self._due_ns = began_ns + _COLLECT_PERIOD_NS
        self._expected_ns = self._expected_ns * 9 // 10  # one long collection must not be the last
        if spare_ns < max(_FIRST_NS, _MARGIN * self._expected_ns):
            return
        gc.collect()
        took_ns = time.monotonic_ns() - began_ns
        self.collections += 1
        self.longest_collection_ns = max(took_ns, self.longest_collection_ns)
        self._expected_ns = max(took_ns, self._expected_ns)


def _lock_memory() -> bool:
    """mlockall; False (and a warning) where a limit stands against it: then every later allocation could fail."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and not _may_lock_without_limit():
        _log.warning("memory is not locked: the limit is %d bytes; grant memlock unlimited in limits.conf", limit)
        return False
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        _log.warning("memory is not locked (errno %d)", ctypes.get_errno())
        return False
    return True


def _may_lock_without_limit() -> bool:
    """CAP_IPC_LOCK, bit 14 of the effective capabilities."""
    with open("/proc/self/status") as status:
        effective = next(line for line in status if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> 14 & 1)
