# SPDX-License-Identifier: Apache-2.0
"""Experiment: pre-trained on other tasks of the suite, then post-trained on a task with few demonstrations; or from nothing.

    python benchmarks/pretraining.py --out out/benchmarks/pretraining

The tasks that are averaged over are left out of the pre-training, demonstrations and still scenes alike.

Post-training takes the same recipe (``demonstrations``) and the same steps as training from nothing: the arms differ in where
they start, and in two things that belong to a start. The words of the task are learnt whole (``--new-words``): the tokenizer of
the other tasks spells them in pieces, a sentence of push_to_zone in 18 tokens on average and up to 23 of the 24 that the network
reads. And learning rates are a share (``--post-rate``) of the recipe's, which are for a network that knows nothing: 0.3 (3e-4
where actions are learnt) lies between the recipe's 1e-3 and the 1e-4 of recipe ``posttrain``. It has not been searched for;
neither has that of the other arm. Recipe ``posttrain`` itself is not taken: it keeps the old words, draws other pictures and has
no steps that look alone, so the arms would differ in more than their start.
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
    post_rate: float = 0.3
    """Share of the recipe's learning rates after pre-training."""


def arms(config: Config) -> list[experiment.Arm]:
    """One of each kind for every task, those of a kind one after the other."""
    others = replace(config, tasks=tuple(name for name in SUITES["gr1_tabletop"] if name not in config.tasks))
    generate, folders = experiment.demonstrations(others, config.demonstrations)
    before = config.out / "runs" / "before"
    pretrain = (
        "train", "--recipe", "demonstrations", "--budget", str(config.budget), *config.train_options(),
        "--datasets", *map(str, folders), "--out", str(before),
    )  # fmt: skip
    start = ("--initial", str(before / "checkpoint"), "--new-words", "--rate", str(config.post_rate))
    return [_arm(config, task, PRETRAINED, (*generate, pretrain), start) for task in config.tasks] + [
        _arm(config, task, FROM_NOTHING, (), ()) for task in config.tasks
    ]


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
    results = experiment.written(
        config,
        [experiment.joined(name, parts) for name, parts in rows.items()],
        [(PRETRAINED, FROM_NOTHING)],
    )
    figures.draw_bars(results, f"{100 * config.share:.0f} % of the demonstrations", config.out / "pretraining.png")
    print(experiment.table(results))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
