# SPDX-License-Identifier: Apache-2.0
"""Starts the nodes as processes, watches them, and leaves nothing behind. Does what ``ros2 launch`` does where that is missing.

Knows commands, log files and signals; does not know ROS. Each process gets a group of its own, so that Ctrl-C in the
terminal reaches only the starter, which then stops its children in order. If the starter itself is killed, the kernel
ends the children.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from gr00t_bringup import shared_memory
from gr00t_bringup.nodes import NodeSpec
from gr00t_policy.core.errors import Gr00tError

_PR_SET_PDEATHSIG = 1
_SEGMENTS_PERIOD_S = 2.0
_LIBC = ctypes.CDLL(None)
# As ``gr00t_policy.ros.lifecycle`` logs them: a transition that was refused, and wrong parameters.
_REFUSAL = re.compile(r"^\[(?:ERROR\].*?: (?=cannot (?:configure|activate): )|FATAL\] .*?\[start\]: )(.+)$")


class ProcessDiedError(Gr00tError):
    """A process we started ended although it should run; the message names it and shows the end of its log."""


@dataclass(frozen=True)
class StopPatience:
    """How long a process may take to end after each signal [s] before the next, harder one."""

    interrupt_s: float = 4.0
    terminate_s: float = 2.0
    kill_s: float = 2.0


@dataclass
class _Running:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    essential: bool


def node_command(
    node: NodeSpec,
    parameter_files: Sequence[Path],
    overrides: Mapping[str, object],
    namespace: str = "",
    remappings: Mapping[str, str] | None = None,
    log_level: str = "info",
) -> list[str]:
    """The command line of one node: later parameter files win over earlier ones, ``overrides`` over all files."""
    words = [sys.executable, "-m", node.module, "--ros-args", "-r", f"__node:={node.name}"]
    if namespace:
        words += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for source, target in (remappings or {}).items():
        words += ["-r", f"{source}:={target}"]
    for file in parameter_files:
        words += ["--params-file", str(file)]
    for name, value in overrides.items():
        words += ["-p", f"{name}:={_yaml_value(value)}"]
    return [*words, "--log-level", log_level]


class ProcessGroup:
    """Processes that live and die together. Use as a context manager; leaving it stops them all, last started first."""

    def __init__(self, log_folder: Path, patience: StopPatience = StopPatience()) -> None:
        self._log_folder = log_folder
        self._patience = patience
        self._running: list[_Running] = []
        self._segments: set[str] = set()
        self._segments_seen_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        return {process.name: process.popen.pid for process in self._running}

    @property
    def alive(self) -> set[str]:
        """Names of the processes that have not ended."""
        return {process.name for process in self._running if process.popen.poll() is None}

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        essential: bool = True,
        terminal: int | None = None,
    ) -> None:
        """Start one process; what it prints goes to ``<log_folder>/<name>.log``. environment: added to our own.

        essential: ``check`` complains when it ends. A name may be used again after its process has ended.
        terminal: file descriptor of its standard input; none: it has nothing to read.
        """
        self._running = [process for process in self._running if process.name != name or process.popen.poll() is None]
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log = self._log_folder / f"{name}.log"
        with log.open("wb") as stream:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                start_new_session=True,
                preexec_fn=_prepare_child,  # noqa: PLW1509 (two system calls; safe beside our threads)
            )
        self._running.append(_Running(name, popen, log, essential))

    def check(self) -> None:
        """Raises ProcessDiedError when one of the processes has ended."""
        for process in self._running:
            code = process.popen.poll()
            if code is not None and process.essential:
                said = last_words(process.log)
                raise ProcessDiedError(
                    f"node '{process.name}' {said}\n(its log: {process.log})"
                    if said
                    else f"node '{process.name}' ended {_exit_words(code)}; the end of {process.log}:\n{tail(process.log)}"
                )
        if time.monotonic() > self._segments_seen_s + _SEGMENTS_PERIOD_S:
            self._see_segments()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process, by default the one that cannot be caught (for tests of failures)."""
        next(process for process in self._running if process.name == name).popen.send_signal(number)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of what one process printed."""
        return tail(next(process.log for process in self._running if process.name == name), lines)

    def stop(self) -> None:
        """End every process, last started first: SIGINT, then SIGTERM, then SIGKILL to its whole group.

        Nothing cuts it short: a Ctrl-C meanwhile is ignored, a SIGTERM is heeded afterwards.
        """
        if threading.current_thread() is not threading.main_thread():
            self._stop_all()
            return
        with _undisturbed():  # or children that are deaf to all but SIGKILL would be left behind
            self._stop_all()

    def _stop_all(self) -> None:
        self._see_segments()
        steps = (
            (signal.SIGINT, self._patience.interrupt_s),
            (signal.SIGTERM, self._patience.terminate_s),
            (signal.SIGKILL, self._patience.kill_s),
        )
        for number, patience_s in steps:
            for process in reversed(self._running):
                if process.popen.poll() is None:
                    _signal_group(process.popen.pid, number)
            _wait([process.popen for process in self._running], patience_s)
        for process in self._running:
            _signal_group(process.popen.pid, signal.SIGKILL)  # grandchildren that outlived their parent
        shared_memory.remove_dead(self._segments)
        self._running.clear()

    def _see_segments(self) -> None:
        """Remember what our processes have mapped: once one is killed, nobody can tell any more."""
        for pid in (os.getpid(), *self.pids.values()):
            self._segments |= shared_memory.mapped_segments(pid)
        self._segments_seen_s = time.monotonic()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; says so when there are none."""
    text = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return "\n".join(f"    {line}" for line in text[-lines:]) or "    (it printed nothing)"


def last_words(log: Path) -> str:
    """'cannot activate: ...', the one line with which a node of ours refuses to start; '' when it ended otherwise."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    found = [match for line in lines if (match := _REFUSAL.search(line))]
    return found[-1][1] if found else ""


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """SIGINT is ignored meanwhile, SIGTERM takes effect at the end. In the main thread only."""
    asked: list[int] = []
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminate = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, terminate)
        if asked:
            signal.raise_signal(signal.SIGTERM)


def _prepare_child() -> None:
    """In the child before exec: heed Ctrl-C again, and end with the starter."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _wait(processes: Sequence[subprocess.Popen[bytes]], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.02)


def _exit_words(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def _yaml_value(value: object) -> str:
    """A value as ``-p name:=value`` wants it: YAML flow text, strings quoted so that '1' stays a string."""
    text = yaml.safe_dump(
        value, default_flow_style=True, default_style='"' if isinstance(value, str) else None, width=10**6
    )
    return text.strip().removesuffix("...").strip()
