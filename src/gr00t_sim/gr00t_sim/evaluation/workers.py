# SPDX-License-Identifier: Apache-2.0
"""Jobs in worker processes, of which any may die: what it was doing is done again by a new one."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import TypeVar

from gr00t_sim.evaluation.episode import EvaluationError

Job = TypeVar("Job")
Result = TypeVar("Result")

_MAX_DEATHS = 3  # a job that was running in so many deaths is taken for their cause


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    workers: int,
    finished: Callable[[Result], object],
    died: Callable[[Sequence[Job]], object] = lambda _: None,
) -> None:
    """``finished(work(job))`` for every job, as they end; ``work`` and jobs travel to spawned processes.

    died: told the jobs that were running when a worker died; they run again. An error of ``work`` ends it all and is
    raised here. Raises EvaluationError when workers die again and again.
    """
    waiting = deque(jobs)
    deaths: Counter[Job] = Counter()
    while waiting:
        lost = _until_a_death(waiting, work, workers, finished)
        if lost:
            died(lost)
            deaths.update(lost)
        if doomed := [str(job) for job in lost if deaths[job] >= _MAX_DEATHS]:
            raise EvaluationError(
                f"worker processes died {_MAX_DEATHS} times while these ran: {' | '.join(doomed)}; see the messages above "
                "and the machine's memory, and try fewer --workers; finished episodes are kept"
            )
        waiting.extend(lost)


def _until_a_death(
    waiting: deque[Job], work: Callable[[Job], Result], workers: int, finished: Callable[[Result], object]
) -> list[Job]:
    """Takes jobs from ``waiting`` until none is left or a worker died; returns those that were running then."""
    others = set(multiprocessing.active_children())
    running: dict[Future[Result], Job] = {}
    lost: list[Job] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context, initializer=_begin_worker) as pool:
        try:
            while running or (waiting and not lost):
                while waiting and not lost and len(running) < workers:  # no more, to know what a dead worker was doing
                    job = waiting.popleft()
                    try:
                        running[pool.submit(work, job)] = job
                    except BrokenProcessPool:
                        lost.append(job)
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
    return lost


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
