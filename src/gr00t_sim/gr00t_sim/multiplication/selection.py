# SPDX-License-Identifier: Apache-2.0
"""Which source a new scene is made from: one that uses the same hands, on objects of the same shape, that lay nearest."""

from collections.abc import Sequence

import numpy as np

from gr00t_policy.core.errors import DatasetError
from gr00t_sim.multiplication.geometry import Place, turn_between
from gr00t_sim.multiplication.sources import Source
from gr00t_sim.multiplication.subtasks import PlannedSubtask

_NEAREST = 3  # drawn among so many
_HINGE_TO_HAND_M = 0.2


def same_hands(sources: Sequence[Source], wanted: Sequence[PlannedSubtask]) -> list[Source]:
    """Those whose subtasks are done by the hands that the new scene needs."""
    hands = tuple(one.hands for one in wanted)
    return [source for source in sources if source.hands == hands]


def choose_source(
    sources: Sequence[Source],
    wanted: Sequence[PlannedSubtask],
    layout: dict[str, Place],
    shapes: tuple[str, ...],
    rng: np.random.Generator,
) -> Source:
    """One of the nearest. layout: where references and objects of ``wanted`` stand. Raises DatasetError, naming the hand."""
    fitting = same_hands(sources, wanted)
    if not fitting:
        raise DatasetError(
            f"this scene needs the {named(tuple(one.hands for one in wanted))}; the sources show "
            f"{', '.join(sorted({named(source.hands) for source in sources}))} only"
        )
    alike = [source for source in fitting if source.shapes == shapes] or fitting
    ordered = sorted(alike, key=lambda source: (layout_distance_m(source, wanted, layout), source.index))
    return ordered[int(rng.integers(min(_NEAREST, len(ordered))))]


def layout_distance_m(source: Source, wanted: Sequence[PlannedSubtask], layout: dict[str, Place]) -> float:
    """How far the things of the new scene stand from where they stood in the source, summed.

    What swings on a hinge stands as far away as a point at the hand's distance from the hinge.
    """
    pairs: dict[tuple[str, str], bool] = {}
    for one, theirs in zip(wanted, source.plan, strict=True):
        if one.body is not None and theirs.body is not None:
            pair = (one.body, theirs.body)
            pairs[pair] = pairs.get(pair, False) or one.following == "swung"
    total_m = 0.0
    for (new, old), swings in sorted(pairs.items()):
        here, there = layout[new], source.layout[old]
        total_m += float(np.linalg.norm(here.position - there.position))
        total_m += _HINGE_TO_HAND_M * abs(turn_between(there.yaw_rad, here.yaw_rad, 1)) if swings else 0.0
    return total_m


def named(hands: tuple[tuple[str, ...], ...]) -> str:
    """The hands of a plan in words: 'left hand', 'left hand then right hand', 'both hands'."""
    order = dict.fromkeys("both hands" if len(sides) > 1 else f"{sides[0]} hand" for sides in hands)
    return " then ".join(order)
