# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted expert as a LeRobot dataset: ``gr00t sim generate``. One process a core, resumable."""

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.merge import merge_datasets
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import Demonstration, Demonstrator
from gr00t_sim.looks import looks_named, require_looks
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import make_task

VALID = "valid"
GOAL_UV = "goal_uv"
LOOKS = "looks"


@dataclass(frozen=True)
class GenerateConfig:
    """What to demonstrate and where to write it."""

    task: str = "pick_named_object"
    """A task of the simulator; docs/tasks.md lists them."""
    episodes: int = 200
    """Successful demonstrations to keep."""
    seed: int = 0
    """Seed of the first episode; episode i uses seed + i. Evaluation uses seeds from 10000 up."""
    looks: str = "none"
    """How pictures vary from episode to episode: none, mild or strong; docs/tasks.md shows them."""
    out: Path | None = None
    """Dataset folder (LeRobot v2), default out/datasets/<task>, followed by _<looks> if they vary. An unfinished one is
    continued; a finished one is left alone."""
    workers: int = 2
    """Processes; one a core."""
    policy: Path | None = None
    """Checkpoint that drives for a random while in each episode before the expert takes over (DAgger): the
    demonstrations then start where that policy's own mistakes lead."""
    json: Path | None = None
    """Write a summary here."""

    def __post_init__(self) -> None:
        make_task(self.task)
        looks_named(self.looks)
        if self.episodes < 1 or self.workers < 1:
            raise ConfigError(f"episodes and workers must be at least 1, got {self.episodes} and {self.workers}")

    @property
    def folder(self) -> Path:
        named = self.task if self.looks == "none" else f"{self.task}_{self.looks}"
        return self.out or Path("out/datasets") / named


def run(config: GenerateConfig) -> int:
    """Generate, merge, report. Returns the exit code."""
    started = time.monotonic()
    out = config.folder
    if (out / "meta" / "info.json").is_file():
        require_looks(out, LeRobotDataset(out).episodes[0].info.get(LOOKS, "none"), config.looks)
        print(f"{out} exists and is complete; remove it to generate again")
        return 0
    shards = out.with_name(f".{out.name}.shards")
    _claim(shards, config)
    workers = min(config.workers, config.episodes)
    attempts = generate_shards(config, shards, workers)
    dataset = merge_datasets([shards / f"{index}" for index in range(workers)], out)
    shutil.rmtree(shards)
    summary = {
        "task": config.task,
        "looks": config.looks,
        "episodes": len(dataset.episodes),
        "attempts": attempts,
        "frames": sum(entry.length for entry in dataset.episodes),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(f"{out}: {summary['episodes']} episodes, {summary['frames']} frames in {summary['seconds']} s")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps(summary, indent=2))
    return 0


def _claim(shards: Path, config: GenerateConfig) -> None:
    """The unfinished parts are of this task and these looks. Raises DatasetError when they are of others."""
    note = shards / "task.txt"
    task, looks = [*note.read_text().split(), "none"][:2] if note.is_file() else (config.task, config.looks)
    if task != config.task:
        raise DatasetError(
            f"{shards} holds unfinished demonstrations of '{task}', not '{config.task}'; remove it or use another --out"
        )
    require_looks(shards, looks, config.looks)
    shards.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{config.task} {config.looks}\n")


def generate_shards(config: GenerateConfig, folder: Path, workers: int) -> int:
    """Run the worker processes with a progress bar; returns how many episodes were tried."""
    share = [config.episodes // workers + (index < config.episodes % workers) for index in range(workers)]
    context = multiprocessing.get_context("spawn")  # a forked GL context does not work
    results: multiprocessing.Queue = context.Queue()
    processes = [
        context.Process(target=_work, args=(config, folder / f"{index}", index, workers, share[index], results))
        for index in range(workers)
    ]
    for process in processes:
        process.start()
    kept = tried = 0
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    ) as bar:
        row = bar.add_task(f"demonstrating {config.task}", total=config.episodes)
        finished = 0
        while finished < workers:
            message = results.get()
            if isinstance(message, str):
                raise RuntimeError(message)
            if message is None:
                finished += 1
                continue
            kept, tried = kept + message, tried + 1
            bar.update(row, completed=kept)
    for process in processes:
        process.join()
    return tried


def _work(
    config: GenerateConfig, folder: Path, index: int, workers: int, wanted: int, results: "multiprocessing.Queue"
) -> None:
    try:
        record_episodes(config, folder, wanted, config.seed + index, workers, results.put)
        results.put(None)
    except BaseException as error:  # a dead worker must not leave the parent waiting
        results.put(f"worker {index}: {type(error).__name__}: {error}")
        raise


def record_episodes(
    config: GenerateConfig,
    folder: Path,
    wanted: int,
    first_seed: int,
    seed_stride: int,
    report: Callable[[bool], object],
) -> None:
    """Append successful demonstrations to ``folder`` until it holds ``wanted``; failures are tried and dropped."""
    sim = TabletopSim(config.task, looks=config.looks)
    demonstrator = Demonstrator(sim)
    driver = PolicyDriver(sim, load_policy(config.policy)) if config.policy is not None else None
    with LeRobotWriter(folder, sim.embodiment) as writer:
        seed = first_seed if writer.last_info is None else int(writer.last_info["seed"]) + seed_stride
        for _ in range(writer.num_episodes):
            report(True)
        while writer.num_episodes < wanted:
            record = demonstrator.run(seed, driver)
            if record.success:
                add_to(writer, record, config.looks)
            report(record.success)
            seed += seed_stride
        writer.finish()
    sim.close()


def add_to(writer: LeRobotWriter, record: Demonstration, looks: str) -> None:
    """Append one demonstration with its validity flags and localisation labels; ``looks`` is kept beside its seed."""
    writer.add_episode(
        np.stack(record.states),
        np.stack(record.actions),
        {HEAD_CAMERA: np.stack(record.images)},
        record.sentence,
        extra={VALID: np.array(record.valid, dtype=np.float32)[:, None], GOAL_UV: np.stack(record.uv)},
        episode_info={"seed": record.seed, "success": record.success, LOOKS: looks},
    )
