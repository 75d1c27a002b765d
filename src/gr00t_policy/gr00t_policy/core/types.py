# SPDX-License-Identifier: Apache-2.0
"""The five nouns of the suite as plain data: no ROS, no torch, no clock.

All joint vectors are in the order of an ``Embodiment`` and in its *model convention*: radians, hands positive when
closing. Stamps are integer nanoseconds of the clock that stamps the messages (never the steady clock).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Observation:
    """What the policy may know at one instant.

    images: camera name -> (H, W, 3) uint8 RGB. state: (J,) joint positions of the policy's joints [rad].
    image_stamp_ns / state_stamp_ns: when the world was sampled.
    """

    images: dict[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    instruction: str
    image_stamp_ns: int = 0
    state_stamp_ns: int = 0


@dataclass(frozen=True)
class ConditioningTokens:
    """What System 2 gives to System 1: features (S, D) float32 with mask (S,) bool (True = real token).

    stamp_ns: when the encoded image was taken. stage_s: seconds spent per stage, by stage name.
    """

    features: NDArray[np.float32]
    mask: NDArray[np.bool_]
    stamp_ns: int
    sequence: int = 0
    instruction: str = ""
    instruction_id: int = 0
    checkpoint_hash: str = ""
    embodiment: str = ""
    stage_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionChunk:
    """Joint position targets on an absolute time line: step i belongs to ``stamp_ns + i * step_dt_s``.

    positions: (T, J) [rad], columns as ``joint_names``. state_stamp_ns: the joint state it was computed from.
    """

    stamp_ns: int
    step_dt_s: float
    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]
    chunk_id: int = 0
    tokens_sequence: int = 0
    tokens_stamp_ns: int = 0
    state_stamp_ns: int = 0
    seed: int = 0
    inference_s: float = 0.0


@dataclass(frozen=True)
class JointCommand:
    """One joint position target (J,) [rad], to be reached at ``stamp_ns``."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]
