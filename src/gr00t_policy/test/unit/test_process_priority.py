# SPDX-License-Identifier: Apache-2.0
"""Real-time priority for a whole process, without the standstill that a thread which never sleeps would bring."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gr00t_policy.runtime.process_priority import lower_all_threads, raise_all_threads

PRIORITY = 3


def may_be_real_time() -> bool:
    ask = f"import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param({PRIORITY}))"
    return subprocess.run([sys.executable, "-c", ask], check=False, capture_output=True).returncode == 0


needs_the_right = pytest.mark.skipif(not may_be_real_time(), reason="no right to SCHED_FIFO (rtprio in limits.conf)")


def rename(name: str) -> None:
    """The calling thread's name, as /proc shows it."""
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)


class Threads:
    """Threads with names that wait until all is over."""

    def __init__(self, *names: str) -> None:
        self._over = threading.Event()
        self.numbers: dict[str, int] = {}
        self._threads = [threading.Thread(target=self._wait, args=(name,)) for name in names]
        for thread in self._threads:
            thread.start()
        while len(self.numbers) < len(names):
            time.sleep(0.001)

    def _wait(self, name: str) -> None:
        rename(name)
        self.numbers[name] = threading.get_native_id()
        self._over.wait()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def scheduling(self) -> dict[str, tuple[int, int]]:
        return {
            name: (os.sched_getscheduler(number), os.sched_getparam(number).sched_priority)
            for name, number in self.numbers.items()
        }


@needs_the_right
def test_all_threads_are_raised_and_lowered_except_the_senders_that_spin():
    threads = Threads("worker", "dds.udp.7411", "dds.asyn.0.0")
    ordinary = dict.fromkeys(threads.numbers, (os.SCHED_OTHER, 0))
    try:
        assert threads.scheduling() == ordinary
        assert raise_all_threads(PRIORITY)
        real_time = (os.SCHED_FIFO, PRIORITY)
        assert threads.scheduling() == {**ordinary, "worker": real_time, "dds.udp.7411": real_time}
        late = Threads("dds.asyn.1.0")  # of a participant that is made later: it inherits
        try:
            assert late.scheduling() == {"dds.asyn.1.0": real_time}
            assert raise_all_threads(PRIORITY)
            assert late.scheduling() == {"dds.asyn.1.0": (os.SCHED_OTHER, 0)}
        finally:
            late.end()
        lower_all_threads()
        assert threads.scheduling() == ordinary
    finally:
        lower_all_threads()
        threads.end()


@needs_the_right
def test_a_sender_that_spins_for_a_lock_does_not_keep_its_holder_from_running():
    """One core, as two senders leave of two: with the holder's priority the sender would never let it run again."""
    command = [sys.executable, str(Path(__file__)), "spin"]
    process = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert process.stdout.split() == ["released"], process.stderr


def spin() -> None:
    """A thread named like Fast DDS' sender asks for a lock that the main thread holds while it sleeps for a moment."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lock, begun = threading.Lock(), threading.Event()
    deadline = time.monotonic() + 20  # a machine whose core is taken for good would tell nothing

    def sender() -> None:
        rename("dds.asyn.0.0")
        begun.set()
        # try_lock of the C library: neither sleeps nor gives the core away, and holds no interpreter lock meanwhile
        while not lock.acquire(blocking=False) and time.monotonic() < deadline:
            pass

    lock.acquire()
    thread = threading.Thread(target=sender)
    thread.start()
    begun.wait()
    raise_all_threads(PRIORITY)
    time.sleep(0.05)
    in_time = time.monotonic() < deadline - 5
    lock.release()
    thread.join()
    print("released" if in_time else "the sender kept the core")  # noqa: T201


if __name__ == "__main__":
    spin()
