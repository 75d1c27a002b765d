# SPDX-License-Identifier: Apache-2.0
"""Training batches in the network's units, as numpy: from demonstrations and from still scenes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.frame_cache import FrameCache
from gr00t_policy.data.grounding import GOAL_UV, GroundingSet
from gr00t_policy.data.reader import Episode
from gr00t_policy.data.transforms import ColourJitter, PictureTransform, StateActionTransform, to_network
from gr00t_policy.data.valid_rows import valid_rows
from gr00t_policy.model.tokenizer import Prompt, PromptTokenizer
from gr00t_policy.training.noted_data import ANEW, noted_data, require_noted

Batch = dict[str, NDArray]
Streams = Sequence[np.random.Generator]  # one for each picture of a batch
_RECOVERY_ROWS = 24  # 1.2 s after a disturbance it is decided how to get back


@dataclass
class Prompts:
    """Sentences to padded ids for prompts with ``views`` pictures, each encoded once."""

    tokenizer: PromptTokenizer
    views: int = 1
    pad_id: int = 0

    def __post_init__(self) -> None:
        self._known: dict[str, Prompt] = {}

    def __call__(self, sentences: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """ids and masks (B, S)."""
        for sentence in sentences:
            if sentence not in self._known:
                self._known[sentence] = self.tokenizer.encode(sentence, self.views)
        prompts = [self._known[sentence] for sentence in sentences]
        length = max(len(prompt.input_ids) for prompt in prompts)  # prompts of fixed length are all as long
        ids = np.full((len(prompts), length), self.pad_id, np.int64)
        masks = np.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, length - len(prompt.input_ids) :] = prompt.input_ids  # padding is on the left
            masks[row, length - len(prompt.input_ids) :] = prompt.attention_mask
        return ids, masks


class Source(Protocol):
    """Where the loop takes demonstrations from."""

    def draw(self, rngs: Streams, samples: int) -> Batch:
        """See ``DemonstrationBatches.draw``. rngs: of consecutive places of a step, never of the same place twice."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain data from which ``resume`` goes on."""
        ...

    def resume(self, state: dict[str, Any]) -> str:
        """Returns what could not be checked of it, for people; "" = nothing. Raises ConfigError when it is another's."""
        ...


def streams(*key: int, places: Iterable[int]) -> list[np.random.Generator]:
    """Random numbers for each place of a batch, the same however the places are shared out."""
    return [np.random.default_rng([*key, place]) for place in places]


