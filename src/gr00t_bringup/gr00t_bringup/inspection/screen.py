# SPDX-License-Identifier: Apache-2.0
"""A report on the terminal: the verdict, what is wrong, then what there is."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gr00t_bringup.inspection.report import Grid, Problem, Report

_PIPE_WIDTH = 140  # where there is no terminal to ask
_STYLES = {"damage": "bold red", "difference": "red", "limit": "red", "warning": "bold yellow", "note": "yellow"}
_NOTES_SHOWN = 8


def show(report: Report, console: Console | None = None) -> None:
    """Print to ``console``, by default the terminal."""
    out = console or _console()
    out.print(Text(report.verdict, style="bold green" if report.ok else "bold red"))
    _problems(out, report.problems)
    if report.facts:
        facts = Table(box=None, show_header=False, pad_edge=False)
        facts.add_column(style="bold", no_wrap=True)
        facts.add_column(overflow="fold")
        for name, value in report.facts:
            facts.add_row(name, Text(value))
        out.print(facts)
    for grid in report.grids:
        out.print()
        out.print(Text(grid.title, style="bold"), soft_wrap=True)
        out.print(_table(grid))


def _console() -> Console:
    plain = Console()
    return plain if plain.is_terminal else Console(width=_PIPE_WIDTH)


def _problems(out: Console, problems: list[Problem]) -> None:
    """Hard ones in full; of the notes the first few."""
    hard = [problem for problem in problems if problem.severity != "note"]
    notes = [problem for problem in problems if problem.severity == "note"]
    for problem in hard + notes[:_NOTES_SHOWN]:
        line = Text("  ")
        line.append(f"{problem.severity:<11}", style=_STYLES[problem.severity])
        line.append(problem.what, style="bold")
        line.append(f": {problem.detail}")
        out.print(line, soft_wrap=True)
    if len(notes) > _NOTES_SHOWN:
        out.print(Text(f"  {'':<11}and {len(notes) - _NOTES_SHOWN} more notes: --json FILE lists them", style="dim"))
    if problems:
        out.print()


def _table(grid: Grid) -> Table:
    table = Table(box=None, pad_edge=False)
    numeric = [all(_is_number(row[column]) for row in grid.rows) for column in range(len(grid.header))]
    for name, is_number in zip(grid.header, numeric, strict=True):
        table.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True, header_style="dim")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "+-"
