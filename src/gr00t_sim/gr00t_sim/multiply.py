# SPDX-License-Identifier: Apache-2.0
"""Many demonstrations from a few: ``gr00t sim multiply``, as DexMimicGen does it, for one task of the simulator.

The sources are replayed in their own scenes and cut into subtasks of each hand; in a new scene, the segments of the source
nearest to it are carried over to where things stand now and played in physics. What the task's referee accepts is kept.
"""

import hashlib
import platform
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track
from rich.table import Table

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_sim.evaluation.code_digest import MULTIPLYING, code_digest
from gr00t_sim.evaluation.seeds import require_trainable, tries_before_evaluation
from gr00t_sim.jobs.runner import make_runner
from gr00t_sim.jobs.workers import WorkerError
from gr00t_sim.multiplication.multiplier import MotionSettings, Multiplier
from gr00t_sim.multiplication.selection import named, same_hands
from gr00t_sim.multiplication.source_data import RecordedEpisode, read_source
from gr00t_sim.multiplication.sources import Source, prepare
from gr00t_sim.multiplication.subtasks import plan, subtasks_of
from gr00t_sim.production.outcome import SeedOutcome, kept_episode
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.production.store import CODE
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.summary_file import write_summary

_TRIES_PER_EPISODE = 10
_SCENES_LOOKED_AT = 100  # for the hands they need, before anything is tried


@dataclass(frozen=True)
class MultiplyConfig:
    """Which demonstrations to multiply, how often, and where to write."""

    source: Path
    """Dataset (LeRobot v2) of demonstrations recorded in the simulator, of one task."""
    count: int
    """Demonstrations to keep."""
    out: Path
    """Dataset folder to make. An unfinished one is continued; a finished one is left alone."""
    task: str | None = None
    """The task that the source shows; needed only where the dataset does not say."""
    seed: int = 700000
    """Seed of the first scene; try i uses seed + i. Seeds 10000 to 10099 are for evaluation and refused."""
    hands: Literal["all", "shown"] = "all"
    """all: every scene, and an error when one needs a hand that no source uses; shown: such scenes are passed over."""
    noise_m: float = 0.001
    """Standard deviation of what is added to the hands' targets in every period [m]."""
    bridge_steps: int = 4
    """Periods between two segments, at least; more when the way is long."""
    tries: int = 0
    """Scenes to try at most, none of the evaluation's; 0: ten for each demonstration to keep."""
    workers: int = 2
    """Processes; one a core."""
    cluster: str | None = None
    """Work on a Ray cluster instead: its address, 'auto' for the one that this machine belongs to, or 'local' for one of
    ``workers`` that listens on loopback and ends with the run."""
    json: Path | None = None
    """Write a summary here."""

    def __post_init__(self) -> None:
        if self.count < 1 or self.workers < 1:
            raise ConfigError(f"count and workers must be at least 1, got {self.count} and {self.workers}")
        if self.seed < 0 or self.tries < 0 or self.bridge_steps < 1:
            raise ConfigError(
                "seed and tries must be 0 or more, bridge_steps at least 1; "
                f"got {self.seed}, {self.tries} and {self.bridge_steps}"
            )
        if not 0 <= self.noise_m <= 0.02:
            raise ConfigError(f"noise_m must be between 0 and 0.02 m, got {self.noise_m}")
        require_trainable(self.seed, self.count)

    @property
    def most_tries(self) -> int:
        """Scenes to try at most: where the evaluation's begin, no more."""
        return tries_before_evaluation(self.seed, self.tries or _TRIES_PER_EPISODE * self.count)


@dataclass(frozen=True)
class Recipe:
    """All that an episode depends on beside its seed, as plain data. digest: of the source as recorded; code: of the code here,
    which a worker's must be."""

    task: str
    sources: tuple[Source, ...]
    settings: MotionSettings
    digest: str
    code: str


