# SPDX-License-Identifier: Apache-2.0
"""Experiment: pre-trained on other tasks of the suite, then post-trained on a task with few demonstrations; or from nothing.

    python benchmarks/pretraining.py --out out/benchmarks/pretraining

The tasks that are averaged over are left out of the pre-training, demonstrations and still scenes alike.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

import experiment
import figures
from gr00t_sim.tasks.registry import SUITES


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """One pre-trained network; two networks a task."""

    out: Path = Path("out/benchmarks/pretraining")
    share: float = 0.1
    """Share of the demonstrations that the tasks themselves have."""
    post_budget: float = 0.1
    """Share of the recipe's steps for each task, after pre-training and from nothing alike."""


def main(config: Config) -> None:
    others = replace(config, tasks=tuple(name for name in SUITES["gr1_tabletop"] if name not in config.tasks))
    generate, folders = experiment.demonstrations(others, config.demonstrations)
    before = config.out / "runs" / "before"
    pretrain = (
        "train", "--recipe", "demonstrations", "--budget", str(config.budget), *config.train_options(),
        "--datasets", *map(str, folders), "--out", str(before),
    )  # fmt: skip
    rows = []
    for name, first, start in (
        ("pre-trained", (*generate, pretrain), ("--initial", str(before / "checkpoint"))),
        ("from nothing", (), ()),
    ):
        parts = []
        for task in config.tasks:
            one = replace(config, tasks=(task,))
            made, own = experiment.demonstrations(one, max(1, round(config.share * config.demonstrations)))
            out = config.out / "runs" / f"{name.replace(' ', '_')}_{task}"
            train = (
                "train", "--recipe", "demonstrations", "--budget", str(config.post_budget), *config.train_options(),
                "--datasets", *map(str, own), "--out", str(out), *start,
            )  # fmt: skip
            arm = experiment.Arm(name, out / "checkpoint", (*first, *made, train))
            parts.append(experiment.run_arms(one, [arm])["rows"][0])
        rows.append(experiment.joined(name, parts))
    results = experiment.written(config, rows)
    figures.draw_bars(results, f"{100 * config.share:.0f} % of the demonstrations", config.out / "pretraining.png")
    print(experiment.table(results))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
