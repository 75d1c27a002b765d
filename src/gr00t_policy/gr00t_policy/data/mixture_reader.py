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
from gr00t_policy.data.mixture import Mixture, MixturePart
from gr00t_policy.data.mixture_sampler import Visit
from gr00t_policy.data.reader import Episode
from gr00t_policy.data.transforms import PictureTransform
from gr00t_policy.data.valid_rows import valid_rows


@dataclass(frozen=True)
class MixtureSample:
    """state: (J,) and actions: (T, J) [rad] in the order of the robot's policy joints; images: camera -> (H, W, 3) uint8 RGB.

    valid: (T,) False from the first action on that is not to be imitated.
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

    @property
    def nbytes(self) -> int:
        return (
            self.state.nbytes
            + self.actions.nbytes
            + self.valid.nbytes
            + sum(image.nbytes for image in self.images.values())
        )


class MixtureReader:
    """Reads visits. Keeps the rows of the episodes used last, at most ``cache_bytes`` of them; videos are opened anew.

    picture: how pictures are cut and resized (its ``view``), None = as recorded. Beyond the end of an episode the last
    action is repeated, and actions that are differences are 0, as in GR00T N1.
    """

    def __init__(
        self,
        mixture: Mixture,
        horizon: int = 16,
        picture: PictureTransform | None = None,
        cache_bytes: int = 64_000_000,
    ) -> None:
        if horizon < 1 or cache_bytes < 0:
            raise ConfigError(f"horizon must be at least 1 and cache_bytes at least 0, got {horizon} and {cache_bytes}")
        self.mixture, self.horizon, self.cache_bytes = mixture, horizon, cache_bytes
        self._picture = picture
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
        pictures = {camera: self._pictures(part, visit, camera) for camera in self._cameras(part)}
        differences, valid = self._differences(part), valid_rows(episode)
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
                    task=episode.task,
                    state=episode.states[frame].copy(),
                    actions=actions,
                    valid=np.logical_and.accumulate(valid[inside]),
                    images={camera: frames[number] for camera, frames in pictures.items()},
                )
            )
        return samples

    def _pictures(self, part: MixturePart, visit: Visit, camera: str) -> Sequence[NDArray[np.uint8]]:
        frames = part.dataset.frames(visit.episode, camera, visit.frames)
        view = (lambda frame: frame.copy()) if self._picture is None else self._picture.view
        return [np.asarray(view(frame)) for frame in frames]  # apart, so that one can be let go before the others

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
        return 4 * joints * (1 + self.horizon) + self.horizon + sum(3 * height * width for height, width in shown)

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
