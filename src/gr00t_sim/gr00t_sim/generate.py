# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted expert as a LeRobot dataset: ``gr00t sim generate``. One process a core, resumable."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.convert_scene import SEED, SIM_TASK
from gr00t_policy.data.json_file import read_json, shown
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_sim.checkpoint_policy import load_policy, own_noise_scale, read_checkpoint
from gr00t_sim.demonstration import PERIOD_S, Demonstrator, Variety
from gr00t_sim.evaluation.code_digest import DEMONSTRATING, code_digest
from gr00t_sim.evaluation.seeds import require_trainable, tries_before_evaluation
from gr00t_sim.jobs.runner import local_runner
from gr00t_sim.looks import looks_named
from gr00t_sim.production.outcome import SeedOutcome, kept_episode
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.production.store import CODE, MADE_WITH
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.summary_file import write_summary
from gr00t_sim.tasks.registry import make_task

_MOST_TRIES_PER_EPISODE = 20  # an expert that fails so often is broken
_NOISE_SCALE = "noise_scale"
_NOISE_SCALE_BEFORE_IT_WAS_SAID = "1.0"


@dataclass(frozen=True)
class GenerateConfig:
    """What to demonstrate and where to write it."""

    task: str = "pick_named_object"
    """A task of the simulator; docs/tasks.md lists them."""
    episodes: int = 200
    """Successful demonstrations to keep."""
    seed: int = 0
    """Seed of the first scene; the next ones follow, those where the expert fails are left out. Seeds 10000 to 10099 are
    for evaluation and refused."""
    looks: str = "none"
    """How pictures vary from episode to episode: none, mild or strong; docs/tasks.md shows them."""
    picture_hz: float = 10.0
    """Pictures drawn per second: 10 as the planner looks (the row between repeats the picture), or 20: one for every row."""
    out: Path | None = None
    """Dataset folder (LeRobot v2), default out/datasets/<task>, followed by _<looks> if they vary. An unfinished one is
    continued; a finished one is left alone, and refused when it was made with something else or has another number of
    episodes."""
    workers: int = 2
    """Processes; one a core."""
    policy: Path | None = None
    """Checkpoint that drives for a random while in each episode before the expert takes over (DAgger): the
    demonstrations then start where that policy's own mistakes lead."""
    noise_scale: float | None = None
    """With policy: scale of the noise that its chunks begin as; default as in `gr00t eval`: 0 for GR00T, the flow's centre, as
    on the robot; 1 for a Diffusion Policy. Above 0 its mistakes vary more, and are others than on the robot."""
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
        if self.noise_scale is not None and (self.policy is None or not 0 <= self.noise_scale < math.inf):
            raise ConfigError(f"noise_scale is that of a policy and not below 0: {self.noise_scale} for {self.policy}")
        require_trainable(self.seed, self.episodes)

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
    def most_tries(self) -> int:
        """Scenes to try at most: where the evaluation's begin, no more."""
        return tries_before_evaluation(self.seed, _MOST_TRIES_PER_EPISODE * self.episodes)

    @property
    def maker(self) -> "Maker":
        """Raises CheckpointError when ``policy`` is none."""
        driver = None
        if self.policy is not None:
            checkpoint = read_checkpoint(self.policy)
            scale = own_noise_scale(checkpoint) if self.noise_scale is None else self.noise_scale
            driver = Driver(self.policy, checkpoint.hash, scale)
        return Maker(self.task, self.looks, self.variety, driver, tuple(self.scene.items()))


def run(config: GenerateConfig) -> int:
    """Generate, merge, report. Returns the exit code.

    Raises DatasetError when the folder holds something else, another process is at it, too few scenes are solved or the
    disk is full; CheckpointError when ``policy`` is none; ConfigError when the summary cannot be written.
    """
    out, maker = config.folder, config.maker
    made_with = {"task": config.task, "policy": "" if maker.driver is None else maker.driver.hash}
    untold: dict[str, str] = {}
    if maker.driver is not None:
        made_with[_NOISE_SCALE], untold = str(maker.driver.noise_scale), {_NOISE_SCALE: _NOISE_SCALE_BEFORE_IT_WAS_SAID}
    made_with |= {key: str(value) for key, value in config.scene.items()}
    code = {CODE: code_digest(DEMONSTRATING)[:16]}  # while episodes are added; a finished dataset stays good
    if (out / "meta" / "info.json").is_file():
        _require_same(out, {**made_with, "first_seed": config.seed, "episodes": config.episodes}, untold)
        print(f"{out} exists and is complete; remove it to generate again")
        return 0
    order = Order(
        title=f"demonstrating {config.task}",
        out=out,
        first_seed=config.seed,
        wanted=config.episodes,
        most_tries=config.most_tries,
        made_with=made_with | code,
        untold=untold,
        if_too_few="look at what the task's expert does: `gr00t sim play`",
    )
    workers = min(config.workers, config.episodes)
    work, summary = produce(order, partial(demonstrate, maker), local_runner(workers))
    summary = {"task": config.task, **config.scene} | summary
    print(f"{out}: {summary['episodes']} episodes, {summary['frames']} frames in {work.seconds:.1f} s; {work}")
    if config.json is not None:
        write_summary(config.json, summary)
    return 0


