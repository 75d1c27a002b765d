# SPDX-License-Identifier: Apache-2.0
"""What the options of a fine-tuning do not say is as in GR00T N1's public script: the table of ``docs/finetune.md``."""

import inspect
from pathlib import Path

import pytest
import torch

from gr00t_policy.data.transforms import ColourJitter
from gr00t_policy.model.config import preset
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.finetune import FinetuneConfig
from gr00t_policy.training.loop import _groups, _rate
from gr00t_policy.training.objective import Objective

CONFIG = FinetuneConfig(dataset=Path("recorded"), init=Path("init"), out=Path("out"))


def test_options_are_those_of_the_public_script():
    loop = CONFIG.loop()
    (stage,) = loop.stages.values()
    assert (stage.steps, stage.images_per_step, stage.samples_per_image, loop.seed) == (10_000, 16, 1, 42)
    assert (loop.betas, loop.weight_decay, loop.gradient_clip) == ((0.95, 0.999), 1e-5, 1.0)
    assert inspect.signature(torch.optim.AdamW).parameters["eps"].default == 1e-8
    assert (loop.ema_decay, CONFIG.state_noise_rad, CONFIG.offset_share, CONFIG.min_range_rad) == (0, 0, 0, 0)
    assert CONFIG.jitter == 1 and ColourJitter() == ColourJitter().scaled(1.0)
    assert loop.frozen == ("language", "localiser") and loop.accumulate == 1
    on_gpu = FinetuneConfig(dataset=Path("recorded"), init=Path("init"), out=Path("out"), device="cuda").loop()
    assert on_gpu.mixed_precision and not loop.mixed_precision


def test_the_learning_rate_rises_for_a_twentieth_and_falls_to_nothing():
    (stage,) = CONFIG.loop().stages.values()
    rates = [_rate(stage, step) for step in range(stage.steps)]
    assert max(rates) == pytest.approx(1e-4) == pytest.approx(rates[499])
    assert rates[249] == pytest.approx(5e-5) and rates[500 + 9500 // 2] == pytest.approx(5e-5)
    assert rates[-1] < 1e-11


def test_matrices_and_tables_are_decayed_and_neither_biases_nor_norms():
    """The biases that each embodiment has of its own are tables, ``b`` by name, and the public script decays them."""
    with torch.device("meta"):
        model = Vla(preset("tiny"))
    names = {id(value): name for name, value in model.named_parameters()}
    norms = {
        id(module.weight) for module in model.modules() if "Norm" in type(module).__name__ and module.weight is not None
    }
    groups = _groups(Objective(model, mixed_precision=False), CONFIG.weight_decay)
    decayed = {id(p) for group in groups for p in group["params"] if group["weight_decay"]}
    kept = {id(p) for group in groups for p in group["params"] if not group["weight_decay"]}
    assert kept == norms | {key for key, name in names.items() if name.endswith(".bias")}
    assert decayed == set(names) - kept
    tables = {names[key] for key in decayed}
    assert {"head.position_embedding.weight", "head.action_decoder.layer1.b"} <= tables
