# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted expert as a LeRobot dataset: ``gr00t sim generate``. One process a core, resumable."""

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.merge import merge_datasets
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import PERIOD_S, Demonstration, Demonstrator, Variety
from gr00t_sim.generation_rate import Work, cpu_s
from gr00t_sim.looks import looks_named
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import make_task

VALID = "valid"
GOAL_UV = "goal_uv"


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
    picture_hz: float = 10.0
    """Pictures drawn per second: 10 as the planner looks (the row between repeats the picture), or 20: one for every row."""
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
        if self.picture_hz <= 0 or not (1 / PERIOD_S / self.picture_hz).is_integer():
            raise ConfigError(
                f"picture_hz must divide the {1 / PERIOD_S:g} rows a second, e.g. 20, 10 or 5: {self.picture_hz}"
            )
        if self.episodes < 1 or self.workers < 1:
            raise ConfigError(f"episodes and workers must be at least 1, got {self.episodes} and {self.workers}")

    @property
    def folder(self) -> Path:
        named = self.task if self.looks == "none" else f"{self.task}_{self.looks}"
        return self.out or Path("out/datasets") / named

    @property
    def variety(self) -> Variety:
        return Variety(ticks_per_picture=round(1 / PERIOD_S / self.picture_hz))

    @property
    def scene(self) -> dict[str, Any]:
        """What every episode of one dataset has in common, kept with each."""
        return {"looks": self.looks, "picture_hz": self.picture_hz}


@dataclass(frozen=True)
class Report:
    """Of one episode by a worker. kept: it is in the dataset; tried: in this run."""

    kept: bool
    tried: bool


def run(config: GenerateConfig) -> int:
    """Generate, merge, report. Returns the exit code."""
    started, cpu_before_s = time.monotonic(), cpu_s()
    out = config.folder
    if (out / "meta" / "info.json").is_file():
        _require_same(out, LeRobotDataset(out).episodes[0].info, config)
        print(f"{out} exists and is complete; remove it to generate again")
        return 0
    shards = out.with_name(f".{out.name}.shards")
    _claim(shards, config)
    workers = min(config.workers, config.episodes)
    made, attempts = generate_shards(config, shards, workers)
    dataset = merge_datasets([shards / f"{index}" for index in range(workers)], out)
    shutil.rmtree(shards)
    work = Work(made, attempts, time.monotonic() - started, cpu_s() - cpu_before_s)
    frames = sum(entry.length for entry in dataset.episodes)
    summary = {
        "task": config.task,
        **config.scene,
        "episodes": len(dataset.episodes),
        "frames": frames,
        **work.as_dict(),
    }
    print(f"{out}: {len(dataset.episodes)} episodes, {frames} frames in {work.seconds:.1f} s; {work}")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(json.dumps(summary, indent=2))
    return 0


def _claim(shards: Path, config: GenerateConfig) -> None:
    """The unfinished parts are to be those of this config. Raises DatasetError when they are of another task or scene."""
    note = shards / "claim.json"
    if note.is_file():
        _require_same(shards, json.loads(note.read_text()), config)
    shards.mkdir(parents=True, exist_ok=True)
    write_json(note, {"task": config.task, **config.scene})


def _require_same(folder: Path, there: Mapping[str, Any], config: GenerateConfig) -> None:
    """there: what the folder's episodes have in common; what it does not say is as it was before one could choose."""
    wanted = {"task": config.task, **config.scene}
    usual = {"task": config.task, "looks": "none", "picture_hz": 10.0}
    for name, value in wanted.items():
        if (found := there.get(name, usual[name])) != value:
            raise DatasetError(
                f"{folder} holds demonstrations with {name} '{found}', not '{value}'; remove it or use another --out"
            )


def generate_shards(config: GenerateConfig, folder: Path, workers: int) -> tuple[int, int]:
    """Run the worker processes with a progress bar; returns how many episodes they added and how many they tried."""
    share = [config.episodes // workers + (index < config.episodes % workers) for index in range(workers)]
    context = multiprocessing.get_context("spawn")  # a forked GL context does not work
    results: multiprocessing.Queue = context.Queue()
    processes = [
        context.Process(target=_work, args=(config, folder / f"{index}", index, workers, share[index], results))
        for index in range(workers)
    ]
    for process in processes:
        process.start()
    kept = added = tried = 0
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
            kept += message.kept
            added += message.kept * message.tried
            tried += message.tried
            bar.update(row, completed=kept)
    for process in processes:
        process.join()
    return added, tried


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
    report: Callable[[Report], object],
) -> None:
    """Append successful demonstrations to ``folder`` until it holds ``wanted``; failures are tried and dropped."""
    sim = TabletopSim(config.task, looks=config.looks)
    demonstrator = Demonstrator(sim, config.variety)
    driver = PolicyDriver(sim, load_policy(config.policy)) if config.policy is not None else None
    with LeRobotWriter(folder, sim.embodiment) as writer:
        seed = first_seed if writer.last_info is None else int(writer.last_info["seed"]) + seed_stride
        for _ in range(writer.num_episodes):
            report(Report(kept=True, tried=False))
        while writer.num_episodes < wanted:
            record = demonstrator.run(seed, driver)
            if record.success:
                add_to(writer, record, config.scene)
            report(Report(kept=record.success, tried=True))
            seed += seed_stride
        writer.finish()
    sim.close()


def add_to(writer: LeRobotWriter, record: Demonstration, scene: Mapping[str, Any]) -> None:
    """Append one demonstration with its validity flags and localisation labels; ``scene`` is kept beside its seed."""
    writer.add_episode(
        np.stack(record.states),
        np.stack(record.actions),
        {HEAD_CAMERA: np.stack(record.images)},
        record.sentence,
        extra={VALID: np.array(record.valid, dtype=np.float32)[:, None], GOAL_UV: np.stack(record.uv)},
        episode_info={"seed": record.seed, "success": record.success, **scene},
    )
