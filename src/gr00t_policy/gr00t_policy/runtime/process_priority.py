# SPDX-License-Identifier: Apache-2.0
"""The scheduling of all threads of this process, so that none of them is preempted while the control thread waits for it.

A real-time thread that needs the interpreter lock or a worker of the inference engine waits for their ordinary priority.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)


def raise_all_threads(priority: int) -> bool:
    """SCHED_FIFO for every ordinary thread that exists now; threads made by them later inherit it. False without the right."""
    return _set_all(os.SCHED_OTHER, os.SCHED_FIFO, priority)


def lower_all_threads() -> bool:
    """Ordinary scheduling for every real-time thread: the inverse of ``raise_all_threads``."""
    return _set_all(os.SCHED_FIFO, os.SCHED_OTHER, 0)


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


def _set_all(old: int, new: int, priority: int) -> bool:
    for thread in Path("/proc/self/task").iterdir():
        number = int(thread.name)
        try:
            if os.sched_getscheduler(number) == old:
                os.sched_setscheduler(number, new, os.sched_param(priority))
        except ProcessLookupError:
            continue  # it ended meanwhile
        except PermissionError as error:
            _log.warning(
                "the process keeps its priority (%s): grant rtprio %d in limits.conf or run as root", error, priority
            )
            return False
    return True
