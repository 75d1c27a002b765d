# SPDX-License-Identifier: Apache-2.0
"""Scores on the screen."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Column, Table


def print_scores(scores: Mapping[str, Any], console: Console) -> None:
    """Success per task, object and sentence with its interval, the average, and how far the episodes came."""
    table = Table(_name("task"), _name("sentence"), "success", "95 %", "n", "time", title="success")
    for task, entry in scores["tasks"].items():
        for label, score in _rows(entry):
            seconds = score.get("mean_seconds_to_success")
            time = f"{seconds:.1f} s" if seconds is not None else ""
            table.add_row(
                task, label, _percent(score["success_rate"]), _interval(score["wilson95"]), str(score["episodes"]), time
            )
        table.add_section()
    if scores["average_success"] is not None:
        table.add_row("average", "own", _percent(scores["average_success"]), _interval(scores["average95"]), "", "")
    console.print(table)
    table = Table(_name("task"), _name("best seen"), "n", "share", "the referee then", title="how far (own sentence)")
    for task, entry in scores["tasks"].items():
        for stage in entry.get("per_stage", ()):
            table.add_row(task, stage["stage"], str(stage["episodes"]), _percent(stage["share"]), stage["said"])
        table.add_section()
    if table.row_count:
        console.print(table)


def _rows(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "success_rate" in entry:
        yield "own", entry
    for kind, score in entry.get("per_object", {}).items():
        yield f"own: {kind}", score
    for language in ("other", "empty"):
        if language in entry:
            yield language, entry[language]


def _name(header: str) -> Column:
    return Column(header, no_wrap=True)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _interval(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.2f}-{limits[1]:.2f}"
