# SPDX-License-Identifier: Apache-2.0
"""How often each task's scripted expert succeeds, undisturbed, from home: ``gr00t sim experts``."""

import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import require_seed
from gr00t_sim.experts.hand_expert import HandExpert
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.interval import wilson95
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import tasks_named

PERIOD_S = 0.05
_SETTLED_PERIODS = 10  # success must last that long


@dataclass(frozen=True)
class ExpertsConfig:
    """Which experts to try on how many scenes."""

    task: str = "gr1_tabletop"
    """Task or suite: gr1_tabletop (all), trained (the two of the shipped checkpoint), or a task's name."""
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


def run(config: ExpertsConfig) -> int:
    """Try, print a table, write JSON. Returns the exit code."""
    jobs = [
        (task, seed) for task in tasks_named(config.task) for seed in range(config.seed, config.seed + config.episodes)
    ]
    with multiprocessing.get_context("spawn").Pool(config.workers) as pool:
        tried = list(track(pool.imap(_one, jobs, chunksize=config.episodes), total=len(jobs), description="trying"))
    rates: dict[str, Any] = {}
    for task in tasks_named(config.task):
        found = [(seed, seconds, detail) for name, seed, seconds, detail in tried if name == task]
        rates[task] = _summary(found)
    _print(rates)
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps({"seed": config.seed, "tasks": rates}, indent=2))
    return 0


def attempt(expert: HandExpert, sim: TabletopSim, seed: int) -> tuple[float | None, str]:
    """One scene: (simulated seconds to a success that lasted, or None; the referee's last word)."""
    sim.reset(seed)
    expert.restart()
    lasted = 0
    for _ in range(round(sim.task.time_limit_s / PERIOD_S)):
        sim.set_targets(expert.act(), PERIOD_S)
        sim.step_physics(round(PERIOD_S / sim.timestep_s))
        status = sim.task_state()
        lasted = lasted + 1 if status.success else 0
        if lasted > _SETTLED_PERIODS:
            return sim.time_s - _SETTLED_PERIODS * PERIOD_S, status.detail
    return None, status.detail


_made: dict[str, tuple[TabletopSim, HandExpert]] = {}


def _one(job: tuple[str, int]) -> tuple[str, int, float | None, str]:
    task, seed = job
    if task not in _made:
        _made.clear()
        sim = TabletopSim(task)
        _made[task] = (sim, make_expert(sim, PERIOD_S))
    sim, expert = _made[task]
    return task, seed, *attempt(expert, sim, seed)


def _summary(found: list[tuple[int, float | None, str]]) -> dict[str, Any]:
    seconds = [taken for _, taken, _ in found if taken is not None]
    return {
        "success_rate": len(seconds) / len(found),
        "successes": len(seconds),
        "episodes": len(found),
        "wilson95": [round(value, 4) for value in wilson95(len(seconds), len(found))],
        "mean_seconds_to_success": round(float(np.mean(seconds)), 2) if seconds else None,
        "failed": {str(seed): detail for seed, taken, detail in found if taken is None},
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
