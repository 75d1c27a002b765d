# SPDX-License-Identifier: Apache-2.0
"""Pictures with the places of the things in them: what the planner learns to find what a sentence names from.

A folder with ``images.npy`` (N, H, W, 3) uint8 at the network's size, ``places.npy`` (N, things, 2) float32 as (u, v) in
[0, 1], NaN where a thing is not in the scene, and ``grounding.json`` (names of the things, sentence templates, seeds).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.durable import write_json

GOAL_UV = "goal_uv"  # column of demonstrations: (4,) places of object and goal in the picture, (u, v) in [0, 1] each
_VERSION = 1


@dataclass(frozen=True)
class GroundingFacts:
    """What the arrays mean. objects and bins together name the columns of ``places``, objects first."""

    objects: tuple[str, ...]
    bins: tuple[str, ...]
    templates: tuple[str, ...]
    seed: int
    version: int = _VERSION


@dataclass(frozen=True)
class GroundingSet:
    """images (N, H, W, 3) uint8 and places (N, objects + bins, 2) float32, both memory-mapped."""

    facts: GroundingFacts
    images: NDArray[np.uint8]
    places: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[str, NDArray[np.float32]]:
        """A sentence about two things present in picture ``index`` and their places (4,): object, then bin."""
        present = np.isfinite(self.places[index, :, 0])
        count = len(self.facts.objects)
        thing = int(rng.choice(np.flatnonzero(present[:count])))
        place = int(rng.choice(np.flatnonzero(present[count:])))
        template = self.facts.templates[rng.integers(len(self.facts.templates))]
        sentence = template.format(object=self.facts.objects[thing], bin=self.facts.bins[place])
        return sentence, self.places[index, [thing, count + place]].reshape(4)


def save_grounding(folder: Path, facts: GroundingFacts, images: NDArray[np.uint8], places: NDArray[np.float32]) -> None:
    """Write a set; its facts, written last, make it exist."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images, allow_pickle=False)
    np.save(folder / "places.npy", places.astype(np.float32), allow_pickle=False)
    write_json(folder / "grounding.json", asdict(facts))


def load_grounding(folder: Path) -> GroundingSet:
    """Open a set without reading its pictures. Raises DatasetError."""
    path = folder / "grounding.json"
    if not path.is_file():
        raise DatasetError(f"{folder} holds no grounding set ({path.name} is missing); make one with: gr00t sim scenes")
    data = json.loads(path.read_text())
    names: dict[str, Sequence[str]] = {key: tuple(data[key]) for key in ("objects", "bins", "templates")}
    facts = GroundingFacts(**{**data, **names})
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    places = np.load(folder / "places.npy", mmap_mode="r", allow_pickle=False)
    things = len(facts.objects) + len(facts.bins)
    if facts.version != _VERSION or len(images) != len(places) or places.shape[1:] != (things, 2):
        raise DatasetError(
            f"{folder}: {len(images)} pictures, places {places.shape}, version {facts.version}; expected equal numbers, "
            f"({things}, 2) places each and version {_VERSION}; make it again with: gr00t sim scenes"
        )
    return GroundingSet(facts, images, places)