def run(config: MultiplyConfig) -> int:
    """Multiply and report. Returns the exit code."""
    if config.out.exists():
        raise DatasetError(f"{config.out} exists already; remove it or choose another --out")
    task, episodes = read_source(config.source, load_embodiment("gr1"), config.task)
    subtasks_of(task)
    sim = TabletopSim(task)
    console = Console()
    left = iter(track(episodes, f"replaying {len(episodes)} sources", console=console))
    sources, refused = prepare(sim, episodes, lambda: next(left))
    next(left, None)
    for index, reason in refused.items():
        console.print(f"source episode {index} is left out: {reason}", markup=False)
    settings = MotionSettings(noise_m=config.noise_m, bridge_steps=config.bridge_steps)
    recipe = Recipe(task, tuple(sources), settings, digest_of(episodes), _code_here())
    if config.hands == "all":
        require_hands(sim, sources, config.seed)
    order = Order(
        title=f"multiplying {task}",
        out=config.out,
        first_seed=config.seed,
        wanted=config.count,
        most_tries=config.most_tries,
        made_with={
            "task": task,
            "source": recipe.digest,
            "settings": repr(settings),
            CODE: recipe.code,
        },
        if_too_few="the same command with more --tries goes on, more sources help more",
    )
    summary: dict[str, Any] = {
        "task": task,
        "sources": [source.index for source in sources],
        "sources_left_out": {str(index): reason for index, reason in refused.items()},
    }
    summary |= produce(order, partial(multiply_seed, recipe), make_runner(config.workers, config.cluster))[1]
    _report(console, config.out, summary)
    if config.json is not None:
        write_summary(config.json, summary)
    return 0


def require_hands(sim: TabletopSim, sources: list[Source], first_seed: int) -> None:
    """Raises DatasetError when a scene among the first ones needs hands that no source uses, naming hand and scene."""
    for seed in range(first_seed, first_seed + _SCENES_LOOKED_AT):
        sim.reset(seed)
        wanted = plan(sim.task)
        if not same_hands(sources, wanted):
            shown = Counter(named(source.hands) for source in sources)
            raise DatasetError(
                f"scene {seed} needs the {named(tuple(one.hands for one in wanted))}, but no source uses it "
                f"(there are: {', '.join(f'{hands}: {count}' for hands, count in sorted(shown.items()))}); record such "
                "demonstrations too, or pass those scenes over with --hands shown"
            )


_made: dict[str, Multiplier] = {}


def multiply_seed(recipe: Recipe, seed: int) -> SeedOutcome:
    """In a worker process: one scene; the simulator is made for the first one. Raises WorkerError where there is other code."""
    key = f"{recipe.task} {recipe.digest} {recipe.settings} {recipe.code}"
    if key not in _made:
        if (here := _code_here()) != recipe.code:
            raise WorkerError(
                f"the machine {platform.node()} has other code of simulator or multiplication, or of a library below them: "
                f"{here} there, {recipe.code} here; bring it to the version that is here, and the same command goes on"
            )
        _made.clear()
        _made[key] = Multiplier(TabletopSim(recipe.task), recipe.sources, recipe.settings)
    multiplier = _made[key]
    wanted = multiplier.needs(seed)
    if not same_hands(recipe.sources, wanted):
        return SeedOutcome(seed, f"no source for {named(tuple(one.hands for one in wanted))}", tried=False)
    attempt = multiplier.run(seed)
    if attempt.reason:
        return SeedOutcome(seed, attempt.reason, attempt.detail, source=attempt.source)
    return kept_episode(attempt.demonstration, recipe.task, multiplier.sim.embodiment, {}, attempt.source)


def _code_here() -> str:
    return code_digest(MULTIPLYING)[:16]


def digest_of(episodes: list[RecordedEpisode]) -> str:
    """Of everything in the source that the new episodes depend on."""
    digest = hashlib.sha256()
    for one in episodes:
        digest.update(f"{one.index} {one.seed} {one.sentence} {len(one)}".encode())
        for rows in (one.states, one.actions, one.valid):
            digest.update(rows.tobytes())
    return digest.hexdigest()


def _report(console: Console, out: Path, summary: dict[str, Any]) -> None:
    table = Table("what came of the scenes", "scenes")
    table.add_row("kept", str(summary["episodes"]))
    for reason, count in (*summary["failures"].items(), *summary["passed_over"].items()):
        table.add_row(reason, str(count))
    console.print(table)
    console.print(
        f"{out}: {summary['episodes']} of {summary['attempts']} tries kept ({100 * summary['acceptance_rate']:.0f} %), "
        f"{summary['frames']} frames in {summary['seconds']} s, {summary['episodes_per_hour']} episodes an hour",
        markup=False,
        soft_wrap=True,
    )
