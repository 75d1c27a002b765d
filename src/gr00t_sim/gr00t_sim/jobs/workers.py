# SPDX-License-Identifier: Apache-2.0
"""Jobs in worker processes, of which any may die: what it was doing is done again by a new one."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing.connection import wait as wait_for_end
from typing import TypeVar

from gr00t_policy.core.errors import Gr00tError

Job = TypeVar("Job")
Result = TypeVar("Result")

MAX_DEATHS = 3  # a job that was running in so many deaths is taken for their cause


class WorkerError(Gr00tError):
    """Worker processes die again and again, or cannot be had."""


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job], Result],
    workers: int,
    finished: Callable[[Result], object],
    died: Callable[[Sequence[Job]], object] = lambda _: None,
    *,
    keeps: bool = True,
) -> None:
    """``finished(work(job))`` for every job, as they end; ``work`` and jobs travel to spawned processes.

    jobs: asked for the next one only when a worker is free, so it may look at what has finished, and stop.
    died: told the jobs that were running when a worker died; they run again. An error of ``work`` ends it all and is
    raised here. keeps: whether what has finished is there for a next run. Raises WorkerError when workers die again and
    again.
    """
    waiting = iter(jobs)
    deaths: Counter[Job] = Counter()
    while (first := next(waiting, None)) is not None:
        waiting = chain([first], waiting)
        lost = _until_a_death(waiting, work, workers, finished)
        if lost:
            died(lost)
            deaths.update(lost)
        if doomed := [str(job) for job in lost if deaths[job] >= MAX_DEATHS]:
            raise WorkerError(
                f"worker processes died {MAX_DEATHS} times while these ran: {' | '.join(doomed)}; see the messages above "
                f"and the machine's memory, and try fewer --workers{'; finished episodes are kept' if keeps else ''}"
            )
        waiting = chain(lost, waiting)


def _until_a_death(
    waiting: Iterator[Job], work: Callable[[Job], Result], workers: int, finished: Callable[[Result], object]
) -> list[Job]:
    """Takes jobs from ``waiting`` until none is left or a worker died; returns those that were running then."""
    others = set(multiprocessing.active_children())
    running: dict[Future[Result], Job] = {}
    lost: list[Job] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        try:
            while True:
                while not lost and len(running) < workers:  # no more, to know what a dead worker was doing
                    job = next(waiting, None)
                    if job is None:
                        break
                    try:
                        running[pool.submit(work, job)] = job
                    except BrokenProcessPool:
                        lost.append(job)
                if not running:
                    return lost
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        lost.append(job)
                    else:
                        finished(result)
        except BaseException:  # also Ctrl-C: do not wait for what is running
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            raise


def _begin_worker() -> None:
    """One core for one worker; Ctrl-C is for the parent alone; no worker outlives it."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when the engine that needs it imports it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)
