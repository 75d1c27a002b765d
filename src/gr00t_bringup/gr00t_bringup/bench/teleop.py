# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench teleop``: from a headset's sample to the command that the robot obeys, with simulator and recorder running."""

import json
import os
import secrets
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.bench.headset import RATE_HZ
from gr00t_bringup.bench.teleop_figures import TeleopFigures, teleop_figures, teleop_goals
from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import busiest_others, cpu_seconds, cpu_shares, this_machine
from gr00t_bringup.node_talk import NodeTalk
from gr00t_bringup.nodes import RECORD, TELEOP, nodes_for, parameter_files
from gr00t_bringup.tracing.leads import leads_to_text, read_leads
from gr00t_policy.core.errors import ConfigError, Gr00tError

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import RunningStack, StackOptions

_ENGAGE_S, _CLOSE_S, _PERIOD_S = 30.0, 30.0, 0.2
_RECORDED, _TAKEN, _SENT = "recorded", "headset.json", "sent.json"


@dataclass(frozen=True)
class TeleopBenchConfig:
    """A made-up headset streams both hands at 90 Hz over the real page's connection; simulator, cameras and recorder run.
    Exit code 0: every goal was reached."""

    duration_s: float = 30.0
    """time measured"""
    rated_cameras: bool = True
    """also send, and record, what the recorder is rated for: two cameras of 60 kB pictures (jpeg, 640x480) at 30 Hz"""
    out: Path = Path("out/bench_teleop")
    """folder for recorded/ with the bag, and logs/"""
    json: Path | None = None
    """write the figures here"""
    keep_bag: bool = False
    """leave the bag behind"""

    def __post_init__(self) -> None:
        if not 2 <= self.duration_s <= 280:
            raise ConfigError(
                f"duration_s must lie between 2 and 280 (an episode ends after 300), got {self.duration_s}"
            )


@dataclass(frozen=True)
class _Observed:
    """What was seen beside the bag. taken_ns: when the headset took each sample."""

    bag: Path
    taken_ns: list[int]
    cores: dict[str, float]
    others: dict[str, float]


def run(config: TeleopBenchConfig) -> int:
    """Measure and print; 1 when a goal is missed. Raises Gr00tError when nobody drove."""
    fresh_folder(config.out, (_RECORDED, _TAKEN, _SENT, "logs"))
    observed = _observe(config)
    figures, leads = teleop_figures(observed.bag, observed.taken_ns), read_leads(observed.bag)
    result: dict[str, Any] = {
        **asdict(figures),
        "rated_cameras": config.rated_cameras,
        "tick_leads": {node: asdict(lead) for node, lead in leads.items()},
        "cores_used": observed.cores,
        "others_cores": observed.others,
        "load_average": list(os.getloadavg()),
        "machine": asdict(this_machine()),
    }
    goals = teleop_goals(figures)
    _print(figures, goals, observed)
    for title, text in leads_to_text(leads):
        print(f"{title}: {text}")
    if config.json is not None:
        write_json(config.json, result)
    if not config.keep_bag:
        shutil.rmtree(observed.bag)
    return 0 if all(goal.reached for goal in goals) else 1


def _observe(config: TeleopBenchConfig) -> _Observed:
    from gr00t_bringup.ros.stack import running_stack

    code, times = secrets.token_hex(8), (config.out / _TAKEN).absolute()
    certificates = (config.out / "certificates").absolute()
    with running_stack(_options(config, code, certificates), config.out / "logs") as stack:
        stack.wait_active()
        address = NodeTalk(config.out / "logs" / "operator.log").wait_for(r"https://[^/ ]+", _ENGAGE_S)
        words = [address, code, str(certificates / "certificate.pem"), str(times)]
        headset = [sys.executable, "-m", "gr00t_bringup.bench.headset", *words]
        stack.processes.start("headset", headset, essential=False)
        if config.rated_cameras:
            load = [sys.executable, "-m", "gr00t_bringup.ros.record_load", str((config.out / _SENT).absolute())]
            stack.processes.start("cameras", [*load, "cameras"], essential=False)
        _until(stack, "the gate follows", lambda: stack.status().gate == "active", _ENGAGE_S)
        bag = Path(stack.client.trigger("recorder/start"))
        print(f"measuring for {config.duration_s:g} s ...", flush=True)
        before, began_s = cpu_seconds(), time.monotonic()
        while time.monotonic() - began_s < config.duration_s:
            stack.processes.check()
            time.sleep(_PERIOD_S)
        elapsed_s, after = time.monotonic() - began_s, cpu_seconds()
        pids = {**stack.processes.pids, "gr00t bench": os.getpid()}
        stack.client.trigger("recorder/keep")
        stack.processes.kill("headset", signal.SIGINT)
        _until(stack, "the headset says what it sent", lambda: _is_whole(times), _CLOSE_S)
    others = busiest_others(before, after, set(pids.values()), elapsed_s)
    return _Observed(bag, json.loads(times.read_text()), cpu_shares(before, after, pids, elapsed_s), others)


