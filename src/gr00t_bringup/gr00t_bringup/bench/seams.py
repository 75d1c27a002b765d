# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench seams``: ways to execute chunks beside each other: how smooth, how successful, how quick to react.

In the simulator, in simulated time, with the delays of the live stack; the same scenes for every way.
"""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gr00t_bringup.bench.seam_episode import MOVED_M, SeamEpisode, SeamJob, Way, run_episode
from gr00t_bringup.bench.seam_figures import ORDERS, differences, inside_chunks, roughness
from gr00t_bringup.bench.seam_plot import draw_seams
from gr00t_bringup.bench.seam_stack import RATE_HZ, Timing
from gr00t_bringup.bench.seam_verdict import Outcome, SceneEnd, SeamGoal, verdicts
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.config import BLEND_TIME_S
from gr00t_sim.checkpoint_policy import read_checkpoint
from gr00t_sim.interval import wilson95
from gr00t_sim.jobs.workers import run_jobs
from gr00t_sim.tasks.registry import make_task

_SCENES, _SCENES_IN_TIME = 20, 1000  # unless --episodes says so; the second where --minutes ends the run


@dataclass(frozen=True)
class SeamsConfig:
    """What to compare on which scenes. Exit code 0 when it was measured; no way has to win, unless --enforce names one."""

    checkpoint: Path | None = None
    """checkpoint folder; default: the one shipped in models/"""
    ways: tuple[str, ...] = ("switch", "blend", "blend+smooth", "ensemble", "rtc", "rtc+smooth", "rtc+compensated")
    """modes blend, switch, ensemble, rtc; +smooth: a curve between steps; +compensated: the head is asked about the pose at
    which its chunk will be there; +staggered: one pass per tick for chunks in flight, with the head in every tick"""
    tasks: tuple[str, ...] = ("pick_named_object",)
    """tasks of the simulator, each scene with its own sentence"""
    episodes: int | None = None
    """scenes of each task; default: 20, or with --minutes as many as fit, at most 1000"""
    minutes: float | None = None
    """begin no further scene after this time; each scene begun is driven in every way, so that all have the same"""
    seed: int = 10000
    """seed of the first scene; demonstrations use seeds below 10000"""
    head_rate: tuple[float, ...] = (120.0, 10.0)
    """evaluations of the head a second, each measured; 120 and more: in every tick, without delay"""
    delay_s: float = 0.064
    """from the beginning of an evaluation to its chunk, at rates below 120: that of GR00T N1 as published, on an L40"""
    encode_s: float = 0.03
    """from a picture, one every 100 ms, to its tokens"""
    blend_time_s: float = BLEND_TIME_S
    """memory of the plan in mode blend, as on the robot"""
    max_s: float = 20.0
    """time limit of an episode [s]"""
    turn_m: float = 0.01
    """a hand has turned to the moved object when it is commanded that far off its old path, towards it"""
    enforce: tuple[str, ...] = ()
    """exit code 1 when one of these ways misses a goal, at any head rate; what the run cannot say is not missed"""
    workers: int = 2
    """processes; one a core"""
    json: Path | None = None
    """write the figures here"""
    plot: Path | None = None
    """draw them here (PNG)"""

    def __post_init__(self) -> None:
        for name in self.tasks:
            make_task(name)
        if not (self.ways and self.tasks and self.head_rate) or self.scenes < 1 or self.workers < 1 or self.seed < 0:
            raise ConfigError(
                f"ways, tasks, head_rate: at least one; episodes, workers: at least 1; seed: 0 or more: {self}"
            )
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"minutes must be above 0, got {self.minutes}")
        if min(self.head_rate) < 1 or min(self.delay_s, self.encode_s) < 0 or self.max_s < 1 or self.turn_m <= 0:
            raise ConfigError(f"head_rate and max_s must be at least 1, delays not below 0, turn_m above 0: {self}")
        if slow := [rate for rate in self.head_rate if rate < RATE_HZ and self.delay_s > 1 / rate]:
            raise ConfigError(
                f"a head with a delay of {self.delay_s:g} s cannot be evaluated {slow[0]:g} times a second"
            )
        if strangers := set(self.enforce) - set(self.ways):
            raise ConfigError(
                f"enforce names {sorted(strangers)}, which are not compared; ways: {', '.join(self.ways)}"
            )
        staggered = [text for text in self.ways if Way.parse(text).staggered]
        if staggered and min(self.head_rate) < RATE_HZ:
            raise ConfigError(
                f"way '{staggered[0]}' advances with the ticks; give --head-rate {RATE_HZ:g}, not {min(self.head_rate):g}"
            )

    @property
    def scenes(self) -> int:
        """Of each task, at most; fewer where the time is up before."""
        if self.episodes is not None:
            return self.episodes
        return _SCENES if self.minutes is None else _SCENES_IN_TIME

    def jobs(self, checkpoint: Path, checkpoint_hash: str = "") -> list[SeamJob]:
        """Every episode, scene by scene. checkpoint_hash: as in ``SeamJob``."""
        ways = [Way.parse(text) for text in dict.fromkeys(self.ways)]
        seeds = range(self.seed, self.seed + self.scenes)
        every = itertools.product(seeds, self.tasks, self.head_rate, ways)
        return [
            SeamJob(
                checkpoint,
                way,
                Timing(rate, 0.0 if rate >= RATE_HZ else self.delay_s, self.encode_s),
                task,
                seed,
                self.max_s,
                self.blend_time_s,
                self.turn_m,
                checkpoint_hash,
            )
            for seed, task, rate, way in every
        ]


def run(config: SeamsConfig) -> int:
    """Drive all scenes, print, write, draw. Raises Gr00tError."""
    checkpoint = config.checkpoint or shipped_checkpoint()
    read = read_checkpoint(checkpoint)  # what is wrong with it is said before processes start
    jobs = config.jobs(checkpoint, read.hash)
    found: dict[SeamJob, SeamEpisode] = {}

    def finished(episode: SeamEpisode) -> None:
        found[episode.job] = episode
        most = "" if config.minutes is None else "at most "
        print(f"{len(found)} of {most}{len(jobs)}: {_words(episode)}", flush=True)

    run_jobs(_in_time(jobs, config), run_episode, config.workers, finished)
    episodes = [found[job] for job in jobs if job in found]
    groups = _grouped(episodes)
    ends = [_end(episode) for episode in episodes]
    rows = [summarise(group) for group in groups]
    goals = verdicts(rows, ends)
    _print(rows)
    _print_goals(rows, goals)
    if config.json is not None:
        options = {name: value for name, value in asdict(config).items() if name not in ("json", "plot", "checkpoint")}
        write_json(
            config.json,
            {
                "checkpoint": str(checkpoint),
                "checkpoint_hash": read.hash,
                "options": options,
                "moved_m": MOVED_M,
                "rows": [
                    row | {"goals": [asdict(goal) for goal in reached]}
                    for row, reached in zip(rows, goals, strict=True)
                ],
                "scenes": [asdict(end) for end in ends],
                "machine": asdict(this_machine()),
            },
        )
    if config.plot is not None:
        draw_seams(rows, [group[0] for group in groups], config.plot)
        print(config.plot)
    return 1 if _misses(config.enforce, rows, goals) else 0


def _end(episode: SeamEpisode) -> SceneEnd:
    job = episode.job
    return SceneEnd(
        job.task,
        job.seed,
        str(job.way),
        job.timing.head_rate_hz,
        episode.success,
        episode.seconds,
        episode.moved,
        episode.reaction_s,
    )


def _misses(enforced: Sequence[str], rows: Sequence[dict[str, Any]], goals: Sequence[list[SeamGoal]]) -> bool:
    ways = {str(Way.parse(text)) for text in enforced}
    return any(
        goal.outcome is Outcome.MISSED
        for row, reached in zip(rows, goals, strict=True)
        if row["way"] in ways
        for goal in reached
    )


def _in_time(jobs: Sequence[SeamJob], config: SeamsConfig) -> Iterator[SeamJob]:
    """The jobs, until the time is up; then what is left of the scene that was begun. One scene at the least."""
    began_s, scene = time.monotonic(), (jobs[0].task, jobs[0].seed)
    for job in jobs:
        if (job.task, job.seed) != scene:
            if config.minutes is not None and time.monotonic() - began_s > 60 * config.minutes:
                return
            scene = (job.task, job.seed)
        yield job


def summarise(episodes: Sequence[SeamEpisode]) -> dict[str, Any]:
    """Of one way at one timing: way, head_rate_hz, delay_s, episodes, successes, success, wilson95, seconds (mean of the
    successes), moved, reactions_s (of those that turned), reaction_median_s, and per order of difference ``commands`` (as the
    controller gave them), ``given`` (as the gate's limits did) and ``inside_chunk`` (of the head's chunks, each by itself)."""
    first, solved = episodes[0].job, [episode for episode in episodes if episode.success]
    moved = [episode for episode in episodes if episode.moved]
    reactions = sorted(episode.reaction_s for episode in moved if math.isfinite(episode.reaction_s))
    return {
        "way": str(first.way),
        "head_rate_hz": first.timing.head_rate_hz,
        "delay_s": first.timing.delay_s,
        "episodes": len(episodes),
        "successes": len(solved),
        "success": len(solved) / len(episodes),
        "wilson95": list(wilson95(len(solved), len(episodes))),
        "seconds": float(np.mean([episode.seconds for episode in solved])) if solved else math.nan,
        "moved": len(moved),
        "reactions_s": reactions,
        "reaction_median_s": float(np.median(reactions)) if reactions else math.nan,
        "commands": _roughness((episode.commands, episode.new_chunk) for episode in episodes),
        "given": _roughness((episode.given, episode.new_chunk) for episode in episodes),
        "inside_chunk": [
            asdict(inside_chunks(np.concatenate([episode.inside[order - 1] for episode in episodes]), order))
            for order in ORDERS
        ],
    }


def _roughness(paths: Iterable[tuple[Any, Any]]) -> list[dict[str, float]]:
    kept = list(paths)
    found = [roughness([differences(path, fresh, order) for path, fresh in kept], order) for order in ORDERS]
    return [asdict(one) | {"ratio": one.ratio} for one in found]


def _grouped(episodes: Sequence[SeamEpisode]) -> list[list[SeamEpisode]]:
    """The episodes of each timing and way together, in order."""
    groups: dict[tuple[Way, Timing], list[SeamEpisode]] = {}
    for episode in episodes:
        groups.setdefault((episode.job.way, episode.job.timing), []).append(episode)
    return list(groups.values())


def _words(episode: SeamEpisode) -> str:
    turned = "" if not episode.moved else f", turned after {1e3 * episode.reaction_s:.0f} ms"
    return f"{episode.job}: {'solved' if episode.success else 'not solved'} in {episode.seconds:.1f} s{turned}"


def _print(rows: Sequence[dict[str, Any]]) -> None:
    print(
        f"\n{'':30} {'success':>22} {'seconds':>8} {'reaction':>18}   differences p95 [mrad], border/inside a chunk (ratio)\n"
        f"{'':30} {'':>22} {'':>8} {'median, turned':>18} {'first':>20} {'second':>20} {'third':>20}"
    )
    for row in rows:
        low, high = row["wilson95"]
        name = f"{row['head_rate_hz']:g} Hz {row['way']}"
        rate = f"{100 * row['success']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        reaction = f"{1e3 * row['reaction_median_s']:.0f} ms, {len(row['reactions_s'])} of {row['moved']}"
        pairs = zip(row["commands"], row["inside_chunk"], strict=True)
        seams = " ".join(f"{_beside(one['border_p95'], inside['p95']):>20}" for one, inside in pairs)
        print(f"{name:30} {rate:>22} {row['seconds']:8.1f} {reaction:>18} {seams}")


def _beside(border: float, inside: float) -> str:
    ratio = border / inside if inside > 0 else math.nan
    return f"{1e3 * border:.2f}/{1e3 * inside:.2f} ({ratio:.2f})"


def _print_goals(rows: Sequence[dict[str, Any]], goals: Sequence[list[SeamGoal]]) -> None:
    for place, goal in enumerate(goals[0]):
        print(f"\n{goal.name}:")
        for row, reached in zip(rows, goals, strict=True):
            name = f"{row['head_rate_hz']:g} Hz {row['way']}"
            print(f"{name:30} {reached[place].outcome:10} {reached[place].because}")
