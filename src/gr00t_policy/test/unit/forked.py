# SPDX-License-Identifier: Apache-2.0
"""Programs in processes of their own that have the network imported already: a server did it once, and forks them off."""

import multiprocessing
import os
import runpy
import socket
import sys
import threading
import time
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path

import pytest

_CONTEXT = multiprocessing.get_context("forkserver")
_IMPORTED = ["gr00t_policy.training.finetune", "gr00t_policy.training.pretrain", "gr00t_policy.training.train"]


class Program:
    """``text`` runs, with ``words`` as its arguments; what it prints is in ``said``."""

    def __init__(self, text: str, words: tuple[object, ...], folder: Path, **environment: str) -> None:
        """folder: for the program and what it says; made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self._said = folder / "said.txt"
        program = folder / "program.py"
        program.write_text(text)
        with pytest.MonkeyPatch.context() as patched:
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
                patched.setenv(name, "1")  # for other threads do not survive a fork
            _CONTEXT.set_forkserver_preload(_IMPORTED)
            forkserver.ensure_running()  # does nothing when it runs
        given = (str(program), *map(str, words)), {**os.environ, **environment}, str(self._said)
        self.process = _CONTEXT.Process(target=_run, args=given)
        self.process.start()

    @property
    def said(self) -> str:
        return self._said.read_text() if self._said.exists() else ""

    def wait_for(self, words: str, timeout_s: float = 110.0) -> None:
        """Until it has said these."""
        end_s = time.monotonic() + timeout_s
        while words not in self.said:
            assert self.process.is_alive() and time.monotonic() < end_s, self.said[-3000:]
            time.sleep(0.005)

    def wait(self, timeout_s: float = 110.0) -> int:
        """Its exit code; below zero: the signal that ended it."""
        self.process.join(timeout_s)
        code = self.process.exitcode
        if code is None:
            self.kill()
            raise TimeoutError(f"it still runs after {timeout_s:g} s: {self.said[-3000:]}")
        return code

    def kill(self) -> None:
        """Not to be asked, and awaited."""
        self.process.kill()
        self.process.join()


def train_together(count: int, text: str, words: tuple[object, ...], folder: Path, timeout_s: float = 110.0) -> None:
    """``count`` programs, told of each other as ``torchrun`` tells them; all must end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    told = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    programs = [
        Program(text, words, folder / f"process_{rank}", RANK=str(rank), LOCAL_RANK=str(rank), **told)
        for rank in range(count)
    ]
    try:
        for program in programs:
            assert program.wait(timeout_s) == 0, "\n".join(each.said[-3000:] for each in programs)
    finally:
        for program in programs:
            program.kill()


def _run(words: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    with Path(said).open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    os.environ.clear()  # the server has kept that of when it was started
    os.environ.update(environment)
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")


def _end_with(sentinel: int) -> None:
    """The server stays as long as one of its programs, so none may outlive the tests."""
    wait_for_end([sentinel])
    os._exit(1)
