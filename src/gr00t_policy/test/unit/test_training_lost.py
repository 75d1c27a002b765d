# SPDX-License-Identifier: Apache-2.0
"""A training whose numbers are lost ends at that step with an error, and what it had learnt before stays as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import train_together
from safetensors.torch import load_file, save_file
from small_checkpoint import SENTENCE, save_small_checkpoint
from training_runs import curve

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, TrainingError
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint, save_checkpoint
from gr00t_policy.model.checkpoint_files import file_digest
from gr00t_policy.model.weights import all_finite
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig
from gr00t_policy.training.loop import RESUME, TrainingRun, read_progress
from gr00t_policy.training.run_claim import claimed

STEPS = 5
_STAGE = StageConfig(steps=STEPS, learning_rate=1e-3, images_per_step=4, samples_per_image=1, warmup_steps=1)
_WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from gr00t_policy.core.errors import TrainingError
from gr00t_policy.training import train
from test_training_lost import config_for
data, out, shard = sys.argv[1:]
try:
    train.run(replace(config_for(Path(data), Path(out)), shard=shard == "True", accumulate=2))
except TrainingError as error:
    print(f"LOST {error}")
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """One command of 1e30 rad among 240 rows, as a driver that writes rubbish once leaves it."""
    torch.set_num_threads(1)
    root, robot, rng = tmp_path_factory.mktemp("lost"), load_embodiment("gr1"), np.random.default_rng(0)
    with LeRobotWriter(root / "demos", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        for episode in range(2):
            joints = rng.normal(0, 0.01, (121, len(robot.policy_joints))).cumsum(axis=0)
            if episode == 1:
                joints[-1, 0] = 1e30
            pictures = rng.integers(0, 256, (120, 56, 56, 3), np.uint8)
            writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, SENTENCE)
        writer.finish()
    save_small_checkpoint(root / "init")
    return root


def config_for(data: Path, out: Path) -> TrainConfig:
    """By the statistics of the checkpoint it starts from, in whose units 1e30 rad stay absurd."""
    return TrainConfig(
        datasets=(data / "demos",), initial=data / "init", out=out, stages={"act": _STAGE}, threads=1, save_every=1,
        log_every=1, checkpoint_every=2,
    )  # fmt: skip


def resume_is_whole_at(out: Path) -> int:
    assert all(all_finite(value) for value in load_file(out / RESUME).values())
    return read_progress(out / RESUME).step


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> tuple[Path, str]:
    """Where one process ended, and what it said."""
    out = tmp_path_factory.mktemp("alone") / "run"
    with pytest.raises(TrainingError) as found:
        train.run(config_for(data, out))
    return out, str(found.value)


def test_a_gradient_that_is_no_number_ends_the_run_and_the_last_resume_point_stays(alone, data):
    out, said = alone
    step = resume_is_whole_at(out)
    assert 1 < step < STEPS - 1, "neither at its start nor at its end"
    assert f"step {step + 1}: the gradient is" in said and "data check" in said and "lower learning rate" in said
    assert [line["step"] for line in curve(out)] == list(range(1, step + 1))
    assert np.isfinite([[line["flow"], line["gradient"]] for line in curve(out)]).all()
    load_checkpoint(out / f"checkpoint-{step}").load_weights()  # raises for NaN
    before = file_digest(out / RESUME)
    with pytest.raises(TrainingError, match=f"step {step + 1}: "):
        train.run(config_for(data, out))
    assert file_digest(out / RESUME) == before, "continued it comes to the same step and harms nothing"


@pytest.mark.parametrize("shard", [False, True])
def test_processes_that_train_together_all_end_at_that_step(alone, data, tmp_path, shard):
    """In parts too: the row is in one part of one process."""
    train_together(2, _WORKER, (data, tmp_path / "run", shard), tmp_path)
    step = resume_is_whole_at(alone[0])
    assert resume_is_whole_at(tmp_path / "run") == step
    for rank in range(2):
        assert f"LOST step {step + 1}: the gradient is" in (tmp_path / f"process_{rank}" / "said.txt").read_text()


@pytest.fixture
def overflown(data, tmp_path) -> Callable[..., TrainConfig]:
    """A learning rate with which the first step's weights are beyond float32 although its gradient is not."""
    stage = replace(_STAGE, steps=1, learning_rate=1e39)
    return lambda **changes: replace(config_for(data, tmp_path / "run"), stages={"act": stage}, **changes)


def test_weights_that_are_no_numbers_are_no_resume_point(overflown, tmp_path):
    with pytest.raises(TrainingError, match=r"step 1: \d+ of \d+ tensors, the first of them 'model\..*are not saved"):
        train.run(overflown())
    assert not list((tmp_path / "run").glob(f"*{RESUME}*"))


def test_weights_that_are_no_numbers_are_no_checkpoint(overflown, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingRun, "_save", lambda self: None)
    with pytest.raises(CheckpointError, match="the network is not saved: .* hold NaN or infinity"):
        train.run(overflown())
    assert not list((tmp_path / "run").glob("*checkpoint*")), "and nothing of one is left"


def test_a_checkpoint_stays_when_what_should_replace_it_holds_a_nan(data, tmp_path):
    before = load_checkpoint(save_small_checkpoint(tmp_path / "checkpoint"))
    model = before.load_weights()
    with torch.no_grad():
        model.head.dit.out.bias[0] = torch.nan
    with pytest.raises(CheckpointError, match="1 of .*the first of them 'action_head.model.proj_out_2.bias'"):
        save_checkpoint(before.folder, model, before.embodiment, before.statistics, before.prompt.tokenizer, {})
    assert load_checkpoint(before.folder).hash == before.hash
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_a_resume_point_that_was_lost_before_is_named(alone, data, tmp_path):
    state = load_file(alone[0] / RESUME)
    state["model.head.dit.out.bias"][0] = torch.nan
    config = config_for(data, tmp_path / "run")
    with claimed(config.out, "train", config, config.device):
        save_file(state, config.out / RESUME, {"step": "2", "seconds": "1"})
    with pytest.raises(CheckpointError, match=r"resume.safetensors .*'model.head.dit.out.bias', hold NaN.*remove it"):
        train.run(config)
