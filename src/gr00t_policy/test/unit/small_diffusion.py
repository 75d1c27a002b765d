# SPDX-License-Identifier: Apache-2.0
"""Small Diffusion Policies: one without a robot, for laws of the network, and one with random weights for the GR-1."""

from pathlib import Path

import torch
from small_checkpoint import SENTENCE, unit_statistics

from gr00t_policy.baseline.checkpoint import save_diffusion_checkpoint
from gr00t_policy.baseline.config import (
    DenoiserConfig,
    DiffusionConfig,
    EyeConfig,
    ScheduleConfig,
    SentenceConfig,
    diffusion_config,
    features_width,
)
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.model.tokenizer import train_tokenizer


def small_diffusion_config(**head) -> DiffusionConfig:
    """Four state and three action numbers, eight steps, pictures of 32 pixels."""
    vision = EyeConfig(image_size=32, width=8, stages=2, points=4, groups=4)
    sentence = SentenceConfig(vocab=300, embedding=8, width=8, window=6)
    sizes = {"horizon": 8, "width": 16, "levels": 2, "groups": 4, "time_width": 16, **head}
    denoiser = DenoiserConfig(4, 3, features_width(1, vision, sentence), **sizes)
    return DiffusionConfig(vision, sentence, denoiser, ScheduleConfig())


def made_batch(pictures: int = 2, samples: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random pictures, sentences and actions for ``small_diffusion_config``."""
    generator = torch.Generator().manual_seed(seed)
    rows = pictures * samples
    return {
        "pixel_values": torch.rand(pictures, 1, 3, 32, 32, generator=generator) * 2 - 1,
        "input_ids": torch.randint(4, 300, (pictures, 6), generator=generator),
        "attention_mask": torch.ones(pictures, 6, dtype=torch.long),
        "state": torch.randn(rows, 1, 4, generator=generator),
        "action": torch.rand(rows, 8, 3, generator=generator) * 1.6 - 0.8,
        "action_mask": torch.ones(rows, 8, 3),
        "noise": torch.randn(rows, 8, 3, generator=generator),
        "t": torch.randint(0, 100, (rows,), generator=generator),
    }


def save_random_diffusion_policy(folder: Path, seed: int = 0) -> Path:
    """A checkpoint for the GR-1 at its real size; returns its folder."""
    robot = load_embodiment("gr1")
    config = diffusion_config(robot.encoded_width("state"), robot.encoded_width("action"))
    model = build_diffusion_policy(config, seed)
    save_diffusion_checkpoint(folder, model, robot, unit_statistics(robot), train_tokenizer([SENTENCE]), {"steps": 0})
    return folder
