# SPDX-License-Identifier: Apache-2.0
"""Where jobs are done: in processes of this machine, or on a Ray cluster; both keep the same promises."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from gr00t_sim.jobs.ray_workers import run_jobs_on_ray
from gr00t_sim.jobs.workers import run_jobs

Result = TypeVar("Result")


class Runner(Protocol):
    """Does every job once, also when a worker dies; see ``run_jobs``."""

    def __call__(
        self,
        jobs: Iterable[int],
        work: Callable[[int], Result],
        finished: Callable[[Result], object],
        died: Callable[[Sequence[int]], object],
    ) -> None: ...


def local_runner(workers: int) -> Runner:
    """``workers`` processes of this machine."""

    def run(
        jobs: Iterable[int],
        work: Callable[[int], Result],
        finished: Callable[[Result], object],
        died: Callable[[Sequence[int]], object],
    ) -> None:
        run_jobs(jobs, work, workers, finished, died)

    return run


def make_runner(workers: int, cluster: str | None) -> Runner:
    """Processes here, or a Ray cluster: the one at an address, 'auto' the one that runs here, 'local' one of ``workers``."""
    return local_runner(workers) if cluster is None else partial(run_jobs_on_ray, cluster, workers)
