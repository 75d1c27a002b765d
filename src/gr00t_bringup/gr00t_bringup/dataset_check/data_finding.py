# SPDX-License-Identifier: Apache-2.0
"""One thing found in a dataset: where it is, the numbers, and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gr00t_bringup.health.finding import Finding, Level

_EPISODES_NAMED = 5
_RANK: dict[Level, int] = {"error": 0, "warning": 1, "ok": 2}


@dataclass(frozen=True)
class DataFinding(Finding):
    """episode: None = the dataset as a whole. column: of the parquet files, a camera or a file; '' = none in particular.

    error: training on it fails or teaches what did not happen. warning: it can be trained on, and somebody should know.
    numbers: what was measured, for programs.
    """

    episode: int | None = None
    column: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """The same finding in one or several episodes, as people read it."""

    level: Level
    name: str
    column: str
    episodes: str
    found: str
    fix: str


def rows(findings: Iterable[DataFinding]) -> list[Row]:
    """Worst first; one row for all episodes with the same finding in the same column, told by its first.

    What is in order is one row for all columns of which the same is said.
    """
    alike: dict[tuple[Level, str, str, str], list[DataFinding]] = {}
    for finding in findings:
        place = finding.found if finding.level == "ok" else finding.column
        alike.setdefault((finding.level, finding.name, place, finding.fix), []).append(finding)
    return sorted((_row(group) for group in alike.values()), key=lambda row: _RANK[row.level])


def count(findings: Iterable[Finding]) -> dict[Level, int]:
    """How many of each level."""
    counts: dict[Level, int] = {"error": 0, "warning": 0, "ok": 0}
    for finding in findings:
        counts[finding.level] += 1
    return counts


def _row(group: list[DataFinding]) -> Row:
    first = group[0]
    episodes = sorted({finding.episode for finding in group if finding.episode is not None})
    more = f"; episode {first.episode} of {len(episodes)}" if len(episodes) > 1 else ""
    columns = ", ".join(dict.fromkeys(finding.column for finding in group))
    return Row(first.level, first.name, columns, ", ".join(_named(episodes)), first.found + more, first.fix)


def _named(episodes: list[int]) -> Iterator[str]:
    yield from map(str, episodes[:_EPISODES_NAMED])
    if len(episodes) > _EPISODES_NAMED:
        yield f"{len(episodes) - _EPISODES_NAMED} more"
