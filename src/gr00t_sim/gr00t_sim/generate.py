# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted expert as a LeRobot dataset: ``gr00t sim generate``. One process a core, resumable."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import PERIOD_S, Demonstrator, Variety
from gr00t_sim.jobs.runner import local_runner
from gr00t_sim.looks import looks_named
from gr00t_sim.production.outcome import SeedOutcome, kept_episode
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import make_task

_MOST_TRIES_PER_EPISODE = 20  # an expert that fails so often is broken


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

    @property
    def maker(self) -> "Maker":
        return Maker(self.task, self.looks, self.variety, self.policy, tuple(self.scene.items()))


def run(config: GenerateConfig) -> int:
    """Generate, merge, report. Returns the exit code."""
    out = config.folder
    if (out / "meta" / "info.json").is_file():
        _require_same(out, LeRobotDataset(out).episodes[0].info, config)
        print(f"{out} exists and is complete; remove it to generate again")
        return 0
    driven_by = "" if config.policy is None else str(config.policy.resolve())
    order = Order(
        title=f"demonstrating {config.task}",
        out=out,
        first_seed=config.seed,
        wanted=config.episodes,
        most_tries=_MOST_TRIES_PER_EPISODE * config.episodes,
        made_with={"task": config.task, "policy": driven_by} | {key: str(value) for key, value in config.scene.items()},
        if_too_few="look at what the task's expert does: `gr00t sim play`",
    )
    workers = min(config.workers, config.episodes)
    work, summary = produce(order, partial(demonstrate, config.maker), local_runner(workers))
    summary = {"task": config.task, **config.scene} | summary
    print(f"{out}: {summary['episodes']} episodes, {summary['frames']} frames in {work.seconds:.1f} s; {work}")
    if config.json is not None:
        write_json(config.json, summary)
    return 0


def _require_same(folder: Path, there: Mapping[str, Any], config: GenerateConfig) -> None:
    """there: what the folder's episodes have in common; what it does not say is as it was before one could choose."""
    wanted = {"task": config.task, **config.scene}
    usual = {"task": config.task, "looks": "none", "picture_hz": 10.0}
    for name, value in wanted.items():
        if (found := there.get(name, usual[name])) != value:
            raise DatasetError(
                f"{folder} holds demonstrations with {name} '{found}', not '{value}'; remove it or use another --out"
            )


@dataclass(frozen=True)
class Maker:
    """All that a demonstration depends on beside its seed."""

    task: str
    looks: str
    variety: Variety
    policy: Path | None
    scene: tuple[tuple[str, Any], ...]


_made: dict[Maker, tuple[Demonstrator, PolicyDriver | None]] = {}


def demonstrate(maker: Maker, seed: int) -> SeedOutcome:
    """In a worker process: the expert's demonstration of one seed; simulator and policy are made for the first one."""
    if maker not in _made:
        sim = TabletopSim(maker.task, looks=maker.looks)
        driver = None if maker.policy is None else PolicyDriver(sim, load_policy(maker.policy))
        _made[maker] = (Demonstrator(sim, maker.variety), driver)
    demonstrator, driver = _made[maker]
    made, sim = demonstrator.run(seed, driver), demonstrator.sim
    if not made.success:
        return SeedOutcome(seed, "not solved", sim.task_state().detail)
    return kept_episode(made, maker.task, sim.embodiment, dict(maker.scene))
