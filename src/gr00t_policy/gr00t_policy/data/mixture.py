# SPDX-License-Identifier: Apache-2.0
"""Several datasets drawn from together: opened, checked against their robots and each other, with the share of each."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError, EmbodimentError
from gr00t_policy.data.fitting import SAME_HZ, open_for, require_same_robot
from gr00t_policy.data.mixture_config import MixtureConfig, MixtureEntry
from gr00t_policy.data.reader import LeRobotDataset


@dataclass(frozen=True)
class MixturePart:
    """One dataset, with the columns of its robot's policy groups. episodes: those that are learnt from; lengths: their frames."""

    entry: MixtureEntry
    robot: Embodiment
    dataset: LeRobotDataset
    episodes: NDArray[np.int64]  # (E,)
    lengths: NDArray[np.int64]  # (E,)

    @property
    def tag(self) -> str:
        return self.robot.tag

    @property
    def frames(self) -> int:
        return int(self.lengths.sum())


@dataclass(frozen=True)
class Mixture:
    """parts: in the order of the config."""

    config: MixtureConfig
    parts: tuple[MixturePart, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """Embodiment tags, each once."""
        return tuple(dict.fromkeys(part.tag for part in self.parts))

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(P,) probability that a sample comes from each part; their sum is 1."""
        sizes = [part.frames if self.config.balance_dataset_weights else 1 for part in self.parts]
        weights = np.array([part.entry.weight for part in self.parts]) * sizes
        return weights / weights.sum()

    def episode_shares(self, part: int) -> NDArray[np.float64]:
        """(E,) probability of each episode of a part, given that part."""
        lengths = self.parts[part].lengths.astype(np.float64)
        weights = lengths if self.config.balance_trajectory_weights else np.ones_like(lengths)
        return weights / weights.sum()

    @cached_property
    def fingerprint(self) -> str:
        """Changes when other samples would be drawn: names, shares, episodes or lengths. Not with where the files lie."""
        described = [
            [part.entry.name, part.tag, part.episodes.tolist(), part.lengths.tolist(), share]
            for part, share in zip(self.parts, self.shares.tolist(), strict=True)
        ]
        described.append([self.config.balance_trajectory_weights])
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def open_mixture(config: MixtureConfig) -> Mixture:
    """Open and check every dataset.

    Raises ConfigError for unknown episodes held out, EmbodimentError for an unknown robot, DatasetError for a dataset that
    cannot be read, has nothing left, is of another robot, or whose rate differs from another of the same embodiment tag.
    """
    parts = tuple(_open(entry) for entry in config.datasets)
    first: dict[str, MixturePart] = {}
    for part in parts:
        other = first.setdefault(part.tag, part)
        if abs(other.dataset.fps - part.dataset.fps) > SAME_HZ:
            raise DatasetError(
                f"datasets '{other.entry.name}' ({other.dataset.fps:g} Hz) and '{part.entry.name}' ({part.dataset.fps:g} Hz) "
                f"are both of embodiment '{part.tag}'; one network cannot learn two rates: resample one of them"
            )
    return Mixture(config, parts)


def _open(entry: MixtureEntry) -> MixturePart:
    where = f"dataset '{entry.name}'"
    try:
        robot = load_embodiment(entry.embodiment)
        dataset = open_for(robot, entry.path)
    except (DatasetError, EmbodimentError) as error:
        raise type(error)(f"{where}: {error}") from error
    require_same_robot(where, robot, dataset)
    count = len(dataset.episodes)
    if count == 0:
        raise DatasetError(f"{where}: {entry.path} has no episodes; record some, or remove it from the mixture")
    unknown = [episode for episode in entry.hold_out if episode >= count]
    if unknown:
        raise ConfigError(f"{where} has no episode {unknown[0]} to hold out; it has 0 to {count - 1}")
    kept = [episode for episode in dataset.episodes if episode.index not in entry.hold_out]
    if not kept:
        raise DatasetError(f"{where}: nothing is left, all {count} episodes are held out; hold out fewer or remove it")
    episodes = np.array([episode.index for episode in kept], np.int64)
    return MixturePart(entry, robot, dataset, episodes, np.array([episode.length for episode in kept], np.int64))
