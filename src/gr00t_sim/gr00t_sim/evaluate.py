# SPDX-License-Identifier: Apache-2.0
"""Success rates of a checkpoint on unseen scenes, without ROS: ``gr00t eval``.

Besides the scenes' own sentences: the same scenes with a sentence that names another object or bin (language must matter),
and with an empty sentence (it must not do better than chance).
"""

import json
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.film_strip import film_strip
from gr00t_sim.interval import wilson95
from gr00t_sim.rollout import DEFAULT_BLEND_TIME_S, Outcome, PolicyDriver, rollout
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import make_task, tasks_named
from gr00t_sim.tasks.sentences import has_choice, other
from gr00t_sim.tasks.task import Task

LANGUAGES = ("own", "other", "empty")


@dataclass(frozen=True)
class EvalConfig:
    """What to evaluate on which scenes."""

    task: str = "trained"
    """Task or suite; 'trained': the two tasks of the shipped checkpoint, 'gr1_tabletop': all."""
    episodes: int = 100
    """Episodes per task and language."""
    seed: int = 10000
    """Seed of the first scene; demonstrations use seeds below 10000."""
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    """Checkpoint folder."""
    language: tuple[str, ...] = LANGUAGES
    """own: the scene's sentence; other: one that names another object or bin; empty: none."""
    max_s: float = 20.0
    """Time limit of an episode [s]."""
    blend_time_s: float = DEFAULT_BLEND_TIME_S
    """Memory of the chunk blender [s]."""
    noise_scale: float = 0.0
    """Scale of the flow's starting noise; 0: its centre, as on the robot."""
    engine: str = "openvino"
    """'openvino' (as on the robot) or 'torch'."""
    precision: str = "int8"
    """Precision of the OpenVINO engine."""
    workers: int = 2
    """Processes; one a core."""
    film: Path | None = Path("out/eval")
    """Folder for one film strip a task; None for none."""
    json: Path | None = None
    """Write the scores here."""

    def __post_init__(self) -> None:
        tasks_named(self.task)
        unknown = [name for name in self.language if name not in LANGUAGES]
        if unknown or self.episodes < 1 or self.workers < 1:
            raise ConfigError(f"episodes and workers must be at least 1, language among {', '.join(LANGUAGES)}: {self}")

    @property
    def tasks(self) -> tuple[str, ...]:
        return tasks_named(self.task)


def run(config: EvalConfig) -> int:
    """Evaluate, print a table, write JSON and film strips. Returns the exit code."""
    load_checkpoint(config.checkpoint, "gr1")  # a bad one is refused before any process starts
    jobs = [
        (config, task, language, seed)
        for task in config.tasks
        for language in config.language
        if language != "other" or has_choice(make_task(task).slots)
        for seed in range(config.seed, config.seed + config.episodes)
    ]
    chunks = [jobs[index :: config.workers] for index in range(config.workers)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(config.workers, initializer=_no_thread_fight) as pool:
        results = pool.imap_unordered(_one, [job for chunk in chunks for job in chunk], chunksize=1)
        outcomes = list(track(results, total=len(jobs), description="evaluating"))
    scores = summarise(config, outcomes)
    _print(scores)
    if config.film is not None:
        for task in config.tasks:
            film_strip(task, _policy(config), config.seed, config.film / f"{task}.png")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps(scores, indent=2))
    return 0


def summarise(config: EvalConfig, outcomes: Sequence[tuple[str, str, Outcome]]) -> dict[str, Any]:
    """tasks.<name>.{success_rate, episodes, wilson95, per_object, other, empty}; average_success over tasks."""
    tasks: dict[str, Any] = {}
    for task in config.tasks:
        rows = {
            language: [outcome for name, said, outcome in outcomes if name == task and said == language]
            for language in config.language
            if language != "other" or has_choice(make_task(task).slots)
        }
        entry: dict[str, Any] = {}
        for language, found in rows.items():
            score = _score([outcome.success for outcome in found])
            if language == "own":
                entry |= score
                entry["per_object"] = {
                    kind.name: _score([o.success for o in found if o.goal_object == kind.name])
                    for kind in make_task(task).objects
                    if any(o.goal_object == kind.name for o in found)
                }
                finished = [o.steps for o in found if o.success]
                entry["mean_seconds_to_success"] = round(0.05 * float(np.mean(finished)), 2) if finished else None
            else:
                entry[language] = score
        tasks[task] = entry
    rates = [entry["success_rate"] for entry in tasks.values() if "success_rate" in entry]
    return {
        "checkpoint": str(config.checkpoint),
        "seed": config.seed,
        "tasks": tasks,
        "average_success": float(np.mean(rates)) if rates else None,
    }


def other_sentence(task: Task, seed: int, own: str) -> str:
    """A sentence about the same scene that names something else: another object, or another bin where there is but one object."""
    rng = np.random.default_rng([seed, 4])
    template = task.templates[rng.integers(len(task.templates))]
    return template.format(**other(task.slots, task.parse(own), rng))


_sims: dict[str, TabletopSim] = {}
_policies: dict[Path, Gr00tPolicy] = {}


def _one(job: tuple[EvalConfig, str, str, int]) -> tuple[str, str, Outcome]:
    config, task, language, seed = job
    if task not in _sims:
        _sims[task] = TabletopSim(task)
    if config.checkpoint not in _policies:
        _policies[config.checkpoint] = _policy(config)
    sim, policy = _sims[task], _policies[config.checkpoint]
    sentence, told = None, None
    if language == "other":
        sentence = other_sentence(sim.task, seed, sim.reset(seed))
    elif language == "empty":
        told = ""
    driver = PolicyDriver(sim, policy, config.blend_time_s)
    outcome = rollout(sim, driver, seed, sentence=sentence, told=told, max_s=config.max_s)
    return task, language, outcome


def _policy(config: EvalConfig) -> Gr00tPolicy:
    return load_policy(config.checkpoint, config.engine, config.precision, config.noise_scale)


def _no_thread_fight() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when the engine that needs it imports it: one core, one worker


def _score(successes: Sequence[bool]) -> dict[str, Any]:
    count, total = sum(successes), len(successes)
    return {
        "success_rate": count / total if total else None,
        "successes": count,
        "episodes": total,
        "wilson95": [round(value, 4) for value in wilson95(count, total)],
    }


def _print(scores: dict[str, Any]) -> None:
    table = Table("task", "sentence", "success", "95 % interval", "episodes")
    for task, entry in scores["tasks"].items():
        rows: list[tuple[str, dict[str, Any]]] = [("own", entry)] if "success_rate" in entry else []
        rows += [(f"own: {kind}", score) for kind, score in entry.get("per_object", {}).items()]
        rows += [(language, entry[language]) for language in ("other", "empty") if language in entry]
        for label, score in rows:
            low, high = score["wilson95"]
            table.add_row(
                task, label, f"{100 * score['success_rate']:.0f} %", f"{low:.2f}-{high:.2f}", str(score["episodes"])
            )
    Console().print(table)
