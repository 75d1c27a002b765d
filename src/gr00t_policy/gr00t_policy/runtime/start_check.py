# SPDX-License-Identifier: Apache-2.0
"""Is what will run the network the network? An engine answers a few inputs before it may drive, and is held against what
the plain network in float32 answered to the same. Knows no engine and no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import CheckpointError, Gr00tError
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.runtime.policy import SteppingBackend
from gr00t_policy.runtime.staggering import staggered_actions

if TYPE_CHECKING:
    from gr00t_policy.model.checkpoint import Checkpoint
    from gr00t_policy.runtime.policy import Backend

INPUTS = 4  # the first with the noise that the robot uses, zero
_SENTENCE = "pick up the red can"
# Largest error that a sound engine may have, by precision. Features: over their root mean square. Actions: normalised, -1 to
# 1 is a joint's range in the demonstrations. Measured on the shipped checkpoint: fp32 1e-5 and 1e-6, int8 0.24 and 0.06, bf16
# 0.09 and 0.012, fp8 0.076 of the head. A wrong weight, order or kernel is far beyond.
TOLERANCES = {
    "encoder": {"fp32": 1e-3, "bf16": 0.4, "int8": 0.8},
    "head": {"fp32": 1e-3, "bf16": 0.15, "int8": 0.25, "fp8": 0.25},
}
TOLERANCES["staggered"] = TOLERANCES["head"]  # of the same chunks, made one Euler step at a time


class EngineRefusedError(Gr00tError):
    """An engine does not compute what the plain network computes."""


@dataclass(frozen=True)
class ReferenceAnswers:
    """N inputs and what the plain network in float32 answers.

    pixel_values (N, V, 3, H, W), input_ids and mask (N, S), state (N, 1, state_dim), noise (N, T, A); features (N, S, D)
    of the encoder, actions (N, T, A), normalised, of the head on these features.
    """

    pixel_values: NDArray[np.float32]
    input_ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    state: NDArray[np.float32]
    noise: NDArray[np.float32]
    features: NDArray[np.float32]
    actions: NDArray[np.float32]

    def save(self, path: Path) -> None:
        np.savez(path, **{item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises CheckpointError when the file cannot be read or lacks something."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{item.name: stored[item.name] for item in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise CheckpointError(f"reference answers {path} cannot be read: {error}") from error


@dataclass(frozen=True)
class PartCheck:
    """How far one part was from the plain network at most. max_error_rad: of the head, in joint angles; NaN of the encoder."""

    part: str
    precision: str
    inputs: int
    max_error: float
    tolerance: float
    max_error_rad: float = float("nan")

    @property
    def passed(self) -> bool:
        return self.max_error <= self.tolerance  # False for NaN

    def __str__(self) -> str:
        angle = "" if np.isnan(self.max_error_rad) else f" ({self.max_error_rad:.2g} rad)"
        return (
            f"{self.part} in {self.precision} differs from the plain network by {self.max_error:.2g}{angle}, "
            f"tolerance {self.tolerance:g}"
        )


def reference_answers(checkpoint: "Checkpoint", plain: "Backend", seed: int = 0) -> ReferenceAnswers:
    """Random pictures, states and noise of ``seed``, one sentence, and the answers of ``plain`` (both parts, float32)."""
    rng = np.random.default_rng(seed)
    config, views = checkpoint.config, len(checkpoint.embodiment.cameras)
    head, side = config.head, config.vision.image_size
    prompt = checkpoint.prompt.encode(_SENTENCE, views)
    pixels = rng.uniform(-1, 1, (INPUTS, views, 3, side, side)).astype(np.float32)
    state = rng.uniform(-1, 1, (INPUTS, 1, head.state_dim)).astype(np.float32)
    noise = rng.normal(size=(INPUTS, head.horizon, head.action_dim)).astype(np.float32)
    noise[0] = 0
    ids, mask = (np.tile(part, (INPUTS, 1)) for part in (prompt.input_ids, prompt.attention_mask))
    features = np.stack([plain.encode(pixels[n, None], ids[n, None], mask[n, None]) for n in range(INPUTS)])
    actions = [plain.act(plain.context(features[n], mask[n] > 0), state[n], noise[n]) for n in range(INPUTS)]
    return ReferenceAnswers(pixels, ids, mask, state, noise, features, np.stack(actions))


def check_part(
    backend: "Backend", part: str, precision: str, checkpoint: "Checkpoint", reference: ReferenceAnswers
) -> PartCheck:
    """part: 'encoder', 'head', or 'staggered', whose inputs are then in flight together; each on the reference's own inputs, so
    that one's error is not counted for the other."""
    if part == "encoder":
        pixels, ids, mask = reference.pixel_values, reference.input_ids, reference.mask
        got = np.stack([backend.encode(pixels[n, None], ids[n, None], mask[n, None]) for n in range(INPUTS)])
        return check_features(precision, list(got), list(reference.features))
    contexts = [backend.context(reference.features[n], reference.mask[n] > 0) for n in range(INPUTS)]
    if part == "staggered":
        assert isinstance(backend, SteppingBackend), "a part of backends that can make single steps"
        got = staggered_actions(backend, contexts, reference.state, reference.noise)
    else:
        got = np.stack([backend.act(contexts[n], reference.state[n], reference.noise[n]) for n in range(INPUTS)])
    return check_actions(part, precision, checkpoint, got, reference.actions)


