# SPDX-License-Identifier: Apache-2.0
"""What an inspection found: facts, tables, problems, and the same as plain data for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

_NAMED = 5
Severity = Literal["damage", "difference", "limit", "warning", "note"]
HARMLESS = ("warning", "note")


@dataclass(frozen=True)
class Problem:
    """One thing found. what: the item by name; detail: what it is here and what was expected.

    damage: the thing itself is not whole. difference: it does not fit the robot. limit: its data leave the robot's joint
    limits. warning: whole and fits, but something must be given beside it. note: worth knowing, hinders nothing.
    """

    severity: Severity
    what: str
    detail: str


@dataclass(frozen=True)
class Grid:
    """One table for people; the first column is the row's name."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass
class Report:
    """kind: 'checkpoint', 'dataset' or 'bag'. verdict: one line. data: everything, for programs."""

    kind: str
    path: str
    verdict: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whole, fits, and stays inside the limits."""
        return not any(problem.severity not in HARMLESS for problem in self.problems)

    def judge(self, fits: str) -> None:
        """Write the verdict from the problems. fits: who it was compared with, '' = nobody."""
        damages, differences, limits = (self._count(kind) for kind in ("damage", "difference", "limit"))
        words = [_counted(damages, "fault")] if damages else []
        if fits:
            words.append(
                f"does not fit {fits}: {_counted(differences, 'difference')}" if differences else f"fits {fits}"
            )
        if limits:
            words.append(f"{_counted(limits, 'joint')} beyond the limits")
        if warnings := self._count("warning"):
            words.append(_counted(warnings, "warning"))
        self.verdict = f"{self.kind} {self.path}: {', '.join(words) or 'whole'}"

    def _count(self, severity: Severity) -> int:
        return sum(problem.severity == severity for problem in self.problems)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        problems = [asdict(problem) for problem in self.problems]
        return {"kind": self.kind, "path": self.path, "ok": self.ok, "verdict": self.verdict, "problems": problems} | (
            self.data
        )


def number(value: float) -> str:
    """Short and aligned: three decimals, no minus in front of zero."""
    return f"{value + 0.0:.3f}" if round(value, 3) else "0.000"


def megabytes(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def few(names: Sequence[str]) -> str:
    """The first names and how many more; a long list hides what matters."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
