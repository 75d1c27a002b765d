# SPDX-License-Identifier: Apache-2.0
"""Reads what is written under a film's pictures, by drawing what should be there and comparing. Shared by tests."""

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.film import with_caption

_HEIGHT_PX = 480  # of the pictures above the caption


def likeness(picture: NDArray[np.uint8], line: int, text: str) -> float:
    """How much a line of the caption begins like ``text``: 1 exactly, about 0.95 in a compressed film, 0 not at all."""
    blank = np.zeros((_HEIGHT_PX, picture.shape[1], 3), dtype=np.uint8)
    expected, empty = (with_caption(blank, [*[""] * line, said]) for said in (text, ""))
    rows, columns = (np.flatnonzero((expected != empty).any(axis=(axis, 2))) for axis in (1, 0))
    place = np.ix_(range(rows[0], rows[-1] + 1), range(columns[-1] + 1))
    found, wanted = (each.max(axis=2)[place].ravel().astype(float) for each in (picture, expected))
    return float(np.corrcoef(found, wanted)[0, 1]) if np.ptp(found) else 0.0


def likest(picture: NDArray[np.uint8], line: int, texts: list[str]) -> str:
    """The one of several texts that the line is most like; "" when it is like none of them."""
    best = max(texts, key=lambda text: likeness(picture, line, text))
    return best if likeness(picture, line, best) > 0.85 else ""
