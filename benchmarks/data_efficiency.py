# SPDX-License-Identifier: Apache-2.0
"""Experiment: ours against Diffusion Policy with 10, 30 and 100 % of the demonstrations, the same ones for both.

    python benchmarks/data_efficiency.py --out out/benchmarks/data_efficiency

Both learn from the same demonstrations and take the same number of optimiser steps, 2,800 at the default budget, but not
from the same of what is in them. "ours" also learns where the named things are, from labels that the simulator writes beside
each picture (``goal_uv``) and that a recording of a robot does not have: 800 of its steps are that alone, from 48 pictures
each, and in the other 2,000, of 24 pictures each, it stands beside the actions. Diffusion Policy has no use for these labels
and acts in all its steps, from 24 pictures each. That is 86,400 pictures drawn to 67,200, and 2,000 steps on actions to 2,800;
the table says it for each arm, with the minutes.

"ours without places" is the comparison at strictly equal data: the same network without these labels (aux_weight 0), acting
in all of the 2,800 steps, from 24 pictures each, as the baseline does. "ours with still scenes" adds the still scenes from which
the shipped checkpoint learns to find things, which cost no demonstrations (102,400 pictures in as many steps); "multiplied" also
multiplies the demonstrations that a smaller share leaves to as many as there are in all. ``--lines`` chooses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import experiment
import figures
import paired_arms
from gr00t_bringup.train_recipe import RECIPES, scaled
from gr00t_policy.core.errors import ConfigError

BASELINE = "Diffusion Policy"
LINES = ("ours with still scenes", "ours with still scenes, multiplied", BASELINE, "ours", "ours without places")


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
        if unknown or BASELINE not in self.lines:
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
    ways[BASELINE] = (
        [],
        (
            "--recipe", "diffusion_policy", "--steps", str(_baseline_steps(config)),
            *config.train_options("--mixed-precision"), *data,
        ),
    )  # fmt: skip
    for name, recipe in (("ours", "demonstrations"), ("ours without places", "without_places")):
        ways[name] = [], ("--recipe", recipe, "--budget", str(config.budget), *config.train_options(), *data)
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
    made = arms(config)
    results = experiment.run_arms(config, made, against=against([arm.name for arm in made]))
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


def against(names: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared scene by scene: each of our lines with the baseline at the same share, and at the least share with
    what it has at the largest.
    """
    shares = _shares(names)
    pairs = []
    for line in _ours(names):
        pairs += [(f"{line}, {share}", f"{BASELINE}, {share}") for share in shares]
        pairs.append((f"{line}, {shares[0]}", _whole(line, shares[-1], names)))
        pairs.append((_whole(line, shares[-1], names), f"{BASELINE}, {shares[-1]}"))
    return [(arm, less) for arm, less in dict.fromkeys(pairs) if arm != less and {arm, less} <= set(names)]


def reading(results: dict[str, Any]) -> str:
    """The two figures that the experiment is about, of each of our lines, with their intervals over the same scenes."""
    rates = {row["arm"]: row["average"] for row in results["rows"]}
    found = {(one["arm"], one["less"]): one for one in results["differences"]}
    shares = _shares(list(rates))
    least, most = shares[0], shares[-1]
    said = []
    for line in _ours(list(rates)):
        whole, few = _whole(line, most, list(rates)), f"{line}, {least}"
        ahead = paired_arms.words(found.get((whole, f"{BASELINE}, {most}")))
        said.append(f"{whole} less {BASELINE}, {most}: {ahead}")
        if few != whole and few in rates:
            kept = f"{100 * rates[few] / rates[whole]:.0f} % of it" if rates[whole] else "of nothing"
            said.append(f"{few} less {whole}: {paired_arms.words(found.get((few, whole)))}; {kept}")
    return "\n".join(dict.fromkeys(said))


def _shares(names: Sequence[str]) -> list[str]:
    """As they stand in the names of arms, the least first."""
    return sorted({name.rsplit(", ", 1)[1] for name in names}, key=lambda share: float(share.rstrip("%")))


def _ours(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.rsplit(", ", 1)[0] for name in names if name.startswith("ours")))


def _whole(line: str, share: str, names: Sequence[str]) -> str:
    """The arm that a line has at the largest share: there multiplied demonstrations have no arm of their own."""
    own = f"{line}, {share}"
    return own if own in names else f"{line.removesuffix(', multiplied')}, {share}"


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
