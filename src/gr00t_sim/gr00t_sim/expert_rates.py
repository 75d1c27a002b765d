# SPDX-License-Identifier: Apache-2.0
"""How often each task's scripted expert succeeds, undisturbed, from home: ``gr00t sim experts``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import require_seed
from gr00t_sim.experts.hand_expert import HandExpert
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.interval import wilson95
from gr00t_sim.jobs.workers import run_jobs
from gr00t_sim.lasting_success import SUCCESS_LASTS_S, LastingSuccess
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.summary_file import write_summary
from gr00t_sim.tasks.registry import tasks_named

PERIOD_S = 0.05


@dataclass(frozen=True)
class ExpertsConfig:
    """Which experts to try on how many scenes."""

    task: str = "gr1_tabletop"
    """Task or suite: gr1_tabletop (all), or a task's name."""
    episodes: int = 50
    """Scenes per task."""
    seed: int = 20000
    """Seed of the first scene."""
    workers: int = 1
    """Processes; one a core."""
    json: Path | None = None
    """Write the rates here."""

    def __post_init__(self) -> None:
        tasks_named(self.task)
        if self.episodes < 1 or self.workers < 1:
            raise ConfigError(f"episodes and workers must be at least 1, got {self.episodes} and {self.workers}")
        require_seed(self.seed)


@dataclass(frozen=True)
class Tried:
    """seconds: to a success that lasted, None without one; detail: the referee's last word."""

    task: str
    seed: int
    seconds: float | None
    detail: str


def run(config: ExpertsConfig) -> int:
    """Try, print a table, write JSON. Returns the exit code. Raises WorkerError when workers die again and again."""
    tried = _try_all(config)
    rates: dict[str, Any] = {}
    for task in tasks_named(config.task):
        rates[task] = _summary(sorted((one for one in tried if one.task == task), key=lambda one: one.seed))
    _print(rates)
    if config.json is not None:
        write_summary(config.json, {"seed": config.seed, "tasks": rates})
    return 0


def _try_all(config: ExpertsConfig) -> list[Tried]:
    """Every scene of every task, as they end."""
    seeds = range(config.seed, config.seed + config.episodes)
    jobs = [(task, seed) for task in tasks_named(config.task) for seed in seeds]
    tried: list[Tried] = []
    with Progress() as progress:
        bar = progress.add_task("trying", total=len(jobs))

        def finished(one: Tried) -> None:
            tried.append(one)
            progress.advance(bar)

        def died(lost: Sequence[tuple[str, int]]) -> None:
            scenes = " | ".join(f"{task}, seed {seed}" for task, seed in lost)
            progress.console.print(f"a worker died; tried again: {scenes}")

        run_jobs(jobs, try_scene, config.workers, finished, died, keeps=False)
    return tried


def attempt(expert: HandExpert, sim: TabletopSim, seed: int) -> tuple[float | None, str]:
    """One scene: (simulated seconds to a success that lasted, or None; the referee's last word)."""
    sim.reset(seed)
    expert.restart()
    success = LastingSuccess(PERIOD_S)
    for period in range(round(sim.task.time_limit_s / PERIOD_S)):
        sim.set_targets(expert.act(), PERIOD_S)
        sim.step_physics(round(PERIOD_S / sim.timestep_s))
        status = sim.task_state()
        if success.see(period, status.success):
            return sim.time_s - SUCCESS_LASTS_S, status.detail
    return None, status.detail


_made: dict[str, tuple[TabletopSim, HandExpert]] = {}


def try_scene(job: tuple[str, int]) -> Tried:
    """In a worker process: one (task, seed); simulator and expert are made for a task's first one."""
    task, seed = job
    if task not in _made:
        _made.clear()
        sim = TabletopSim(task)
        _made[task] = (sim, make_expert(sim, PERIOD_S))
    sim, expert = _made[task]
    return Tried(task, seed, *attempt(expert, sim, seed))


def _summary(found: list[Tried]) -> dict[str, Any]:
    seconds = [one.seconds for one in found if one.seconds is not None]
    return {
        "success_rate": len(seconds) / len(found),
        "successes": len(seconds),
        "episodes": len(found),
        "wilson95": [round(value, 4) for value in wilson95(len(seconds), len(found))],
        "mean_seconds_to_success": round(float(np.mean(seconds)), 2) if seconds else None,
        "failed": {str(one.seed): one.detail for one in found if one.seconds is None},
    }


def _print(rates: dict[str, Any]) -> None:
    table = Table("task", "success", "of", "95 % interval", "seconds", "failed seeds")
    for task, entry in rates.items():
        low, high = entry["wilson95"]
        seconds = entry["mean_seconds_to_success"]
        table.add_row(
            task,
            f"{100 * entry['success_rate']:.0f} %",
            str(entry["episodes"]),
            f"{low:.2f}-{high:.2f}",
            "-" if seconds is None else f"{seconds:.1f}",
            " ".join(entry["failed"]),
        )
    Console().print(table)
