# SPDX-License-Identifier: Apache-2.0
"""The blanks of a task's sentences: which names may fill them, drawn at random or found in what somebody said."""

import itertools
from collections.abc import Mapping

import numpy as np

Slots = Mapping[str, tuple[str, ...]]
"""Blank -> the names that may fill it. Blanks with the same names are filled differently, in order of appearance."""
Wish = dict[str, str]
"""Blank -> name."""


def draw(slots: Slots, rng: np.random.Generator) -> Wish:
    """A wish at random."""
    wish: Wish = {}
    for names, blanks in _groups(slots).items():
        if len(blanks) == 1:
            wish[blanks[0]] = names[rng.integers(len(names))]
        else:
            wish |= {blank: names[index] for blank, index in zip(blanks, rng.permutation(len(names)), strict=False)}
    return wish


def all_wishes(slots: Slots) -> list[Wish]:
    """Every wish there is; one without blanks for a task that leaves no choice."""
    per_group = [
        [dict(zip(blanks, chosen, strict=True)) for chosen in itertools.permutations(names, len(blanks))]
        for names, blanks in _groups(slots).items()
    ]
    return [{key: name for part in parts for key, name in part.items()} for parts in itertools.product(*per_group)]


def understand(slots: Slots, sentence: str) -> Wish | None:
    """The wish a sentence states; a name may go unsaid when there is only one. None: it cannot be told."""
    text = sentence.lower()
    wish: Wish = {}
    for names, blanks in _groups(slots).items():
        said = sorted((name for name in names if name in text), key=text.index)
        said = said or list(names) * (len(names) == 1)
        if len(said) != len(blanks):
            return None
        wish |= dict(zip(blanks, said, strict=True))
    return wish


def other(slots: Slots, wish: Wish, rng: np.random.Generator) -> Wish:
    """A wish that differs from ``wish`` in the first blank that has a choice; the same wish where none has."""
    for names, blanks in _groups(slots).items():
        rest = [name for name in names if name not in (wish[blank] for blank in blanks)]
        if rest:
            return {**wish, blanks[0]: rest[rng.integers(len(rest))]}
        if len(blanks) > 1:
            return {**wish, **dict(zip(blanks, (wish[blank] for blank in reversed(blanks)), strict=True))}
    return wish


def has_choice(slots: Slots) -> bool:
    """Whether two different wishes can be said at all."""
    return any(len(names) > 1 for names in slots.values())


def _groups(slots: Slots) -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for blank, names in slots.items():
        groups.setdefault(names, []).append(blank)
    return groups
