# SPDX-License-Identifier: Apache-2.0
"""What the loop computes beside the gradient: averaged weights by their formula, steps in bfloat16, what is kept and read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_checkpoint import save_small_checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from training_runs import Weights, apart, curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training import finetune, loop
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


class Copies(TorchDispatchMode):
    """Counts the bytes of tensors that are copied on their own device."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.clone.default:
            self.made += given.numel() * given.element_size()
        return given


@pytest.fixture
def kept_runs(plain, tmp_path, monkeypatch) -> Callable[[], TrainingRun]:
    """Gives a run of two steps, averaged; each time it is asked for, the folder is resumed from anew."""
    runs: list[TrainingRun] = []
    monkeypatch.setattr(finetune, "save_result", lambda run, saving: runs.append(run) or run.config.out)
    config = replace(plain, out=tmp_path / "kept", steps=2, ema_decay=0.5)

    def run() -> TrainingRun:
        finetune.run(config)
        return runs[-1]

    return run


def test_a_result_takes_no_second_network_on_the_device_of_the_training(kept_runs):
    run = kept_runs()
    with Copies() as copies:
        result = run.result()
    held = sum(value.numel() * value.element_size() for value in run.average.values())
    assert copies.made < held / 100
    for name, value in result.state_dict().items():
        assert torch.equal(value, run.average[name]) and value.data_ptr() != run.average[name].data_ptr(), name


def test_a_resume_point_is_read_on_the_cpu_wherever_the_training_is_and_comes_back_to_the_bit(kept_runs, monkeypatch):
    asked: list[str] = []

    def read(path: Path, device: str) -> Weights:
        asked.append(device)
        return load_file(path)

    monkeypatch.setattr(loop, "load_file", read)
    before, after = kept_runs(), kept_runs()
    after._device = torch.device("cuda")
    after._resume()
    assert asked == ["cpu", "cpu"]
    assert after.step == 2
    moments = [run._optimiser.state_dict()["state"] for run in (before, after)]
    assert len(moments[0]) > 50
    for index, state in moments[0].items():
        assert set(state) == set(moments[1][index]) == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(value, moments[1][index][key]) for key, value in state.items())
    for kept, read_back in ((before.model.state_dict(), after.model.state_dict()), (before.average, after.average)):
        assert all(torch.equal(value, read_back[name]) for name, value in kept.items())
