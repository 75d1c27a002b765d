# SPDX-License-Identifier: Apache-2.0
"""Experiment: does the sentence matter? The same scenes with their own sentence, one that names something else, and none.

    python benchmarks/language.py --checkpoint models/gr1_tabletop_tiny --out out/benchmarks/language

The policy that was told something else is judged by that; one that was told nothing by the scene's own sentence: then only
chance, or a habit, can succeed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import experiment
import figures
from gr00t_sim.evaluation.sentences import LANGUAGES
from gr00t_sim.interval import wilson95
from gr00t_sim.tasks.registry import SUITES, TASKS
from gr00t_sim.tasks.sentences import has_choice


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """Evaluations of one checkpoint; nothing is trained."""

    out: Path = Path("out/benchmarks/language")
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    tasks: tuple[str, ...] = tuple(name for name in SUITES["gr1_tabletop"] if has_choice(TASKS[name]().slots))


def arms(config: Config) -> list[experiment.Arm]:
    return [experiment.Arm("checkpoint", config.checkpoint)]


def main(config: Config) -> None:
    results = experiment.run_arms(config, arms(config), LANGUAGES)
    entries: dict[str, dict[str, Any]] = results["rows"][0]["tasks"]
    series = {
        language: [
            (float(place), entry[language]["successes"] / entry[language]["episodes"],
             *wilson95(entry[language]["successes"], entry[language]["episodes"]))
            for place, entry in enumerate(entries.values())
        ]
        for language in LANGUAGES
    }  # fmt: skip
    figures.draw_lines(
        series, "task number, in the order of the table", "what is said matters", config.out / "language.png"
    )
    print("| task | own sentence | another | none |\n|---|---|---|---|")
    for task, entry in entries.items():
        rates = (f"{100 * entry[name]['successes'] / entry[name]['episodes']:.0f} %" for name in LANGUAGES)
        print(f"| {task} | " + " | ".join(rates) + " |")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
