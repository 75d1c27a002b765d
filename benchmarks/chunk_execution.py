# SPDX-License-Identifier: Apache-2.0
"""Experiment: how a chunk is executed. How much of it before the head is asked again, and how chunks are joined.

python benchmarks/chunk_execution.py --checkpoint models/gr1_tabletop_tiny --out out/benchmarks/chunk_execution
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

import experiment
import figures


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """Evaluations of one checkpoint; nothing is trained."""

    out: Path = Path("out/benchmarks/chunk_execution")
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    tasks: tuple[str, ...] = ("pick_named_object", "choose_bin")
    episodes: int = 50
    head_every: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Control periods of 50 ms from one evaluation of the head to the next."""
    blend_time_s: tuple[float, ...] = (0.0, 0.1, 0.3)
    """Memory of the plan into which chunks are blended; 0 switches to each new chunk as it is."""


def arms(config: Config) -> list[experiment.Arm]:
    return [
        experiment.Arm(
            f"{50 * every} ms, blend {blend:g} s",
            config.checkpoint,
            evaluation=("--head-every", str(every), "--blend-time-s", str(blend)),
        )
        for blend in config.blend_time_s
        for every in config.head_every
    ]


def main(config: Config) -> None:
    results = experiment.run_arms(config, arms(config))
    rows = iter(results["rows"])
    series = {
        ("plain switching" if blend == 0 else f"blended over {blend:g} s"): [
            (50.0 * every, row["average"], *row["average95"])
            for every, row in zip(config.head_every, rows, strict=False)
        ]
        for blend in config.blend_time_s
    }
    figures.draw_lines(
        series, "executed before the head is asked again [ms]", "chunk execution", config.out / "chunk_execution.png"
    )
    print(experiment.table(results))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
