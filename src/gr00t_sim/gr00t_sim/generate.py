# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted expert as a LeRobot dataset: ``gr00t sim generate``. One process a core, resumable."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import Demonstrator
from gr00t_sim.jobs.runner import local_runner
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
    out: Path | None = None
    """Dataset folder (LeRobot v2), default out/datasets/<task>. An unfinished one is continued; a finished one is left alone."""
    workers: int = 2
    """Processes; one a core."""
    policy: Path | None = None
    """Checkpoint that drives for a random while in each episode before the expert takes over (DAgger): the
    demonstrations then start where that policy's own mistakes lead."""
    json: Path | None = None
    """Write a summary here."""

    def __post_init__(self) -> None:
        make_task(self.task)
        if self.episodes < 1 or self.workers < 1:
            raise ConfigError(f"episodes and workers must be at least 1, got {self.episodes} and {self.workers}")

    @property
    def folder(self) -> Path:
        return self.out or Path("out/datasets") / self.task


def run(config: GenerateConfig) -> int:
    """Generate, merge, report. Returns the exit code."""
    out = config.folder
    if (out / "meta" / "info.json").is_file():
        print(f"{out} exists and is complete; remove it to generate again")
        return 0
    order = Order(
        title=f"demonstrating {config.task}",
        out=out,
        first_seed=config.seed,
        wanted=config.episodes,
        most_tries=_MOST_TRIES_PER_EPISODE * config.episodes,
        made_with={"task": config.task, "policy": "" if config.policy is None else str(config.policy.resolve())},
        if_too_few="look at what the task's expert does: `gr00t sim play`",
    )
    workers = min(config.workers, config.episodes)
    summary = {"task": config.task} | produce(
        order, partial(demonstrate, config.task, config.policy), local_runner(workers)
    )
    print(f"{out}: {summary['episodes']} episodes, {summary['frames']} frames in {summary['seconds']} s")
    if config.json is not None:
        write_json(config.json, summary)
    return 0


_made: dict[tuple[str, Path | None], tuple[Demonstrator, PolicyDriver | None]] = {}


def demonstrate(task: str, policy: Path | None, seed: int) -> SeedOutcome:
    """In a worker process: the expert's demonstration of one seed; simulator and policy are made for the first one."""
    if (task, policy) not in _made:
        sim = TabletopSim(task)
        driver = None if policy is None else PolicyDriver(sim, load_policy(policy))
        _made[task, policy] = (Demonstrator(sim), driver)
    demonstrator, driver = _made[task, policy]
    made = demonstrator.run(seed, driver)
    sim = demonstrator.sim
    return (
        kept_episode(made, task, sim.embodiment)
        if made.success
        else SeedOutcome(seed, "not solved", sim.task_state().detail)
    )
