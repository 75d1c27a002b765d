# SPDX-License-Identifier: Apache-2.0
"""The same jobs on a Ray cluster: one per core, results as plain data, what a dead worker did is done again by Ray."""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.jobs.workers import MAX_DEATHS, WorkerError

Job = TypeVar("Job")
Result = TypeVar("Result")

_LOOPBACK = "127.0.0.1"


def run_jobs_on_ray(
    address: str,
    workers: int,
    jobs: Iterable[Job],
    work: Callable[[Job], Result],
    finished: Callable[[Result], object],
    died: Callable[[Sequence[Job]], object] = lambda _: None,
) -> None:
    """As ``run_jobs``, on the cluster at ``address``; 'auto': the one that runs here, else one of ``workers`` on loopback.

    Dead workers are replaced without a word: ``died`` is never told. Raises ConfigError when ray is not installed or the
    cluster is not there, WorkerError when workers die again and again.
    """
    with _cluster(address, workers) as ray:
        shared = ray.put(work)  # sent to each machine once
        task = ray.remote(num_cpus=1, max_retries=MAX_DEATHS - 1)(_do)
        at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = iter(jobs)
        running: dict[Any, Job] = {}
        while True:
            while len(running) < at_once and (job := next(waiting, None)) is not None:
                running[task.remote(shared, job)] = job
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                job = running.pop(reference)
                finished(_result(ray, reference, job))


def _do(work: Callable[[Job], Result], job: Job) -> Result:
    return work(job)


def _result(ray: Any, reference: Any, job: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.WorkerCrashedError as error:
        raise WorkerError(
            f"Ray's workers died {MAX_DEATHS} times while this ran: {job}; finished episodes are kept"
        ) from error


@contextmanager
def _cluster(address: str, workers: int) -> Iterator[Any]:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "--cluster needs ray, which is not installed; `pip install --require-hashes -r requirements/cluster.txt`"
        )
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told of what runs here
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        ray.init(address=address, **quiet)
    except ConnectionError as error:
        if address != "auto":
            raise ConfigError(f"there is no Ray cluster at {address}: {error}; `ray start --head` makes one") from error
        ray.init(num_cpus=workers, include_dashboard=False, _node_ip_address=_LOOPBACK, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()
