# SPDX-License-Identifier: Apache-2.0
"""From what the sampler chose to arrays: joint state, chunk of actions, pictures, sentence. Safe to share among threads."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.grounding import GOAL_UV
from gr00t_policy.data.mixture import Mixture, MixturePart
from gr00t_policy.data.mixture_sampler import Visit
from gr00t_policy.data.reader import Episode
from gr00t_policy.data.transforms import PictureTransform
from gr00t_policy.data.valid_rows import valid_rows

_UNKNOWN = np.full(4, np.nan, np.float32)
_PICTURES = 5  # which of a sample's random numbers these are; ``training`` has others


@dataclass(frozen=True)
class Chance:
    """What happens to a sample's pictures by chance, by random numbers of its own (seed, sample): the same for any reader.

    jitter: strength of colour changes relative to GR00T N1's, beside the random cut. max_image_age_frames: the picture is up
    to this many frames older than the joint state, as on a robot whose pictures arrive late.
    """

    seed: int
    jitter: float = 1.0
    max_image_age_frames: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0 or self.jitter < 0 or self.max_image_age_frames < 0:
            raise ConfigError(f"seed, jitter and max_image_age_frames must not be negative: {self}")


@dataclass(frozen=True)
class MixtureSample:
    """state: (J,) and actions: (T, J) [rad] in the order of the robot's policy joints; images: camera -> (H, W, 3) uint8 RGB.

    valid: (T,) False from the first action on that is not to be imitated. goal_uv: (4,) where in the picture object and goal
    are, (u, v) each in [0, 1], NaN where the dataset does not say.
    """

    dataset: str
    tag: str
    episode: int
    frame: int
    task: str
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    valid: NDArray[np.bool_]
    images: dict[str, NDArray[np.uint8]]
    goal_uv: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return (
            self.state.nbytes
            + self.actions.nbytes
            + self.valid.nbytes
            + self.goal_uv.nbytes
            + sum(image.nbytes for image in self.images.values())
        )


class MixtureReader:
    """Reads visits. Keeps the rows of the episodes used last, at most ``cache_bytes`` of them; videos are opened anew.

    picture: how pictures are cut and resized (its ``view``), None = as recorded. chance: also cut and coloured at random for
    the network (needs ``picture``), None = whole. Beyond the end of an episode the last
    action is repeated, and actions that are differences are 0, as in GR00T N1.
    """

    def __init__(
        self,
        mixture: Mixture,
        horizon: int = 16,
        picture: PictureTransform | None = None,
        cache_bytes: int = 64_000_000,
        chance: Chance | None = None,
    ) -> None:
        if horizon < 1 or cache_bytes < 0:
            raise ConfigError(f"horizon must be at least 1 and cache_bytes at least 0, got {horizon} and {cache_bytes}")
        self.mixture, self.horizon, self.cache_bytes = mixture, horizon, cache_bytes
        if chance is not None and picture is None:
            raise ConfigError("pictures are cut at random for a network; say how it wants them (picture)")
        self._picture, self._chance = picture, chance
        self._lock = threading.Lock()
        self._rows: OrderedDict[tuple[int, int], Episode] = OrderedDict()
        self._held = 0

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: without lock and cache."""
        return {key: value for key, value in vars(self).items() if key not in ("_lock", "_rows", "_held")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._rows, self._held = threading.Lock(), OrderedDict(), 0

    @property
    def sample_bytes(self) -> int:
        """The largest sample that the mixture can give."""
        return max(self._sample_bytes(part) for part in self.mixture.parts)

    def read(self, visit: Visit) -> list[MixtureSample]:
        """One sample for each frame of the visit, in its order. Raises DatasetError naming the file."""
        part = self.mixture.parts[visit.part]
        episode = self._episode(visit.part, visit.episode)
        rngs = self._rngs(visit)
        shown = self._shown(visit, rngs)
        pictures = {camera: self._pictures(part, visit, camera, shown, rngs) for camera in self._cameras(part)}
        differences, valid = self._differences(part), valid_rows(episode)
        places = episode.extras.get(GOAL_UV)
        samples = []
        for number, frame in enumerate(visit.frames):
            steps = np.arange(frame, frame + self.horizon)
            inside = np.minimum(steps, len(episode) - 1)
            actions = episode.actions[inside]
            actions[np.ix_(steps >= len(episode), differences)] = 0
            samples.append(
                MixtureSample(
                    dataset=part.entry.name,
                    tag=part.tag,
                    episode=visit.episode,
                    frame=frame,
                    task=episode.sentences[frame],
                    state=episode.states[frame].copy(),
                    actions=actions,
                    valid=np.logical_and.accumulate(valid[inside]),
                    images={camera: frames[number] for camera, frames in pictures.items()},
                    goal_uv=_UNKNOWN if places is None else places[shown[number]].astype(np.float32),
                )
            )
        return samples

    def _rngs(self, visit: Visit) -> list[np.random.Generator]:
        """One for each frame; none without chance."""
        if self._chance is None:
            return []
        return [np.random.default_rng([self._chance.seed, visit.block, place, _PICTURES]) for place in visit.places]

    def _shown(self, visit: Visit, rngs: Sequence[np.random.Generator]) -> tuple[int, ...]:
        """The frames whose pictures are used."""
        if self._chance is None or self._chance.max_image_age_frames == 0:
            return visit.frames
        oldest = self._chance.max_image_age_frames
        ages = [int(rng.integers(oldest + 1)) for rng in rngs]
        return tuple(max(frame - age, 0) for frame, age in zip(visit.frames, ages, strict=True))

    def _pictures(
        self,
        part: MixturePart,
        visit: Visit,
        camera: str,
        shown: tuple[int, ...],
        rngs: Sequence[np.random.Generator],
    ) -> Sequence[NDArray[np.uint8]]:
        frames = part.dataset.frames_of_rows(visit.episode, camera, shown)
        view = (lambda frame: frame.copy()) if self._picture is None else self._picture.view
        views = [np.asarray(view(frame)) for frame in frames]  # apart, so that one can be let go before the others
        if self._chance is None or self._picture is None:
            return views
        jitter, cut = self._chance.jitter, self._picture.augmented
        return [cut(one[None], rng, jitter)[0] for one, rng in zip(views, rngs, strict=True)]

    def _episode(self, part: int, index: int) -> Episode:
        key = part, index
        with self._lock:
            if key in self._rows:
                self._rows.move_to_end(key)
                return self._rows[key]
        episode = self.mixture.parts[part].dataset.episode(index)
        with self._lock:
            if key not in self._rows:
                self._rows[key] = episode
                self._held += _nbytes(episode)
            while self._held > self.cache_bytes and self._rows:
                _, dropped = self._rows.popitem(last=False)
                self._held -= _nbytes(dropped)
        return episode

    def _sample_bytes(self, part: MixturePart) -> int:
        joints = len(part.robot.policy_joints)
        sizes = [part.dataset.cameras[camera] for camera in self._cameras(part)]
        shown = sizes if self._picture is None else [self._picture.view_size(*size) for size in sizes]
        return (
            _UNKNOWN.nbytes
            + 4 * joints * (1 + self.horizon)
            + self.horizon
            + sum(3 * height * width for height, width in shown)
        )

    @staticmethod
    def _cameras(part: MixturePart) -> list[str]:
        return [camera.name for camera in part.robot.cameras]

    @staticmethod
    def _differences(part: MixturePart) -> NDArray[np.bool_]:
        """(J,) whether an action is a difference to the step before."""
        kinds = part.dataset.kinds("action")
        return np.array([not kinds[joint.group].absolute for joint in part.robot.policy_joints])


def _nbytes(episode: Episode) -> int:
    own = episode.states.nbytes + episode.actions.nbytes + episode.timestamps_s.nbytes
    return own + sum(column.nbytes for column in episode.extras.values())
