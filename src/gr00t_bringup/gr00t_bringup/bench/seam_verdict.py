# SPDX-License-Identifier: Apache-2.0
"""Whether a way to execute chunks reaches what is asked of it: seams no rougher than a chunk itself, and no success lost.

Success is compared scene by scene with the best way at the same timing, since few scenes say little of a rate and more of a pair.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gr00t_sim.evaluation.paired import count_pairs, mcnemar_p

_SURE = 0.05  # of the two-sided exact test
_ORDER = 3


class Outcome(StrEnum):
    """Undefined: the run cannot say."""

    REACHED = "reached"
    MISSED = "missed"
    UNDEFINED = "undefined"


@dataclass(frozen=True)
class SeamGoal:
    """One goal of one row, and why it stands as it does, in figures."""

    name: str
    outcome: Outcome
    because: str


@dataclass(frozen=True)
class SceneEnd:
    """How one scene ended in one way. reaction_s: NaN when the hand did not turn or nothing was moved."""

    task: str
    seed: int
    way: str
    head_rate_hz: float
    success: bool
    seconds: float
    moved: bool
    reaction_s: float


def verdicts(rows: Sequence[Mapping[str, Any]], ends: Sequence[SceneEnd]) -> list[list[SeamGoal]]:
    """The goals of each row, in their order. rows: of ``summarise``."""
    return [[_seam(row), _success(row, rows, ends)] for row in rows]


def _seam(row: Mapping[str, Any]) -> SeamGoal:
    """By p95: the largest values are those of a run's first ticks, when the first target is approached."""
    border, inside = row["commands"][_ORDER - 1]["border_p95"], row["inside_chunk"][_ORDER - 1]["p95"]
    name = "third difference at borders no larger than inside chunks"
    if math.isnan(border) or math.isnan(inside):
        return SeamGoal(name, Outcome.UNDEFINED, "there was no border, or no chunk of four commands")
    outcome = Outcome.REACHED if border <= inside else Outcome.MISSED
    return SeamGoal(name, outcome, f"p95 {1e3 * border:.2f} and {1e3 * inside:.2f} mrad per tick^3")


def _success(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], ends: Sequence[SceneEnd]) -> SeamGoal:
    rivals = [other for other in rows if other["head_rate_hz"] == row["head_rate_hz"]]
    best = max(rivals, key=lambda other: other["success"])
    name = "no success lost against the best way"
    if row["success"] >= best["success"]:
        return SeamGoal(name, Outcome.REACHED, f"{row['successes']} of {row['episodes']}, none has more")
    ours, theirs = _by_scene(row, ends), _by_scene(best, ends)
    pairs = count_pairs((ours[scene], theirs[scene]) for scene in ours if scene in theirs)
    p = mcnemar_p(pairs)
    said = (
        f"{best['way']} alone {pairs.only_b}, {row['way']} alone {pairs.only_a} of {pairs.scenes} scenes, p = {p:.2g}"
    )
    return SeamGoal(name, Outcome.MISSED if p < _SURE else Outcome.UNDEFINED, said)


def _by_scene(row: Mapping[str, Any], ends: Sequence[SceneEnd]) -> dict[tuple[str, int], bool]:
    return {
        (end.task, end.seed): end.success
        for end in ends
        if end.way == row["way"] and end.head_rate_hz == row["head_rate_hz"]
    }
