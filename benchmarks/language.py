# SPDX-License-Identifier: Apache-2.0
"""Experiment: does the sentence matter? The same scenes with their own sentence, one that names something else, and none.

    python benchmarks/language.py --checkpoint models/gr1_tabletop_tiny --out out/benchmarks/language

The policy that was told something else is judged by that; one that was told nothing by the scene's own sentence: then only
chance, or a habit, can succeed. Averages are over the tasks; a task that knows no other sentence is left out of that column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import experiment
import figures
import paired_arms
from gr00t_sim.evaluation.sentences import LANGUAGES
from gr00t_sim.tasks.registry import SUITES, TASKS
from gr00t_sim.tasks.sentences import all_wishes, has_choice

SAID = {"own": "own sentence", "other": "another", "empty": "none"}


@dataclass(frozen=True)
class Config(experiment.Protocol):
    """Evaluations of one checkpoint; nothing is trained."""

    out: Path = Path("out/benchmarks/language")
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    tasks: tuple[str, ...] = tuple(name for name in SUITES["gr1_tabletop"] if has_choice(TASKS[name]().slots))


def arms(config: Config) -> list[experiment.Arm]:
    return [experiment.Arm("checkpoint", config.checkpoint)]


def chance(task: str) -> float:
    """Success of one who does not listen and fulfils a wish drawn at random, without a fault: scenes do not tell theirs."""
    return 1 / len(all_wishes(TASKS[task]().slots))


def main(config: Config) -> None:
    results = experiment.run_arms(config, arms(config), LANGUAGES)
    (row,) = results["rows"]
    row["chance"] = {task: chance(task) for task in config.tasks}
    row["averages"]["chance"] = {"average": sum(row["chance"].values()) / len(config.tasks)}
    results["differences"] = [
        {"arm": SAID[name], "less": SAID["own"], **found}
        for name in LANGUAGES[1:]
        if (found := paired_arms.difference(row, row, ("own", name))) is not None
    ]
    experiment.save(config, results)
    figures.draw_by_name(config.tasks, points(row), "the same scenes, told differently", config.out / "language.png")
    print(table(results))


def points(row: dict[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Sentence -> task -> (rate, its 95 % interval), and chance, whose interval has no width."""
    series = {
        SAID[name]: {
            task: (entry[name]["successes"] / entry[name]["episodes"], *entry[name]["wilson95"])
            for task, entry in row["tasks"].items()
            if name in entry
        }
        for name in LANGUAGES
    }
    series["chance"] = {task: (rate, rate, rate) for task, rate in row["chance"].items()}
    return {name: rates for name, rates in series.items() if rates}


def table(results: dict[str, Any]) -> str:
    """Rates of the tasks and their averages as Markdown, each with its 95 % interval; differences; what code it is of."""
    (row,) = results["rows"]
    shown = ["| task | " + " | ".join(SAID[name] for name in LANGUAGES) + " | chance |", "|---|---|---|---|---|"]
    for task, entry in row["tasks"].items():
        rates = (
            _cell(entry[name]["successes"] / entry[name]["episodes"], entry[name]["wilson95"]) if name in entry else "-"
            for name in LANGUAGES
        )
        shown.append(f"| {task} | " + " | ".join(rates) + f" | {100 * row['chance'][task]:.0f} % |")
    averages = row["averages"]
    rates = (_cell(*averages[name].values()) if name in averages else "-" for name in LANGUAGES)
    shown.append("| **average** | " + " | ".join(rates) + f" | {100 * averages['chance']['average']:.0f} % |")
    below = (paired_arms.table(results["differences"]), experiment.remark(results))
    return "\n".join([*shown, *(line for part in below if part for line in ("", part))])


def _cell(rate: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{100 * rate:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
