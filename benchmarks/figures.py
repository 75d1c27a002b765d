# SPDX-License-Identifier: Apache-2.0
"""Pictures of the experiments: rates with their 95 % intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def draw_bars(results: Mapping[str, Any], title: str, picture: Path) -> None:
    """Average success of each arm, with the rates of the tasks as points."""
    from matplotlib import pyplot

    rows = results["rows"]
    figure, axis = pyplot.subplots(figsize=(1.5 + 1.3 * len(rows), 4))
    for place, row in enumerate(rows):
        low, high = row["average95"]
        mean = row["average"]
        axis.bar(place, 100 * mean, color="tab:blue", alpha=0.6, width=0.6)
        axis.errorbar(place, 100 * mean, yerr=[[100 * (mean - low)], [100 * (high - mean)]], color="black", capsize=4)
        rates = [100 * entry["own"]["successes"] / entry["own"]["episodes"] for entry in row["tasks"].values()]
        axis.plot([place] * len(rates), rates, ".", color="black", markersize=5)
    axis.set_xticks(range(len(rows)), [row["arm"].replace(", ", ",\n") for row in rows], fontsize=8)
    _finish(figure, axis, title, picture)


def draw_lines(
    series: Mapping[str, Sequence[tuple[float, float, float, float]]], across: str, title: str, picture: Path
) -> None:
    """series: name -> (x, rate, low, high) in order of x; rates from 0 to 1."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    for name, points in series.items():
        places, means, lows, highs = (list(column) for column in zip(*points, strict=True))
        below = [100 * (mean - low) for mean, low in zip(means, lows, strict=True)]
        above = [100 * (high - mean) for mean, high in zip(means, highs, strict=True)]
        axis.errorbar(places, [100 * mean for mean in means], yerr=[below, above], marker="o", capsize=4, label=name)
    axis.set_xlabel(across)
    axis.legend(fontsize=8)
    _finish(figure, axis, title, picture)


def draw_by_name(
    names: Sequence[str], series: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str, picture: Path
) -> None:
    """A row for each name, from the top down. series: name of a point -> row -> (rate, low, high), rates from 0 to 1."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 1.2 + 0.42 * len(names)))
    for place, (what, rates) in enumerate(series.items()):
        shift = 0.18 * (place - (len(series) - 1) / 2)  # beside each other where they are alike
        rows = [names.index(name) + shift for name in rates]
        means, lows, highs = ([100 * value for value in column] for column in zip(*rates.values(), strict=True))
        apart = [[mean - low for mean, low in zip(means, lows, strict=True)]]
        apart.append([high - mean for mean, high in zip(means, highs, strict=True)])
        axis.errorbar(means, rows, xerr=apart, fmt="osD|"[place % 4], markersize=5, capsize=2, label=what)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.06), ncols=len(series), frameon=False)
    axis.set_xlim(-3, 103)
    axis.set_xlabel("success [%], 95 % interval")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    _save(figure, picture)


def _finish(figure: Any, axis: Any, title: str, picture: Path) -> None:
    axis.set_ylim(0, 105)
    axis.set_ylabel("success [%], 95 % interval")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3, axis="y")
    _save(figure, picture)


def _save(figure: Any, picture: Path) -> None:
    from matplotlib import pyplot

    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
