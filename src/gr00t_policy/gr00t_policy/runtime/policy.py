# SPDX-License-Identifier: Apache-2.0
"""Policies behind two verbs: ``encode`` an observation into tokens (System 2), ``act`` on tokens and joint state (System 1).

What runs the network is a ``Backend``: plain torch here, the compiled engine in ``engine.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, Observation
from gr00t_policy.data.camera_views import CameraViews
from gr00t_policy.data.published_images import picture_transform
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.model.tokenizer import Prompt
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.served_checkpoint import ServedCheckpoint

_NS = 1_000_000_000


class Backend(Protocol):
    """Runs one checkpoint's network on float32 numpy arrays."""

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """pixel_values (1, V, 3, H, W), ids and mask (1, S) -> features (S, D)."""
        ...

    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> Any:
        """Constant work on the features (S, D) with mask (S,), once per tokens message; opaque, for ``act``."""
        ...

    def act(
        self,
        context: Any,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        """state (1, state_dim), noise (T, A) -> normalised actions (T, A); those that are known come out as they are."""
        ...


@runtime_checkable
class SteppingBackend(Protocol):
    """What a backend has besides when it can make single Euler steps of chunks in flight. steps: of a chunk; 0: it was not
    loaded for this."""

    steps: int

    def advance(
        self, contexts: Sequence[Any], states: NDArray[np.float32], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """One pass: row k of x (N, T, A), at Euler step k of N = ``steps``, with context and state (1, state_dim) of its own,
        states (N, 1, state_dim) -> x (N, T, A) after that step."""
        ...


@dataclass(frozen=True)
class PreparedTokens:
    """Tokens that fit the policy, and the constant work done on them."""

    tokens: ConditioningTokens
    context: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class BegunChunk:
    """What a chunk is computed from: tokens with their context, joint state (1, state_dim) as the network takes it, of
    ``stamp_ns``, and noise (T, A)."""

    tokens: ConditioningTokens
    context: Any = field(repr=False)
    state: NDArray[np.float32]
    stamp_ns: int
    noise: NDArray[np.float32] = field(repr=False)


class Policy(Protocol):
    """What planner and controller need to know of a policy."""

    embodiment: Embodiment

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens: ...

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        """Check tokens and do the constant work on them; from one thread at a time, which need not be the one that acts.
        Raises MessageError when they are not for this policy."""
        ...

    def use(self, prepared: PreparedTokens) -> None:
        """These tokens from now on; quick."""
        ...

    def accept(self, tokens: ConditioningTokens) -> None:
        """``prepare`` and ``use``."""
        ...

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk: ...

    def start_episode(self, seed: int) -> None: ...


class Gr00tPolicy:
    """A checkpoint's network. The noise is drawn once per episode, so that successive evaluations agree.

    noise_scale: 1 samples the distribution it was trained for, 0 gives the flow's centre (least variation). fresh_noise: it is
    drawn for each chunk instead.
    """

    def __init__(
        self,
        checkpoint: ServedCheckpoint,
        backend: Backend,
        seed: int = 0,
        noise_scale: float = 1.0,
        *,
        fresh_noise: bool = False,
    ) -> None:
        config = checkpoint.config
        self.checkpoint = checkpoint
        self.embodiment = checkpoint.embodiment
        self._backend = backend
        image = picture_transform(config.vision.image_size, config.crop_fraction, published=config.published)
        self._views = CameraViews(checkpoint.embodiment, image)
        self._transform = StateActionTransform(
            checkpoint.embodiment, checkpoint.statistics, config.head.state_dim, config.head.action_dim
        )
        self._noise_scale, self._fresh_noise = noise_scale, fresh_noise
        self._step_dt_s = 1.0 / checkpoint.embodiment.rate_hz
        self._asked: tuple[str, int] | None = None
        self._ids: Prompt | None = None
        self._context: Any = None
        self._tokens: ConditioningTokens | None = None
        self._chunks = 0
        self.start_episode(seed)

    @property
    def tokens(self) -> ConditioningTokens | None:
        """The tokens in use."""
        return self._tokens

    def start_episode(self, seed: int) -> None:
        """New noise from ``seed``; tokens are forgotten."""
        self._rng = np.random.default_rng(seed)
        self._noise = self._drawn_noise()
        self._seed = seed
        self._context = self._tokens = None

    def _drawn_noise(self) -> NDArray[np.float32]:
        head = self.checkpoint.config.head
        noise = self._rng.normal(size=(head.horizon, head.action_dim))
        return (self._noise_scale * noise).astype(np.float32)

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        """System 2 on the observation's pictures and sentence; the joint state is not used. Raises MessageError."""
        pixels = self._views(observation.images)[None]
        prompt = self._prompt(observation.instruction, pixels.shape[1])
        features = self._backend.encode(pixels, prompt.input_ids[None], prompt.attention_mask[None])
        return ConditioningTokens(
            features=features,
            mask=prompt.attention_mask.astype(np.bool_),
            stamp_ns=observation.image_stamp_ns,
            sequence=sequence,
            instruction=observation.instruction,
            instruction_id=instruction_id,
            checkpoint_hash=self.checkpoint.hash,
            embodiment=self.embodiment.name,
        )

    def _prompt(self, sentence: str, views: int) -> Prompt:
        """Ids of the prompt, kept while the sentence stands."""
        asked = (sentence, views)
        if self._asked != asked:
            self._ids, self._asked = self.checkpoint.prompt.encode(sentence, views), asked
        assert self._ids is not None
        return self._ids

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        """Keys and values of these tokens; those in use stay as they are. Raises MessageError when they do not fit."""
        config = self.checkpoint.config
        width = config.head.cross_dim
        if tokens.checkpoint_hash != self.checkpoint.hash:
            raise MessageError(
                f"tokens come from checkpoint {tokens.checkpoint_hash[:12] or '(none)'}, this is "
                f"{self.checkpoint.hash[:12]}; start planner and controller with the same checkpoint"
            )
        if tokens.embodiment != self.embodiment.name:
            raise MessageError(f"tokens are for embodiment '{tokens.embodiment}', not '{self.embodiment.name}'")
        if tokens.features.ndim != 2 or tokens.features.shape[1] != width or len(tokens.mask) != len(tokens.features):
            raise MessageError(
                f"tokens have shape {tokens.features.shape} with mask {tokens.mask.shape}; expected (S, {width}) and (S,)"
            )
        if config.attends_to_tokens and not tokens.mask.any():
            raise MessageError(
                f"none of {len(tokens.mask)} tokens is a real one; expected those of a picture and a sentence"
            )
        if not np.isfinite(tokens.features).all():
            raise MessageError("tokens hold NaN or infinity")
        return PreparedTokens(tokens, self._backend.context(tokens.features, tokens.mask))

    def use(self, prepared: PreparedTokens) -> None:
        self._tokens, self._context = prepared.tokens, prepared.context

    def accept(self, tokens: ConditioningTokens) -> None:
        """Raises MessageError, and keeps the old ones, when they do not fit."""
        self.use(self.prepare(tokens))

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        """System 1: joint state (J,) [rad] of ``state_stamp_ns`` -> chunk whose step 0 is one step later.

        guide: what the chunk's steps are to agree with. Needs accepted tokens. Raises MessageError when the state or the
        result is not finite.
        """
        begun = self.begin(state, state_stamp_ns)
        known = None if guide is None else self._known(guide)
        return self.finish(begun, self._backend.act(begun.context, begun.state, begun.noise, known))

    @property
    def flow_steps(self) -> int:
        """Euler steps of a chunk. Raises ConfigError when the backend cannot make single ones."""
        return self._stepping.steps

    def begin(self, state: NDArray[np.floating], state_stamp_ns: int) -> BegunChunk:
        """What the chunk of joint state (J,) [rad] and the tokens in use is computed from. Raises MessageError."""
        assert self._tokens is not None, "act before the first tokens"
        if not np.isfinite(state).all():
            raise MessageError("the joint state holds NaN or infinity")
        encoded = self._transform.encode_state(np.asarray(state, np.float32))
        begun = BegunChunk(self._tokens, self._context, encoded, state_stamp_ns, self._noise)
        if self._fresh_noise:
            self._noise = self._drawn_noise()
        return begun

    def advance(self, begun: Sequence[BegunChunk], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """One Euler step of x (N, T, A); row k, begun from ``begun[k]``, is at step k."""
        return self._stepping.advance([row.context for row in begun], np.stack([row.state for row in begun]), x)

    def finish(self, begun: BegunChunk, actions: NDArray[np.float32]) -> ActionChunk:
        """The chunk of normalised actions (T, A), stamped with what it began from. Raises MessageError if not finite."""
        positions = self._transform.decode_actions(actions)
        if not np.isfinite(positions).all():
            raise MessageError("the network gave NaN or infinity; the chunk is dropped")
        self._chunks += 1
        return ActionChunk(
            stamp_ns=begun.stamp_ns + round(self._step_dt_s * _NS),
            step_dt_s=self._step_dt_s,
            joint_names=self.embodiment.policy_joint_names,
            positions=positions,
            chunk_id=self._chunks,
            tokens_sequence=begun.tokens.sequence,
            tokens_stamp_ns=begun.tokens.stamp_ns,
            state_stamp_ns=begun.stamp_ns,
            seed=self._seed,
        )

    @cached_property
    def _stepping(self) -> SteppingBackend:
        if not isinstance(self._backend, SteppingBackend) or self._backend.steps < 1:
            raise ConfigError("what runs this network cannot stagger its steps; set staggered to false")
        return self._backend

    def _known(self, guide: Guide) -> KnownActions:
        return KnownActions(
            self._transform.encode_actions(guide.positions).astype(np.float32),
            guide.weights.astype(np.float32)[:, None],
        )


@dataclass
class ReplayPolicy:
    """Plays recorded targets (N, J) [rad] at the embodiment's rate, whatever it is shown: for tests of everything else."""

    embodiment: Embodiment
    targets: NDArray[np.float64]
    horizon: int = 16

    def __post_init__(self) -> None:
        self._begin_ns: int | None = None
        self._tokens_sequence = 0

    def start_episode(self, seed: int) -> None:
        self._begin_ns = None

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        return _empty_tokens(self.embodiment, observation, sequence, instruction_id)

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return PreparedTokens(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self._tokens_sequence = prepared.tokens.sequence

    def accept(self, tokens: ConditioningTokens) -> None:
        self.use(self.prepare(tokens))

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        """The recording from where its own time stands; the first call starts it. Its last target is repeated."""
        self._begin_ns = state_stamp_ns if self._begin_ns is None else self._begin_ns
        step_dt_s = 1.0 / self.embodiment.rate_hz
        now = (state_stamp_ns - self._begin_ns) / (step_dt_s * _NS)
        places = np.clip(now + np.arange(self.horizon), 0, len(self.targets) - 1)
        index = places.astype(int)
        following = np.minimum(index + 1, len(self.targets) - 1)
        positions = self.targets[index] + (places - index)[:, None] * (self.targets[following] - self.targets[index])
        return ActionChunk(
            stamp_ns=state_stamp_ns + round(step_dt_s * _NS),
            step_dt_s=step_dt_s,
            joint_names=self.embodiment.policy_joint_names,
            positions=positions,
            tokens_sequence=self._tokens_sequence,
            state_stamp_ns=state_stamp_ns,
        )


@dataclass
class HoldPolicy:
    """Stays where it was when the episode began, whatever it is shown."""

    embodiment: Embodiment
    horizon: int = 16

    def __post_init__(self) -> None:
        self._held: Sequence[float] | NDArray[np.floating] | None = None

    def start_episode(self, seed: int) -> None:
        self._held = None

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        return _empty_tokens(self.embodiment, observation, sequence, instruction_id)

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return PreparedTokens(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        """Any tokens will do."""

    def accept(self, tokens: ConditioningTokens) -> None:
        self.use(self.prepare(tokens))

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        self._held = np.array(state, np.float64) if self._held is None else self._held
        step_dt_s = 1.0 / self.embodiment.rate_hz
        return ActionChunk(
            stamp_ns=state_stamp_ns + round(step_dt_s * _NS),
            step_dt_s=step_dt_s,
            joint_names=self.embodiment.policy_joint_names,
            positions=np.tile(self._held, (self.horizon, 1)),
            state_stamp_ns=state_stamp_ns,
        )


def _empty_tokens(
    embodiment: Embodiment, observation: Observation, sequence: int, instruction_id: int
) -> ConditioningTokens:
    return ConditioningTokens(
        features=np.zeros((1, 1), np.float32),
        mask=np.ones(1, np.bool_),
        stamp_ns=observation.image_stamp_ns,
        sequence=sequence,
        instruction=observation.instruction,
        instruction_id=instruction_id,
        embodiment=embodiment.name,
    )
