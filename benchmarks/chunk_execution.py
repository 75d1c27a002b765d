# SPDX-License-Identifier: Apache-2.0
"""Experiment: how a chunk is executed. How often the head is asked, and how its chunks become one motion.

python benchmarks/chunk_execution.py --workers 1

Two axes. The head's period is what is executed between two evaluations. How far into old chunks the robot still obeys is
the way's: with ``switch`` no further than that period, so there horizon and rate are one; ``blend`` has a memory of its own;
``ensemble`` goes on with every chunk as long as it says something; ``rtc`` computes a chunk to continue the last one. Rates
above 20 Hz, as on the robot, are for ``gr00t bench seams --head-rate``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

import experiment
import figures
from gr00t_policy.runtime.config import BLEND_TIME_S

PERIOD_MS = 50
_SAID = {"switch": "switched", "ensemble": "ensembled", "rtc": "in-painted (rtc)"}


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """Evaluations of one checkpoint; nothing is trained. 18 arms of 100 scenes: about 40 minutes on one core."""

    out: Path = Path("out/benchmarks/chunk_execution")
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    tasks: tuple[str, ...] = ("pick_named_object", "choose_bin")
    episodes: int = 50
    ways: tuple[str, ...] = ("switch", "blend", "ensemble", "rtc")
    """How chunks are joined: the modes of ``gr00t eval --chunk-mode``."""
    head_every: tuple[int, ...] = (1, 4, 8)
    """Control periods of 50 ms from one evaluation of the head to the next; a chunk has 16."""
    blend_time_s: tuple[float, ...] = (0.1, 0.15, 0.3)
    """Memories of the plan into which chunks are blended; for the way ``blend`` alone."""


def ways(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(what a way is called in the figure, its options of ``gr00t eval``)."""
    for way in config.ways:
        if way != "blend":
            yield _SAID.get(way, way), ("--chunk-mode", way)
            continue
        for memory_s in config.blend_time_s:
            yield f"blended over {memory_s:g} s", ("--chunk-mode", "blend", "--blend-time-s", str(memory_s))


def arms(config: Config) -> list[experiment.Arm]:
    """Way by way, each at every rate."""
    return [
        experiment.Arm(
            f"{said}, {PERIOD_MS * every} ms", config.checkpoint, evaluation=(*options, "--head-every", str(every))
        )
        for said, options in ways(config)
        for every in config.head_every
    ]


def main(config: Config) -> None:
    made = arms(config)
    # The robot's own way, where it is among them, is taken from all others.
    names = [arm.name for arm in made]
    own = next((name for name in names if name == f"blended over {BLEND_TIME_S:g} s, {PERIOD_MS} ms"), names[0])
    results = experiment.run_arms(config, made, against=[(name, own) for name in names if name != own])
    figures.draw_lines(
        lines(config, results), "from one evaluation of the head to the next [ms]", "chunk execution",
        config.out / "chunk_execution.png",
    )  # fmt: skip
    print(experiment.table(results))


def lines(config: Config, results: dict) -> dict[str, list[tuple[float, float, float, float]]]:
    """Way -> (head's period [ms], average success, its 95 % interval) in order of the rates."""
    rows = iter(results["rows"])
    return {
        said: [
            (PERIOD_MS * every, row["average"], *row["average95"])
            for every, row in zip(config.head_every, rows, strict=False)
        ]
        for said, _ in ways(config)
    }


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
