# SPDX-License-Identifier: Apache-2.0
"""What the loop computes beside the gradient: averaged weights by their formula, and steps in bfloat16."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_checkpoint import save_small_checkpoint
from training_runs import Weights, apart, curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training import finetune
from gr00t_policy.training.finetune import FinetuneConfig
from gr00t_policy.training.loop import TrainingRun


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> FinetuneConfig:
    torch.set_num_threads(1)
    folder, robot, rng = tmp_path_factory.mktemp("arithmetic"), load_embodiment("gr1"), np.random.default_rng(0)
    with LeRobotWriter(folder / "recorded", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        joints = rng.normal(0, 0.01, (25, len(robot.policy_joints))).cumsum(axis=0)
        pictures = rng.integers(0, 256, (24, 56, 56, 3), np.uint8)
        writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, "sort the bolts")
        writer.finish()
    return FinetuneConfig(
        dataset=folder / "recorded", init=save_small_checkpoint(folder / "init"), out=folder / "last", steps=5, batch=4,
        lr=1e-3, threads=1, log_every=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(start) -> FinetuneConfig:
    finetune.run(start)
    return start


def copied(model: torch.nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("decay", [0.9, 0.2])
def test_what_is_saved_is_the_average_of_the_weights_after_each_step(plain, tmp_path, monkeypatch, decay):
    ended: list[Weights] = []
    saved: list[Weights] = []
    one_step, save = TrainingRun._optimise, finetune.save_result

    def watched(self, *arguments):
        if not ended:
            ended.append(copied(self.model))
        line = one_step(self, *arguments)
        ended.append(copied(self.model))
        return line

    def kept(training, *rest: Any) -> Path:
        saved.append(copied(training.result()))
        return save(training, *rest)

    monkeypatch.setattr(TrainingRun, "_optimise", watched)
    monkeypatch.setattr(finetune, "save_result", kept)
    finetune.run(replace(plain, out=tmp_path / "averaged", ema_decay=decay))
    (result,), (average, *after) = saved, ended
    for step, now in enumerate(after):
        share = min(decay, (1 + step) / (10 + step))
        average = {name: share * average[name] + (1 - share) * now[name] for name in now}
    for name, value in result.items():
        torch.testing.assert_close(value, average[name], rtol=1e-5, atol=1e-7, msg=name)
    start, last = weights(plain.init), weights(plain.out / "checkpoint")
    assert apart(last, copied_as_stored(after[-1]), start) < 1e-3, "averaging does not change what is learnt"
    assert apart(last, weights(tmp_path / "averaged" / "checkpoint"), start) > 0.02, "and is not the last weights"


def copied_as_stored(values: Weights) -> Weights:
    return {name: value.bfloat16().float() for name, value in values.items()}


def test_a_run_in_bfloat16_computes_in_it_keeps_float32_weights_and_learns_the_same(plain, tmp_path):
    seen: set[torch.dtype] = set()
    kept: set[torch.dtype] = set()

    def look(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, torch.nn.Linear) and module.training:
            seen.add(output.dtype)
            kept.add(module.weight.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        finetune.run(replace(plain, out=tmp_path / "half", mixed_precision=True))
    finally:
        hook.remove()
    assert seen == {torch.bfloat16} and kept == {torch.float32}
    whole, half = curve(plain.out), curve(tmp_path / "half")
    assert [line["step"] for line in half] == [1, 2, 3, 4, 5]
    assert [line["flow"] for line in half] == pytest.approx([line["flow"] for line in whole], rel=0.02)
    assert [line["flow"] for line in half] != [line["flow"] for line in whole]
    ended = weights(plain.out / "checkpoint"), weights(tmp_path / "half" / "checkpoint")
    assert 0 < apart(*ended, weights(plain.init)) < 0.5
