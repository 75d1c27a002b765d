# SPDX-License-Identifier: Apache-2.0
"""A whole checkpoint of a few layers with random weights, for tests of what runs a network rather than of the network."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.types import Observation
from gr00t_policy.data.statistics import KeyStatistics, Statistics
from gr00t_policy.model.checkpoint import save_checkpoint
from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.model.vla import build_vla

SENTENCE = "pick up the red can"


def small_config(instruction_tokens: int = 24) -> ModelConfig:
    """One vision and language layer, two blocks in the head; random weights already act (no zero initialisation)."""
    config = preset("tiny")
    vision = replace(config.vision, layers=1)
    head = replace(config.head, layers=2, zero_init=False)
    return replace(config, vision=vision, head=head, select_layer=1, instruction_tokens=instruction_tokens)


def unit_statistics(embodiment: Embodiment) -> Statistics:
    """As if every joint had been recorded between its limits."""
    groups = {}
    for name, part in embodiment.policy_slices.items():
        joints = embodiment.policy_joints[part]
        low, high = np.array([j.lower_rad for j in joints]), np.array([j.upper_rad for j in joints])
        middle = (low + high) / 2
        groups[name] = KeyStatistics(min=low, max=high, mean=middle, std=high - middle, q01=low, q99=high)
    return Statistics(embodiment.name, groups, groups)


def save_small_checkpoint(folder: Path, config: ModelConfig | None = None, seed: int = 0) -> Path:
    """Write it for the GR-1 and return its folder."""
    robot = load_embodiment("gr1")
    model = build_vla(config or small_config(), seed)
    save_checkpoint(folder, model, robot, unit_statistics(robot), train_tokenizer([SENTENCE]), {}, dtype="float32")
    return folder


def noise_observation(seed: int = 0) -> Observation:
    """A picture of noise, a pose, a sentence."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (224, 224, 3), np.uint8)
    state = rng.uniform(-0.2, 0.2, 29).astype(np.float32)
    return Observation({"ego_view": image}, state, SENTENCE, image_stamp_ns=1_000, state_stamp_ns=2_000)
