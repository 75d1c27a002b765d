# SPDX-License-Identifier: Apache-2.0
"""Pictures with sentences about them and the places of what the sentences name: what the planner learns to find things from.

A folder with ``images.npy`` (N, H, W, 3) uint8 at the network's size, ``asked.npy`` (N, K) int16, the wishes that can be
asked of each picture (-1: none), ``places.npy`` (N, K, 4) float32, where each wish's object and target are as (u, v) in
[0, 1], and ``grounding.json`` (each wish as the sentences that state it, and how the pictures were made).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.durable import write_json, writing

GOAL_UV = "goal_uv"  # column of demonstrations: (4,) places of object and goal in the picture, (u, v) in [0, 1] each
_VERSION = 2
_AGAIN = "make it again with: gr00t sim scenes"
_MAKE_ROOM = "make room, or use another --out, and run it again"


@dataclass(frozen=True)
class GroundingFacts:
    """What the arrays mean. wishes: for each number in ``asked`` the sentences that state it, one as good as another.

    looks: name of the simulator's ranges from which camera, light and surfaces were drawn; 'none': always the same. suite:
    tasks the scenes are of; crop_fraction: share of the camera picture that is shown; "" and None where a set does not say.
    """

    wishes: tuple[tuple[str, ...], ...]
    seed: int
    version: int = _VERSION
    looks: str = "none"
    suite: str = ""
    crop_fraction: float | None = None

    @property
    def sentences(self) -> set[str]:
        """Everything that is said in the set."""
        return {sentence for wish in self.wishes for sentence in wish}


@dataclass(frozen=True)
class GroundingSet:
    """images (N, H, W, 3) uint8, asked (N, K) int16 and places (N, K, 4) float32, memory-mapped."""

    facts: GroundingFacts
    images: NDArray[np.uint8]
    asked: NDArray[np.int16]
    places: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[str, NDArray[np.float32]]:
        """A sentence that can be said about picture ``index`` and the places (4,) of its object and its target."""
        column = int(rng.choice(np.flatnonzero(self.asked[index] >= 0)))
        sentences = self.facts.wishes[self.asked[index, column]]
        return sentences[rng.integers(len(sentences))], np.array(self.places[index, column])


def make_grounding_folder(folder: Path) -> None:
    """Before the work, so that it is not for nothing. Raises DatasetError when there can be none."""
    with writing(folder, DatasetError, _MAKE_ROOM):
        folder.mkdir(parents=True, exist_ok=True)


def save_grounding(
    folder: Path,
    facts: GroundingFacts,
    images: NDArray[np.uint8],
    asked: NDArray[np.integer],
    places: NDArray[np.floating],
) -> None:
    """Write a set; its facts, written last, make it exist. Raises DatasetError when it cannot be written."""
    make_grounding_folder(folder)
    with writing(folder, DatasetError, _MAKE_ROOM):
        np.save(folder / "images.npy", images, allow_pickle=False)
        np.save(folder / "asked.npy", asked.astype(np.int16), allow_pickle=False)
        np.save(folder / "places.npy", places.astype(np.float32), allow_pickle=False)
        write_json(folder / "grounding.json", asdict(facts))


def load_grounding(folder: Path) -> GroundingSet:
    """Open a set without reading its pictures. Raises DatasetError."""
    path = folder / "grounding.json"
    if not path.is_file():
        raise DatasetError(f"{folder} holds no grounding set ({path.name} is missing); make one with: gr00t sim scenes")
    data = json.loads(path.read_text())
    if data.get("version") != _VERSION:
        raise DatasetError(f"{folder} has version {data.get('version')} of the format, not {_VERSION}; {_AGAIN}")
    said = {name: data[name] for name in ("looks", "suite", "crop_fraction") if name in data}
    facts = GroundingFacts(tuple(tuple(wish) for wish in data["wishes"]), data["seed"], **said)
    images, asked, places = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("images", "asked", "places")
    )
    shape = (len(images), asked.shape[-1])
    if asked.shape != shape or places.shape != (*shape, 4):
        raise DatasetError(
            f"{folder}: {len(images)} pictures, asked {asked.shape}, places {places.shape}; expected (N, K) and (N, K, 4) "
            f"of the same N; {_AGAIN}"
        )
    if len(asked) and (asked.max() >= len(facts.wishes) or (asked < 0).all(axis=1).any()):
        raise DatasetError(f"{folder}: a picture has no wish, or one that {path.name} does not state; {_AGAIN}")
    return GroundingSet(facts, images, asked, places)
