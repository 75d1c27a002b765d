# SPDX-License-Identifier: Apache-2.0
"""Experiment: what multiplied demonstrations are worth. A few of the expert, those multiplied, and as many of the expert.

python benchmarks/multiplication.py --out out/benchmarks/multiplication

All three also see the still scenes from which the shipped checkpoint learns to find things, unless --no-still-scenes.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

import experiment
import figures


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """Three networks, each trained on all tasks together."""

    out: Path = Path("out/benchmarks/multiplication")
    tasks: tuple[str, ...] = ("pick_named_object", "choose_plate", "stack", "lift_box")
    sources: int = 10
    """Demonstrations of each task that there are to begin with."""
    still_scenes: bool = True
    """Train on still scenes beside the demonstrations, as the shipped checkpoint was."""

    @property
    def recipe(self) -> experiment.Command:
        return ("tiny", "--data", str(self.out / "data")) if self.still_scenes else ("demonstrations",)


def arms(config: Config) -> list[experiment.Arm]:
    few, sources = experiment.demonstrations(config, config.sources)
    many, whole = experiment.demonstrations(config, config.demonstrations)
    multiply, multiplied = experiment.multiplied(config, sources, config.demonstrations - config.sources)
    made = []
    for name, commands, folders in (
        (f"{config.sources} demonstrations", few, sources),
        (f"{config.sources}, multiplied to {config.demonstrations}", [*few, *multiply], [*sources, *multiplied]),
        (f"{config.demonstrations} demonstrations", many, whole),
    ):
        out = config.out / "runs" / name.replace(" ", "_").replace(",", "")
        train = (
            "train", "--recipe", *config.recipe, "--budget", str(config.budget), *config.train_options(),
            "--datasets", *map(str, folders), "--out", str(out),
        )  # fmt: skip
        made.append(experiment.Arm(name, out / "checkpoint", (*commands, train)))
    return made


def main(config: Config) -> None:
    made = arms(config)
    few, multiplied, many = (arm.name for arm in made)
    results = experiment.run_arms(config, made, against=[(multiplied, few), (multiplied, many), (many, few)])
    figures.draw_bars(results, "what multiplied demonstrations are worth", config.out / "multiplication.png")
    print(experiment.table(results))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
