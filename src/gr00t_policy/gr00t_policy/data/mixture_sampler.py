# SPDX-License-Identifier: Apache-2.0
"""Which (dataset, episode, frame) is sample number n of a mixture: a function of seed and n alone, so any n can be asked for.

Samples come in blocks, each with random numbers of its own (Philox, keyed by seed and block). A block is drawn as visits:
one episode, chosen by the shares of the mixture, and some frames of it; then the block is shuffled. With one frame a visit
samples are independent; with more, a video is opened and decoded once for several of them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture import Mixture


@dataclass(frozen=True)
class SamplerConfig:
    """Raises ConfigError. seed: 42 is GR00T N1.5's. block: samples shuffled together, and the unit of memory.

    frames_per_visit: samples that share an opened video; it must divide ``block``.
    """

    seed: int = 42
    block: int = 256
    frames_per_visit: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must lie in 0 to 2**63 - 1, got {self.seed}")
        if self.block < 1 or self.frames_per_visit < 1 or self.block % self.frames_per_visit:
            raise ConfigError(
                f"block and frames_per_visit must be at least 1 and the second divide the first, got {self.block} and "
                f"{self.frames_per_visit}"
            )


DEFAULT_SAMPLER = SamplerConfig()


@dataclass(frozen=True)
class Share:
    """Which samples of a stream are this process's: in runs of ``run``, every ``of``-th run, from run ``number`` on."""

    run: int = 1
    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if self.run < 1 or not 0 <= self.number < self.of:
            raise ConfigError(f"a share needs a run of at least 1 and a number in 0 to {self.of - 1}: {self}")

    def wants(self, sample: int) -> bool:
        return sample // self.run % self.of == self.number

    def first_from(self, sample: int) -> int:
        """The first sample of this share that is number ``sample`` or later."""
        run = sample // self.run
        before = (self.number - run) % self.of
        return (run + before) * self.run if before else sample


EVERY_SAMPLE = Share()


@dataclass(frozen=True)
class Visit:
    """Frames of one episode. part: of the mixture; episode: its number in the dataset; places: in the block, one per frame."""

    part: int
    episode: int
    frames: tuple[int, ...]
    places: tuple[int, ...]
    block: int = 0

    def kept(self, size: int, first: int, share: Share) -> "Visit":
        """What of it is ``share``'s and sample number ``first`` or later, in blocks of ``size``; maybe nothing."""
        numbers = [self.block * size + place for place in self.places]
        keep = [number >= first and share.wants(number) for number in numbers]
        frames = tuple(frame for frame, kept in zip(self.frames, keep, strict=True) if kept)
        places = tuple(place for place, kept in zip(self.places, keep, strict=True) if kept)
        return replace(self, frames=frames, places=places)


class MixtureSampler:
    """Has no state: two samplers of the same mixture and config agree on every block, in any process and order."""

    def __init__(self, mixture: Mixture, config: SamplerConfig = DEFAULT_SAMPLER) -> None:
        self.mixture = mixture
        self.config = config
        self._parts = np.cumsum(mixture.shares)
        self._episodes = [np.cumsum(mixture.episode_shares(part)) for part in range(len(mixture.parts))]

    def visits(self, block: int) -> list[Visit]:
        """Block number ``block`` (from 0), visits in the order of their first place."""
        config = self.config
        rng = np.random.Generator(np.random.Philox(key=np.array([config.seed, block], np.uint64)))
        count = config.block // config.frames_per_visit
        places = rng.permutation(config.block).reshape(count, -1)
        chances = rng.random((count, 2 + config.frames_per_visit))
        visits = []
        for row, own in zip(chances, places, strict=True):
            part = _chosen(self._parts, row[0])
            place = _chosen(self._episodes[part], row[1])
            opened = self.mixture.parts[part]
            frames = (row[2:] * opened.lengths[place]).astype(int)  # below the length, since chances are below 1
            visits.append(Visit(part, int(opened.episodes[place]), tuple(frames.tolist()), tuple(own.tolist()), block))
        return sorted(visits, key=lambda visit: min(visit.places))


def _chosen(cumulative: NDArray[np.float64], chance: float) -> int:
    """Index whose share holds ``chance``; shares of 0 hold nothing, whatever the rounding of the sum."""
    return int(np.searchsorted(cumulative, chance * cumulative[-1], side="right"))