def _options(config: TeleopBenchConfig, code: str, certificates: Path) -> "StackOptions":
    from gr00t_bringup.ros.record_load import CAMERAS
    from gr00t_bringup.ros.stack import StackOptions

    recorder = yaml.safe_load(parameter_files("gr1", "mujoco", "recorder")[0].read_text())
    topics = recorder["/**/recorder"]["ros__parameters"]["topics"]
    rated = [topic.name for topic in CAMERAS] if config.rated_cameras else []
    page = {"host": "localhost", "port": 0, "pairing_code": code, "certificate_folder": str(certificates)}
    return StackOptions(
        nodes=tuple(node for node in nodes_for("mujoco", (TELEOP, RECORD)) if not node.loads_checkpoint),
        watched=("command_gate/state",),
        overrides={
            "operator": {"device": "webxr", **page},
            "command_gate": {"default_source": "teleop"},
            "recorder": {
                "folder": str((config.out / _RECORDED).absolute()),
                "instruction": "gr00t bench teleop",
                "topics": [*dict.fromkeys((*topics, *rated, "/diagnostics"))],
            },
        },
    )


def _until(stack: "RunningStack", what: str, happened: Any, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not happened():
        stack.processes.check()
        if time.monotonic() > deadline_s:
            raise Gr00tError(f"waited {timeout_s:g} s in vain until {what}; {stack.status().gate_reason}; see the logs")
        time.sleep(_PERIOD_S)


def _is_whole(times: Path) -> bool:
    return times.is_file() and times.read_text().endswith("]")


def _print(figures: TeleopFigures, goals: list[Goal], observed: _Observed) -> None:
    from rich.console import Console
    from rich.table import Table

    machine, console = this_machine(), Console()
    table = Table(title=f"{machine.cpu}, {machine.cores} cores, headset at {RATE_HZ:g} Hz", title_justify="left")
    for column in ("figure", "measured", "goal", ""):
        table.add_column(column)
    for goal in goals:
        reached = "ok" if goal.reached else "missed"
        table.add_row(goal.name, f"{goal.value:.2f} {goal.unit}".strip(), goal.wanted, reached)
    console.print(table)
    way, tick = figures.headset_to_operator_ms, figures.retargeter_tick_ms
    console.print(f"headset to operator_state {way.p50:.2f} ms p50, {way.p99:.2f} p99", end="; ")
    console.print(f"a whole tick of the retargeter {tick.p50:.2f} ms p50, {tick.p99:.2f} p99")
    console.print(f"smoothing delays the motion by {figures.target_delay_ms:.0f} ms more")
    console.print(
        f"{figures.samples_lost_on_the_way} of {figures.samples_sent} samples lost on the way to the recorder", end="; "
    )
    console.print(f"{figures.messages_lost_by_recorder} of {figures.messages_recorded} messages lost by it")
    console.print("cores used " + ", ".join(f"{name} {share:.2f}" for name, share in observed.cores.items()))
    others = ", ".join(f"{name} {share:.2f}" for name, share in observed.others.items()) or "nothing to speak of"
    console.print(f"what else ran (cores): {others}; load average {os.getloadavg()[0]:.1f}")
