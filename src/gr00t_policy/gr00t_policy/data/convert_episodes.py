# SPDX-License-Identifier: Apache-2.0
"""Rows of a recording -> episodes: cut where a stream is silent or the sentence changes, without the idle ends."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.convert_rows import Rows


@dataclass(frozen=True)
class Cutting:
    """idle_rad: while no commanded and no measured joint is further than this from where it is at an end, that end is idle.

    idle_keep_s: of an idle end is kept, so that starting and having arrived are in the data. least_s: shorter pieces are
    dropped; a chunk of actions has to fit in.
    """

    idle_rad: float = 0.02
    idle_keep_s: float = 0.5
    least_s: float = 1.0
    keep_idle: bool = False

    def __post_init__(self) -> None:
        if self.idle_rad <= 0 or self.idle_keep_s < 0 or self.least_s <= 0:
            raise ConfigError(f"idle_rad and least_s must be positive, idle_keep_s not negative: {self}")


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of one episode, all with this sentence. idle_rows: cut off at its begin and at its end."""

    start: int
    stop: int
    sentence: str
    idle_rows: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Dropped:
    """Rows [start, stop) that are in no episode, and why."""

    start: int
    stop: int
    why: str


def cut(rows: Rows, fps: float, cutting: Cutting) -> tuple[list[Piece], list[Dropped]]:
    """Episodes in order of time, and what is left out."""
    pieces, dropped = [], []
    for start, stop in _runs(rows):
        if rows.why[start]:
            dropped.append(Dropped(start, stop, rows.why[start]))
            continue
        piece = Piece(start, stop, rows.sentences[start])
        if not cutting.keep_idle:
            piece = _without_idle_ends(piece, rows, fps, cutting)
        if len(piece) == 0:
            dropped.append(Dropped(start, stop, f"no joint moves by {cutting.idle_rad:g} rad"))
        elif len(piece) < cutting.least_s * fps:
            dropped.append(Dropped(start, stop, f"{len(piece) / fps:.2f} s is shorter than {cutting.least_s:g} s"))
        else:
            pieces.append(piece)
    return pieces, dropped


def _runs(rows: Rows) -> Iterator[tuple[int, int]]:
    """Longest stretches of rows that are all good with one sentence, or all not."""
    kinds = [None if why else sentence for why, sentence in zip(rows.why, rows.sentences, strict=True)]
    start = 0
    for row in range(1, len(kinds) + 1):
        if row == len(kinds) or kinds[row] != kinds[start]:
            yield start, row
            start = row


def _without_idle_ends(piece: Piece, rows: Rows, fps: float, cutting: Cutting) -> Piece:
    here = slice(piece.start, piece.stop)
    moved = np.concatenate([rows.actions[here], rows.states[here]], axis=1)
    kept = round(cutting.idle_keep_s * fps)
    first = _idle(moved, cutting.idle_rad)
    if first == len(piece):
        return Piece(piece.start, piece.start, piece.sentence)
    begin, end = max(first - kept, 0), max(_idle(moved[::-1], cutting.idle_rad) - kept, 0)
    return Piece(piece.start + begin, piece.stop - end, piece.sentence, (begin, end))


def _idle(values: NDArray[np.float32], limit_rad: float) -> int:
    """How many rows at the begin are within the limit of the first."""
    away = np.abs(values - values[0]).max(axis=1) > limit_rad
    return int(away.argmax()) if away.any() else len(values)
