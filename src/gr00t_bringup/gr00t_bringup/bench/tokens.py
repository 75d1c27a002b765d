# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench tokens``: how long conditioning tokens take from the planner's network to the controller's head, over DDS."""

import os
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from gr00t_bringup.bench.token_figures import TokenFigures, token_figures, token_goal
from gr00t_bringup.bench.token_plan import Times, TokenPlan, kind_of
from gr00t_bringup.bench.token_transports import TRANSPORTS, transport_environment
from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import busiest_others, cpu_seconds, cpu_shares, this_machine
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_bringup.processes import ProcessGroup, StopPatience
from gr00t_planner.config import TOKEN_TYPES
from gr00t_policy.core.errors import ConfigError, Gr00tError

_NAMESPACE = "bench_tokens"
_START_S, _CLOSE_S, _PERIOD_S = 60.0, 15.0, 0.1
_BUSY = ["sh", "-c", "while :; do :; done"]
LOADS = {
    "none": "nothing else",
    "busy": "two processes that compute without end, a camera of 640x480 at 30 Hz, the shipped head at 120 Hz",
}


@dataclass(frozen=True)
class TokenBenchConfig:
    """Two processes, the planner's and the controller's code around a message of tokens. Exit code 0 when it could be
    measured; the goal is shown, not enforced."""

    sizes_mb: tuple[float, ...] = (0.1, 0.3, 0.6, 1.0)
    """sizes of a message's data, in 10^6 bytes"""
    dtypes: tuple[str, ...] = ("bfloat16",)
    """number formats: float32, bfloat16, float16"""
    messages: int = 100
    """of each size and format, ten a second in all, in turn"""
    transports: tuple[str, ...] = ("nodes",)
    """nodes (as planner and controller do), small_sockets, shared_memory, large_shared_memory"""
    loads: tuple[str, ...] = ("none", "busy")
    """none, or busy: two busy processes, a camera, and the shipped head evaluated 120 times a second"""
    realtime: bool = True
    """real-time priorities as the nodes have, where they are allowed"""
    out: Path = Path("out/bench_tokens")
    """folder for logs/"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("dtypes", self.dtypes, TOKEN_TYPES),
            ("transports", self.transports, TRANSPORTS),
            ("loads", self.loads, LOADS),
        ):
            if not given or not set(given) <= set(known):
                raise ConfigError(f"{name} are {', '.join(given) or 'none given'}; choose of: {', '.join(known)}")
        if not self.sizes_mb or not all(0 < size <= 16 for size in self.sizes_mb):
            raise ConfigError(f"sizes_mb must lie above 0 and be at most 16, got {self.sizes_mb}")
        if self.messages < 1:
            raise ConfigError(f"messages must be at least 1, got {self.messages}")


@dataclass(frozen=True)
class TokenRun:
    """Figures over one transport with one load. realtime: priorities that sender and receiver got."""

    transport: str
    load: str
    figures: list[TokenFigures]
    realtime: dict[str, bool]
    cores: dict[str, float]
    others: dict[str, float] = field(default_factory=dict)


def run(config: TokenBenchConfig) -> int:
    """Measure and print. Raises Gr00tError when it could not be measured."""
    fresh_folder(config.out, ("logs",))
    kinds = tuple(kind_of(size, dtype) for size, dtype in product(config.sizes_mb, config.dtypes))
    runs = []
    for transport, load in product(config.transports, config.loads):
        plan = TokenPlan(kinds, config.messages, load == "busy", config.realtime)
        seconds = plan.total / plan.rate_hz
        print(f"{transport} ({TRANSPORTS[transport]}), load {load} ({LOADS[load]}): {seconds:.0f} s ...", flush=True)
        runs.append(_measure(plan, transport, load, config.out / "logs" / f"{transport}_{load}"))
    result: dict[str, Any] = {
        "runs": [asdict(each) for each in runs],
        "load_average": list(os.getloadavg()),
        "machine": asdict(this_machine()),
    }
    _print(runs)
    if config.json is not None:
        write_json(config.json, result)
    return 0


def _measure(plan: TokenPlan, transport: str, load: str, logs: Path) -> TokenRun:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plan.write(folder / "plan.json")
        environment = transport_environment(transport, folder, os.environ)
        words = [str(folder / "plan.json"), str(folder / "receiver.json"), str(shipped_checkpoint())]
        with ProcessGroup(logs, StopPatience()) as processes:
            processes.start("receiver", _program("token_receiver", *words), environment)
            if plan.loaded:
                processes.start("camera", _program("camera_load"), environment)
                for number in (1, 2):
                    processes.start(f"busy_{number}", _BUSY)
            before, began_s = cpu_seconds(), time.monotonic()
            words[1] = str(folder / "sender.json")
            processes.start("sender", _program("token_sender", *words[:2]), environment, essential=False)
            _wait_for(folder / "sender.json", processes, "sender", _START_S + plan.total / plan.rate_hz, ("receiver",))
            elapsed_s, after, pids = time.monotonic() - began_s, cpu_seconds(), processes.pids
            processes.kill("receiver", signal.SIGINT)
            _wait_for(folder / "receiver.json", processes, "receiver", _CLOSE_S)
        sender, receiver = Times.read(folder / "sender.json"), Times.read(folder / "receiver.json")
    ours = {*pids.values(), os.getpid()}
    return TokenRun(
        transport,
        load,
        token_figures(plan, sender, receiver),
        {"sender": sender.realtime, "receiver": receiver.realtime},
        cpu_shares(before, after, pids, elapsed_s),
        busiest_others(before, after, ours, elapsed_s),
    )


def _program(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"gr00t_bringup.ros.{module}", *words, "--ros-args", "-r", f"__ns:=/{_NAMESPACE}"]


def _wait_for(file: Path, processes: ProcessGroup, name: str, timeout_s: float, needed: tuple[str, ...] = ()) -> None:
    """Until the process ``name`` has written its times. Raises Gr00tError when it, or one it needs, ended or it is late."""
    deadline_s = time.monotonic() + timeout_s
    while not file.is_file():
        ended = [each for each in (*needed, name) if each not in processes.alive]
        if (ended or time.monotonic() > deadline_s) and not file.is_file():
            guilty = ended[0] if ended else name
            raise Gr00tError(
                f"the {guilty} did not say when messages went; its log ends:\n{processes.log_tail(guilty)}"
            )
        time.sleep(_PERIOD_S)


def _print(runs: list[TokenRun]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine, console = this_machine(), Console()
    console.print(f"{machine.cpu}, {machine.cores} cores; milliseconds, of each step the median")
    for each in runs:
        table = Table(title=f"{each.transport}, load {each.load}", title_justify="left")
        for column in ("tokens", "MB", "lost", "write", "way", "read", "taken", "head", "p95", "p99"):
            table.add_column(column, justify="right", no_wrap=column == "tokens")
        for row in each.figures:
            steps = (row.write_ms, row.way_ms, row.read_ms, row.hand_over_ms, row.to_head_ms)
            table.add_row(
                f"{row.rows} {row.dtype}",
                f"{row.data_bytes / 1e6:.1f}",
                str(row.lost),
                *(f"{step.p50:.2f}" for step in steps),
                f"{row.to_head_ms.p95:.2f}",
                f"{row.to_head_ms.p99:.2f}",
            )
        console.print(table)
        for goal in filter(None, map(token_goal, each.figures)):
            reached = "ok" if goal.reached else "missed"
            console.print(f"{goal.name} {goal.value:.2f} {goal.unit}, goal {goal.wanted}: {reached}")
        used = ", ".join(f"{name} {share:.2f}" for name, share in each.cores.items())
        others = ", ".join(f"{name} {share:.2f}" for name, share in each.others.items()) or "nothing to speak of"
        console.print(f"cores used {used}; what else ran: {others}")
