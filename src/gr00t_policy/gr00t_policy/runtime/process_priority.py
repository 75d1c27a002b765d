# SPDX-License-Identifier: Apache-2.0
"""The scheduling of all threads of this process, so that none of them is preempted while the control thread waits for it.

A real-time thread that needs the interpreter lock or a worker of the inference engine waits for their ordinary priority.

Fast DDS' asynchronous senders (resends; whole messages in the asynchronous publication mode alone) are the exception. While
another thread holds a writer's lock they ask for it again and again without sleeping; with real-time priority, one of them for
each core keeps a holder of the same or a lower priority from ever running (seen: two senders, two cores, the machine at a
standstill). So they stay ordinary, where the kernel gives everybody a turn.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger(__name__)
_SPINS = "dds.asyn"  # how the names of Fast DDS' asynchronous senders begin


def raise_all_threads(priority: int) -> bool:
    """SCHED_FIFO for every ordinary thread that exists now; threads made by them later inherit it. False without the right.

    Fast DDS' asynchronous senders become ordinary, whatever they are: one that was made since then inherited it.
    """
    try:
        for number in _threads():
            _raise(number, priority)
    except PermissionError as error:
        _log.warning(
            "the process keeps its priority (%s): grant rtprio %d in limits.conf or run as root", error, priority
        )
        return False
    return True


def lower_all_threads() -> None:
    """Ordinary scheduling for every real-time thread: the inverse of ``raise_all_threads``."""
    for number in _threads():
        _set(number, os.SCHED_FIFO, os.SCHED_OTHER, 0)


@contextmanager
def raised(priority: int) -> Iterator[None]:
    """All threads at ``priority`` for the time of a ``with`` block; 0: as they are."""
    if priority > 0:
        raise_all_threads(priority)
    try:
        yield
    finally:
        if priority > 0:
            lower_all_threads()


def _threads() -> list[int]:
    return [int(thread.name) for thread in Path("/proc/self/task").iterdir()]


def _raise(number: int, priority: int) -> None:
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        if Path(f"/proc/self/task/{number}/comm").read_text().startswith(_SPINS):
            _set(number, os.SCHED_FIFO, os.SCHED_OTHER, 0)
        else:
            _set(number, os.SCHED_OTHER, os.SCHED_FIFO, priority)


def _set(number: int, old: int, new: int, priority: int) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        if os.sched_getscheduler(number) == old:
            os.sched_setscheduler(number, new, os.sched_param(priority))
