# SPDX-License-Identifier: Apache-2.0
"""Worker processes: every job is done once, also when a worker dies; what always kills its worker is an error."""

import importlib.util
import ipaddress
import math
import multiprocessing
import os
import signal
import threading
import time

import psutil
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.jobs.ray_workers import LOCAL, ray_cluster
from gr00t_sim.jobs.workers import WorkerError, run_jobs


def test_jobs_of_a_worker_that_was_killed_are_done_again_and_none_is_done_twice():
    results, lost = [], []

    def finished(result: float) -> None:
        results.append(result)
        if len(results) == 3:
            victim = next(child for child in multiprocessing.active_children())
            os.kill(victim.pid, signal.SIGKILL)

    jobs = [float(number) for number in range(30)]
    run_jobs(jobs, math.sqrt, 2, finished, lost.extend)
    assert sorted(results) == [math.sqrt(job) for job in jobs]


def test_the_job_that_was_running_when_its_worker_died_is_told_and_done():
    told = []
    sleeping = [1.0]

    def kill_soon() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        time.sleep(0.7)
        os.kill(children[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_soon)
    thread.start()
    results = []
    run_jobs(sleeping, time.sleep, 1, results.append, told.extend)
    thread.join()
    assert told == sleeping and results == [None]


def test_a_job_that_kills_its_worker_every_time_is_an_error_that_names_it():
    results = []
    with pytest.raises(WorkerError, match=r"died 3 times while these ran: 7"):
        run_jobs([7], os._exit, 1, results.append)
    assert results == []


def test_an_error_of_the_work_is_raised_here_and_leaves_no_process_behind():
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="domain|nonnegative"):
        run_jobs([-1.0, 4.0], math.sqrt, 2, lambda _: None)
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_a_cluster_made_for_one_run_listens_on_loopback_alone_and_ends_with_it():
    """Ray turns loopback into the machine's own address unless it is kept from it, by means that a new release may lose."""
    before = set(psutil.Process().children(recursive=True))
    with ray_cluster(LOCAL, 1) as ray:
        assert ray.get(ray.remote(lambda: math.sqrt(4)).remote()) == 2
        made = [one for one in psutil.Process().children(recursive=True) if one not in before]
        addresses = {
            connection.laddr.ip.removeprefix("::ffff:")  # IPv4 in an IPv6 socket
            for process in (psutil.Process(), *made)
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
    assert addresses, "nothing was looked at"
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses), addresses
    assert not psutil.wait_procs(made, timeout=20)[1]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_a_cluster_for_one_run_is_made_also_where_another_is_named_in_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6399")  # nobody listens there
    with ray_cluster(LOCAL, 1) as ray:
        assert ray.get(ray.remote(lambda: math.sqrt(9)).remote()) == 3


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.parametrize(("address", "words"), [(LOCAL, "cannot be made here"), ("nonsense", "no Ray cluster at 'non")])
def test_a_cluster_that_cannot_be_had_is_one_error_that_says_why(address, words):
    workers = -1 if address == LOCAL else 1
    with pytest.raises(ConfigError, match=words), ray_cluster(address, workers):
        pass
