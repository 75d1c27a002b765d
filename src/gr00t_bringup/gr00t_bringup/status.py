# SPDX-License-Identifier: Apache-2.0
"""The state of what runs on one screen: a table in a terminal, plain lines elsewhere. The stack's state, and how any is shown."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from rich.table import Table

NAN = float("nan")
Row = tuple[str, str, str]  # what, value, remark
Status = TypeVar("Status")
_PLAIN_PERIOD_S = 2.0


@dataclass(frozen=True)
class StackStatus:
    """What the nodes say of themselves at one instant; NaN and empty where they have not said it yet."""

    planner: str = "no word yet"
    planner_detail: str = ""
    planner_rate_hz: float = NAN
    encode_p95_ms: float = NAN
    controller: str = "no word yet"
    controller_detail: str = ""
    mode: str = ""
    control_rate_hz: float = NAN
    head_rate_hz: float = NAN
    head_p50_ms: float = NAN
    head_p99_ms: float = NAN
    token_age_ms: float = NAN
    image_to_command_p95_ms: float = NAN
    joint_state_to_command_p99_ms: float = NAN
    deadline_misses: int = 0
    ticks: int = 0
    gate: str = "no word yet"
    gate_reason: str = ""
    sentence: str = ""
    task_detail: str = ""
    progress: float = NAN
    success: bool = False
    elapsed_s: float = NAN
    real_time_factor: float = NAN


def rows(status: StackStatus) -> list[Row]:
    """(what, value, remark) lines of the table."""
    missed = f"{status.deadline_misses} of {status.ticks}"
    return [
        ("sentence", status.sentence or "-", ""),
        ("planner", hertz(status.planner_rate_hz), remark(status.planner, status.planner_detail)),
        (
            "head",
            hertz(status.head_rate_hz),
            f"{milliseconds(status.head_p50_ms)} p50, {milliseconds(status.head_p99_ms)} p99 {status.mode}",
        ),
        ("control", hertz(status.control_rate_hz), remark(status.controller, status.controller_detail)),
        ("token age", milliseconds(status.token_age_ms), ""),
        ("image to command", milliseconds(status.image_to_command_p95_ms), "p95"),
        ("missed commands", missed, _percent(status.deadline_misses, status.ticks)),
        ("gate", status.gate, status.gate_reason),
        ("task", bar(status.progress), "SOLVED" if status.success else status.task_detail),
        (
            "simulated time",
            f"{number(status.elapsed_s, '.1f')} s",
            f"{number(status.real_time_factor, '.2f')} x real time",
        ),
    ]


def line(status: StackStatus) -> str:
    """The same in one line, for logs."""
    return (
        f"planner {hertz(status.planner_rate_hz)}, head {hertz(status.head_rate_hz)}, control {hertz(status.control_rate_hz)}, "
        f"token age {milliseconds(status.token_age_ms)}, image to command {milliseconds(status.image_to_command_p95_ms)}, "
        f"misses {status.deadline_misses}/{status.ticks}, gate {status.gate}, "
        f"task {number(100 * status.progress, '.0f')} % {'SOLVED' if status.success else status.task_detail}"
    )


def live_display(title: str) -> AbstractContextManager[Callable[[StackStatus], None]]:
    """Of the stack's status; see ``live_table``."""
    return live_table(title, rows, line)


@contextmanager
def live_table(
    title: str, rows_of: Callable[[Status], list[Row]], line_of: Callable[[Status], str]
) -> Iterator[Callable[[Status], None]]:
    """What shows a status, called about four times a second: redraws itself in a terminal, or prints a line every two seconds."""
    if not sys.stdout.isatty():
        yield _PlainLines(line_of)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, transient=False) as live:
        yield lambda status: live.update(_table(title, rows_of(status)), refresh=True)


class _PlainLines(Generic[Status]):
    def __init__(self, line_of: Callable[[Status], str]) -> None:
        self._line_of = line_of
        self._next_s = 0.0

    def __call__(self, status: Status) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _PLAIN_PERIOD_S
            print(self._line_of(status), flush=True)


def _table(title: str, shown: list[Row]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", min_width=78)
    table.add_column("", style="bold")
    table.add_column("")
    table.add_column("", style="dim")
    for row in shown:
        table.add_row(*(Text(cell) for cell in row))
    return table


def number(value: float, form: str) -> str:
    """For people: a dash for what is not known yet (NaN)."""
    return "-" if math.isnan(value) else format(value, form)


def hertz(rate_hz: float) -> str:
    return f"{number(rate_hz, '.1f')} Hz"


def milliseconds(duration_ms: float) -> str:
    return f"{number(duration_ms, '.1f')} ms"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else ""


def remark(state: str, detail: str) -> str:
    return f"{state}: {detail}" if detail else state


def bar(progress: float, width: int = 20) -> str:
    if math.isnan(progress):
        return "-"
    full = round(width * min(max(progress, 0.0), 1.0))
    return "#" * full + "." * (width - full) + f" {100 * progress:.0f} %"