def check_features(
    precision: str, got: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]]
) -> PartCheck:
    """Features (S, D) that an encoder gave beside those it should have given; S may be another for each input."""
    given, expected = np.concatenate(got), np.concatenate(wanted)
    error = _largest(given - expected) / float(np.sqrt(np.square(expected).mean()))
    return PartCheck("encoder", precision, len(got), error, TOLERANCES["encoder"][precision])


def check_actions(
    part: str, precision: str, checkpoint: "Checkpoint", got: NDArray[np.float32], wanted: NDArray[np.float32]
) -> PartCheck:
    """Normalised actions (N, T, A) that a head gave beside those it should have given."""
    sizes = checkpoint.config.head
    joints = StateActionTransform(checkpoint.embodiment, checkpoint.statistics, sizes.state_dim, sizes.action_dim)
    used = joints.action_mask
    radians = _largest(joints.decode_actions(got) - joints.decode_actions(wanted))
    error = _largest(got[..., used] - wanted[..., used])
    return PartCheck(part, precision, len(got), error, TOLERANCES[part][precision], radians)


def head_inputs(checkpoint: "Checkpoint", tokens: tuple[int, ...], seed: int = 0) -> list[tuple[NDArray, ...]]:
    """Random features and mask of so many tokens each, state and noise: to ask a head that has no encoder beside it."""
    sizes, rng = checkpoint.config.head, np.random.default_rng(seed)
    return [
        (
            rng.normal(size=(count, sizes.cross_dim)).astype(np.float32),
            np.ones(count, np.bool_),
            rng.uniform(-1, 1, (1, sizes.state_dim)).astype(np.float32),
            rng.normal(size=(sizes.horizon, sizes.action_dim)).astype(np.float32),
        )
        for count in tokens
    ]


def encoder_inputs(checkpoint: "Checkpoint", seed: int = 0) -> list[tuple[NDArray, ...]]:
    """Random pictures (1, V, 3, H, W), each with ids and mask (1, S) of a sentence; S is another in turn where it may be."""
    rng, views, side = (
        np.random.default_rng(seed),
        len(checkpoint.embodiment.cameras),
        checkpoint.config.vision.image_size,
    )
    prompts = [checkpoint.prompt.encode(sentence, views) for sentence in (_SENTENCE, "")] * (INPUTS // 2)
    return [
        (
            rng.uniform(-1, 1, (1, views, 3, side, side)).astype(np.float32),
            prompt.input_ids[None],
            prompt.attention_mask[None],
        )
        for prompt in prompts
    ]


def _largest(difference: NDArray[np.floating]) -> float:
    return float(np.abs(difference).max())  # NaN stays NaN
