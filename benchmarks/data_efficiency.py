# SPDX-License-Identifier: Apache-2.0
"""Experiment: ours against Diffusion Policy with 10, 30 and 100 % of the demonstrations, the same ones for both.

    python benchmarks/data_efficiency.py --out out/benchmarks/data_efficiency

Both see demonstrations alone and take the same number of optimiser steps, 2,800 at the default budget. Their batches differ:
ours learns to find things in 800 of its steps, from 48 pictures each, and acts in 2,000, from 24 each; Diffusion Policy acts
in all, from 24 each. That is 86,400 pictures drawn to 67,200, and 2,000 steps on actions to 2,800; the table says it for each
arm, with the minutes. A third line adds the still scenes from which the shipped checkpoint learns to find things, which cost no
demonstrations (102,400 pictures in as many steps). A fourth one also multiplies the demonstrations that a smaller share leaves to
as many as there are in all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import experiment
import figures
from gr00t_bringup.train_recipe import RECIPES, scaled
from gr00t_policy.core.errors import ConfigError

LINES = ("ours with still scenes", "ours with still scenes, multiplied", "Diffusion Policy", "ours")


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """One network of each kind for every share of the demonstrations, trained on all tasks together."""

    out: Path = Path("out/benchmarks/data_efficiency")
    shares: tuple[float, ...] = (0.1, 0.3, 1.0)
    """Shares of the demonstrations."""
    baseline_steps: int | None = None
    """Optimiser steps of Diffusion Policy; default: as many as ours takes in its stages with this budget."""
    lines: tuple[str, ...] = LINES
    """Which lines to draw: a network for each share of each of them."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.lines) - set(LINES))
        if unknown or "Diffusion Policy" not in self.lines:
            raise ConfigError(f"lines are {', '.join(LINES)}, the baseline among them; got {', '.join(self.lines)}")


def _baseline_steps(config: Config) -> int:
    """As many as the recipe ``demonstrations`` takes, unless given."""
    (only,) = RECIPES["demonstrations"].rounds
    return config.baseline_steps or sum(scaled(stage, config.budget).steps for stage in only.stages.values())


def _arms_of_share(config: Config, share: float) -> list[experiment.Arm]:
    count = max(1, round(share * config.demonstrations))
    generate, folders = experiment.demonstrations(config, count)
    data = ("--datasets", *map(str, folders))
    with_scenes = (
        "--recipe", "tiny", "--budget", str(config.budget), "--data", str(config.out / "data"), *config.train_options(),
    )  # fmt: skip
    ways: dict[str, tuple[list[experiment.Command], tuple[str, ...]]] = {
        "ours with still scenes": ([], (*with_scenes, *data)),
    }
    if count < config.demonstrations and "ours with still scenes, multiplied" in config.lines:
        multiply, more = experiment.multiplied(config, folders, config.demonstrations - count)
        ways["ours with still scenes, multiplied"] = multiply, (*with_scenes, *data, *map(str, more))
    ways["Diffusion Policy"] = (
        [],
        (
            "--recipe", "diffusion_policy", "--steps", str(_baseline_steps(config)), "--threads", str(config.threads),
            *(("--mixed-precision",) if config.bf16 else ()), *data,
        ),
    )  # fmt: skip
    ways["ours"] = [], ("--recipe", "demonstrations", "--budget", str(config.budget), *config.train_options(), *data)
    made = []
    for name, (commands, options) in ways.items():
        if name not in config.lines:
            continue
        out = config.out / "runs" / f"{name.replace(' ', '_').replace(',', '')}_{count}"
        train = ("train", *options, "--out", str(out))
        made.append(experiment.Arm(f"{name}, {100 * share:.0f}%", out / "checkpoint", (*generate, *commands, train)))
    return made


def arms(config: Config) -> list[experiment.Arm]:
    return [arm for share in config.shares for arm in _arms_of_share(config, share)]


def main(config: Config) -> None:
    results = experiment.run_arms(config, arms(config))
    series: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in results["rows"]:
        name, share = row["arm"].rsplit(", ", 1)
        series.setdefault(name, []).append((float(share.rstrip("%")), row["average"], *row["average95"]))
    figures.draw_lines(
        series,
        f"share of {config.demonstrations} demonstrations of each task [%]",
        "success by data",
        config.out / "data_efficiency.png",
    )
    print(experiment.table(results))
    print(reading(results))


def reading(results: dict[str, Any]) -> str:
    """The two figures that the experiment is about, of each of our lines."""
    rates = {tuple(row["arm"].rsplit(", ", 1)): row["average"] for row in results["rows"]}
    shares = sorted({share for _, share in rates}, key=lambda share: float(share.rstrip("%")))
    least, most = shares[0], shares[-1]
    lines = []
    for name in dict.fromkeys(name for name, _ in rates if name.startswith("ours")):
        whole = rates.get((name, most), rates.get((name.removesuffix(", multiplied"), most), 0.0))
        ahead = 100 * (whole - rates["Diffusion Policy", most])
        kept = 100 * rates[name, least] / whole if whole else 0.0
        lines.append(
            f"{name} less Diffusion Policy at {most}: {ahead:+.0f} points; at {least} of its own at {most}: {kept:.0f} %"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
