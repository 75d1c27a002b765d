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

LOCAL = "local"
_LOOPBACK = "127.0.0.1"


def run_jobs_on_ray(
    address: str,
    workers: int,
    jobs: Iterable[Job],
    work: Callable[[Job], Result],
    finished: Callable[[Result], object],
    died: Callable[[Sequence[Job]], object] = lambda _: None,
) -> None:
    """As ``run_jobs``, on the cluster at ``address``; 'auto': the one that runs here; LOCAL: one of ``workers``, for this run.

    Dead workers are replaced without a word: ``died`` is never told. Raises ConfigError when ray is not installed or the
    cluster is not there or cannot be made, WorkerError when workers die again and again.
    """
    with ray_cluster(address, workers) as ray:
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
    except ray.exceptions.WorkerCrashedError as error:
        raise WorkerError(
            f"Ray's workers died {MAX_DEATHS} times while this ran: {job}; finished episodes are kept"
        ) from error
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)
        if isinstance(cause, ray.exceptions.RayError):
            first_line = str(cause).strip().splitlines()[0]
            raise WorkerError(
                f"the cluster could not do it: {first_line}; every machine of it needs this suite, of the same version"
            ) from error
        raise cause from error


@contextmanager
def ray_cluster(address: str, workers: int) -> Iterator[Any]:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--cluster needs ray, which is not installed here; docs/multiplication.md says how to get it")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told of what runs here
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address == LOCAL:
            with _addresses_stay_on_loopback():
                # named, or RAY_ADDRESS and a cluster that runs here would be joined instead
                ray.init(LOCAL, num_cpus=workers, include_dashboard=False, _node_ip_address=_LOOPBACK, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address == LOCAL:
            raise ConfigError(
                f"a Ray cluster for this run cannot be made here ({error}); --workers does it without"
            ) from error
        raise ConfigError(
            f"there is no Ray cluster at '{address}' ({error}); `ray start --head` makes one, --cluster {LOCAL} one for this run"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _addresses_stay_on_loopback() -> Iterator[None]:
    """On Linux, Ray replaces the loopback address it is given by the machine's own and listens to the whole network."""
    from ray._private import services

    resolve, own = services.resolve_ip_for_localhost, services.get_node_ip_address
    services.resolve_ip_for_localhost = lambda host: host
    services.get_node_ip_address = lambda *_, **__: _LOOPBACK
    try:
        yield
    finally:
        services.resolve_ip_for_localhost, services.get_node_ip_address = resolve, own
