# SPDX-License-Identifier: Apache-2.0
"""Experiment: pre-trained on other tasks of the suite, then post-trained on a task with few demonstrations; or from nothing.

    python benchmarks/pretraining.py --out out/benchmarks/pretraining

The tasks that are averaged over are left out of the pre-training, demonstrations and still scenes alike.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

import experiment
import figures
from gr00t_sim.tasks.registry import SUITES

PRETRAINED, FROM_NOTHING = "pre-trained", "from nothing"


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """One pre-trained network; two networks a task."""

    out: Path = Path("out/benchmarks/pretraining")
    share: float = 0.1
    """Share of the demonstrations that the tasks themselves have."""
    post_budget: float = 0.1
    """Share of the recipe's steps for each task, after pre-training and from nothing alike."""


def arms(config: Config) -> list[experiment.Arm]:
    """One of each kind for every task, those of a kind one after the other."""
    others = replace(config, tasks=tuple(name for name in SUITES["gr1_tabletop"] if name not in config.tasks))
    generate, folders = experiment.demonstrations(others, config.demonstrations)
    before = config.out / "runs" / "before"
    pretrain = (
        "train", "--recipe", "demonstrations", "--budget", str(config.budget), *config.train_options(),
        "--datasets", *map(str, folders), "--out", str(before),
    )  # fmt: skip
    return [
        _arm(config, task, PRETRAINED, (*generate, pretrain), ("--initial", str(before / "checkpoint")))
        for task in config.tasks
    ] + [_arm(config, task, FROM_NOTHING, (), ()) for task in config.tasks]


def _arm(
    config: Config, task: str, name: str, first: tuple[experiment.Command, ...], start: experiment.Command
) -> experiment.Arm:
    made, own = experiment.demonstrations(
        replace(config, tasks=(task,)), max(1, round(config.share * config.demonstrations))
    )
    out = config.out / "runs" / f"{name.replace(' ', '_')}_{task}"
    train = (
        "train", "--recipe", "demonstrations", "--budget", str(config.post_budget), *config.train_options(),
        "--datasets", *map(str, own), "--out", str(out), *start,
    )  # fmt: skip
    return experiment.Arm(f"{name}, {task}", out / "checkpoint", (*first, *made, train))


def main(config: Config) -> None:
    rows: dict[str, list[dict[str, Any]]] = {PRETRAINED: [], FROM_NOTHING: []}
    for task, arm in zip(config.tasks * 2, arms(config), strict=True):
        rows[arm.name.split(",")[0]] += experiment.run_arms(replace(config, tasks=(task,)), [arm])["rows"]
    results = experiment.written(config, [experiment.joined(name, parts) for name, parts in rows.items()])
    figures.draw_bars(results, f"{100 * config.share:.0f} % of the demonstrations", config.out / "pretraining.png")
    print(experiment.table(results))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