def _require_same(folder: Path, asked: dict[str, Any], untold: dict[str, str]) -> None:
    """Raises DatasetError naming all in which a finished dataset differs from what is asked for now.

    untold: what a dataset that was driven by a policy was made with where it does not say it.
    Datasets made before they said what they were made with are compared as far as their episodes tell, and the rest is said.
    """
    dataset = LeRobotDataset(folder)
    note = folder / "meta" / MADE_WITH
    there = read_json(note, DatasetError, "remove the dataset") if note.is_file() else _told_by_episodes(dataset, asked)
    if not isinstance(there, dict):
        raise DatasetError(f"{note} does not say what the dataset was made with: {shown(there)}; remove the dataset")
    there = {**(untold if there.get("policy") != "" else {}), **there, "episodes": len(dataset.episodes)}
    differing = [name for name in asked if name in there and there[name] != asked[name]]
    if differing:
        listed = "; ".join(
            f"{name}: {_named(there[name])} there, {_named(asked[name])} asked for" for name in differing
        )
        raise DatasetError(
            f"{folder} holds finished demonstrations made with something else ({listed}); they are neither extended nor "
            "replaced: remove the folder or use another --out"
        )
    if unknown := [name for name in asked if name not in there]:
        print(
            f"{folder} is from before datasets said their {' and '.join(unknown)}: not compared with what is asked for"
        )


def _told_by_episodes(dataset: LeRobotDataset, asked: dict[str, Any]) -> dict[str, Any]:
    """What an older dataset was made with; looks and pictures that it does not say are as before one could choose."""
    if not dataset.episodes:
        return {}
    info = dataset.episodes[0].info
    told = {"looks": str(info.get("looks", "none")), "picture_hz": str(info.get("picture_hz", 10.0))}
    if SIM_TASK in info:
        told["task"] = info[SIM_TASK]
    if info.get(SEED, asked["first_seed"]) < asked["first_seed"]:  # one that is later may come after failures
        told["first_seed"] = info[SEED]
    return told


def _named(value: Any) -> str:
    return f"'{value[:12]}'" if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Driver:
    """A policy that drives before the expert takes over. hash: of its checkpoint."""

    policy: Path
    hash: str
    noise_scale: float


@dataclass(frozen=True)
class Maker:
    """All that a demonstration depends on beside its seed."""

    task: str
    looks: str
    variety: Variety
    driver: Driver | None
    scene: tuple[tuple[str, Any], ...]


_made: dict[Maker, tuple[Demonstrator, PolicyDriver | None]] = {}


def demonstrate(maker: Maker, seed: int) -> SeedOutcome:
    """In a worker process: the expert's demonstration of one seed; simulator and policy are made for the first one."""
    if maker not in _made:
        sim = TabletopSim(maker.task, looks=maker.looks)
        _made[maker] = (Demonstrator(sim, maker.variety), _policy_driver(maker.driver, sim))
    demonstrator, driver = _made[maker]
    made, sim = demonstrator.run(seed, driver), demonstrator.sim
    if not made.success:
        return SeedOutcome(seed, "not solved", sim.task_state().detail)
    return kept_episode(made, maker.task, sim.embodiment, dict(maker.scene))


def _policy_driver(driver: Driver | None, sim: TabletopSim) -> PolicyDriver | None:
    """Raises CheckpointError when the folder holds another policy than when the work began: one dataset, one policy."""
    if driver is None:
        return None
    policy = load_policy(driver.policy, noise_scale=driver.noise_scale, checkpoint_hash=driver.hash)
    return PolicyDriver(sim, policy)
