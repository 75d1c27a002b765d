# SPDX-License-Identifier: Apache-2.0
"""A comparison on the screen and as a picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from gr00t_policy.data.durable import written_aside
from gr00t_sim.evaluation.comparison import ALL


def print_comparison(result: Mapping[str, Any], console: Console) -> None:
    """A table for each sentence, one line a task, and below it what that means."""
    for language, entry in result["languages"].items():
        table = Table(
            Column("task", no_wrap=True),
            "n",
            "A, B",
            "A, B alone",
            "B - A",
            "95 %",
            "p",
            title=f"success of B beside A on the same scenes, sentence '{language}'",
        )
        for task, figures in [row[1:] for row in _rows(result) if row[0] == language]:
            low, high = figures["difference95"]
            table.add_row(
                task,
                str(figures["scenes"]),
                f"{100 * figures['success_a']:.0f}, {100 * figures['success_b']:.0f} %",
                f"{figures['only_a']}, {figures['only_b']}",
                f"{100 * figures['difference']:+.0f}",
                f"{100 * low:+.0f} to {100 * high:+.0f}",
                f"{figures['mcnemar_p']:.2g}",
            )
        console.print(table)
        console.print(f"sentence '{language}': {verdict(entry['all'])}", soft_wrap=True)


def verdict(entry: Mapping[str, Any]) -> str:
    """What the figures allow to be said, in words."""
    low, high = (100 * value for value in entry["difference95"])
    figures = f"{100 * entry['difference']:+.1f} points (95 % {low:+.1f} to {high:+.1f}), p = {entry['mcnemar_p']:.3g}"
    if entry["mcnemar_p"] < 0.05:
        return f"{'B' if entry['difference'] > 0 else 'A'} is better: {figures}"
    return f"no difference can be seen on {entry['scenes']} scenes: {figures}"


def draw_comparison(result: Mapping[str, Any], picture: Path) -> None:
    """The difference per task and sentence with its interval (PNG)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(_rows(result))
    figure, axis = pyplot.subplots(figsize=(8, 1.2 + 0.45 * len(rows)))
    for place, (_, task, entry) in enumerate(rows):
        middle, (low, high) = 100 * entry["difference"], (100 * value for value in entry["difference95"])
        colour = "black" if task == ALL else "tab:blue"
        axis.plot([low, high], [place, place], color=colour, linewidth=2)
        axis.plot(middle, place, "D" if task == ALL else "o", color=colour)
    axis.axvline(0, color="gray", linewidth=1, linestyle="--")
    axis.set_yticks(range(len(rows)), [f"{task} ({language}), n = {entry['scenes']}" for language, task, entry in rows])
    axis.invert_yaxis()
    axis.set_xlabel("success of B less A [percentage points], 95 % interval, same scenes")
    axis.grid(axis="x", alpha=0.3)
    axis.set_title(f"A: {result['a']['given']}\nB: {result['b']['given']}", fontsize=9, loc="left")
    figure.tight_layout()
    with written_aside(picture) as aside:
        figure.savefig(aside, dpi=110, format="png")
    pyplot.close(figure)


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(sentence, task, figures), the tasks of a sentence and then all of them together."""
    for language, entry in result["languages"].items():
        for task, figures in entry["tasks"].items():
            yield language, task, figures
        if len(entry["tasks"]) > 1:
            yield language, ALL, entry["all"]