class DemonstrationBatches:
    """Draws pictures uniformly and, for each, action samples whose joint state is a little newer than the picture.

    A row may start a chunk when it is valid (not disturbed); steps from the first invalid row on are masked. Pictures
    shortly after a disturbance are drawn ``recovery_weight`` times as often. caches: one per camera, in the network's
    order. jitter: strength of colour changes relative to GR00T N1's. learnt_from: numbers of the episodes that may be
    drawn, None = all; others are never touched.
    offset_rad: (J,) standard deviation of an offset that is added to a sample's joint state and to its actions alike, so
    that few recordings teach motion from where the robot is, not only their own places.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        caches: Sequence[FrameCache],
        transform: StateActionTransform,
        image: PictureTransform,
        prompts: Prompts,
        *,
        jitter: float,
        slot: int,
        horizon: int,
        max_image_age_frames: int,
        state_noise_rad: float,
        recovery_weight: int = 1,
        learnt_from: Sequence[int] | None = None,
        offset_rad: NDArray[np.floating] | None = None,
    ) -> None:
        self._episodes, self._caches, self._transform = episodes, caches, transform
        self._image, self._prompts, self._jitter = image, prompts, jitter
        self._slot, self._horizon = slot, horizon
        self._max_age, self._noise = max_image_age_frames, state_noise_rad
        self._offset = offset_rad
        self._valid = [valid_rows(episode) for episode in episodes]
        self._drawn = range(len(episodes)) if learnt_from is None else learnt_from
        self._pictures = np.array(
            [
                (number, frame)
                for number in self._drawn
                for valid in (self._valid[number],)
                for frame in caches[0].frame_indices(number)
                if valid[frame : frame + max_image_age_frames + 1].any()
                for _ in range(1 if valid[max(frame - _RECOVERY_ROWS, 0) : frame + 1].all() else recovery_weight)
            ]
        )
        if not len(self._pictures):
            raise DatasetError("nothing can be learnt from these episodes: none of their rows is valid")
        self._dims = transform.action_mask[None, :]

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, rngs: Streams, samples: int) -> Batch:
        """Batch of B = len(rngs) pictures and R = B * samples; without flow time and noise, which the loop draws."""
        chosen = self._choose(rngs)
        looks = self._looks(chosen, rngs)
        states, actions, masks = [], [], []
        for (number, frame), rng in zip(chosen, rngs, strict=True):
            episode, valid = self._episodes[number], self._valid[number]
            ages = np.flatnonzero(valid[frame : frame + self._max_age + 1])
            starts = frame + rng.choice(ages, size=samples)
            steps = np.minimum(starts[:, None] + np.arange(self._horizon), len(episode) - 1)
            noise = rng.normal(size=(samples, self._transform.joints)) * self._noise
            offset = 0.0 if self._offset is None else rng.normal(size=noise.shape) * self._offset
            states.append(episode.states[starts] + noise + offset)
            actions.append(episode.actions[steps] + np.broadcast_to(offset, noise.shape)[:, None])
            masks.append(np.logical_and.accumulate(valid[steps], axis=1))
        joints, targets = np.concatenate(states), np.concatenate(actions)
        return {
            **looks,
            "state": self._transform.encode_state(joints.astype(np.float32)),
            "action": self._transform.encode_actions(targets.astype(np.float32)),
            "action_mask": (np.concatenate(masks)[..., None] & self._dims).astype(np.float32),
            "embodiment_id": np.full(len(joints), self._slot),
        }

    def state(self) -> dict[str, Any]:
        """What there is to draw from; what is drawn is a matter of random numbers alone."""
        return {"pictures": len(self), "frames": sum(map(len, self._episodes)), **self._noted}

    def resume(self, state: dict[str, Any]) -> str:
        """See ``Source``. Episodes and statistics must be the same; runs of older versions noted less, or nothing."""
        now = self.state()
        if state and any(state.get(key) != now[key] for key in ("pictures", "frames")):
            raise ConfigError(
                f"the run in this folder learnt from {state.get('frames')} frames ({state.get('pictures')} pictures), now "
                f"there are {now['frames']} ({now['pictures']}) in its datasets; {ANEW}"
            )
        return require_noted(state, now, all_valid=all(self._valid[number].all() for number in self._drawn))

    @cached_property
    def _noted(self) -> dict[str, Any]:
        return noted_data([self._episodes[number] for number in self._drawn], self._transform.statistics)

    def draw_looks(self, rngs: Streams) -> Batch:
        """Pictures, sentences and localisation labels alone, as ``GroundingBatches`` gives them."""
        return self._looks(self._choose(rngs), rngs)

    def _choose(self, rngs: Streams) -> NDArray[np.int64]:
        """(B, 2) episode and frame."""
        return self._pictures[[rng.integers(len(self._pictures)) for rng in rngs]]

    def _looks(self, chosen: NDArray[np.int64], rngs: Streams) -> Batch:
        images = np.stack([self._pictures_of(cache, chosen, rngs) for cache in self._caches], axis=1)
        ids, mask = self._prompts([self._episodes[e].sentences[f] for e, f in chosen])
        target = np.stack([self._goal_uv(e)[f] for e, f in chosen]) * 2 - 1
        return {
            "pixel_values": to_network(images),
            "input_ids": ids,
            "attention_mask": mask,
            "aux_target": np.nan_to_num(target).astype(np.float32),
            "aux_mask": (np.abs(np.nan_to_num(target, nan=9.0)) <= 1.0).astype(np.float32),
        }

    def _pictures_of(self, cache: FrameCache, chosen: NDArray[np.int64], rngs: Streams) -> NDArray[np.uint8]:
        """One camera's pictures (B, size, size, 3), cut and coloured at random."""
        views = (cache.views[cache.row(e, f)][None] for e, f in chosen)
        return np.concatenate(
            [self._image.augmented(view, rng, self._jitter) for view, rng in zip(views, rngs, strict=True)]
        )

    def _goal_uv(self, number: int) -> NDArray[np.floating]:
        """(N, 4) labels of an episode; NaN where it has none."""
        episode = self._episodes[number]
        return episode.extras.get(GOAL_UV, np.full((len(episode), 4), np.nan))


class GroundingBatches:
    """Still scenes, each with a sentence about two of the things in it."""

    def __init__(self, scenes: GroundingSet, prompts: Prompts, jitter: float) -> None:
        self._scenes, self._prompts, self._jitter = scenes, prompts, ColourJitter().scaled(jitter)

    def draw(self, rngs: Streams) -> Batch:
        """pixel_values, input_ids, attention_mask, aux_target, aux_mask for as many scenes."""
        rows = [int(rng.integers(len(self._scenes))) for rng in rngs]
        drawn = [self._scenes.draw(row, rng) for row, rng in zip(rows, rngs, strict=True)]
        ids, mask = self._prompts([sentence for sentence, _ in drawn])
        target = np.stack([places for _, places in drawn]) * 2 - 1
        images = np.concatenate(
            [self._jitter(self._scenes.images[row][None], rng) for row, rng in zip(rows, rngs, strict=True)]
        )
        return {
            "pixel_values": to_network(images)[:, None],
            "input_ids": ids,
            "attention_mask": mask,
            "aux_target": target.astype(np.float32),
            "aux_mask": (np.abs(target) <= 1.0).astype(np.float32),
        }
