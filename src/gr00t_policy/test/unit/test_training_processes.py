# SPDX-License-Identifier: Apache-2.0
"""Sharing a step out to processes, or to parts one after the other, does not change what is learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import train_together
from small_checkpoint import save_small_checkpoint
from training_runs import apart, assert_same_curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import finetune
from gr00t_policy.training.finetune import FinetuneConfig

_WORKER = """
import sys
from pathlib import Path
from gr00t_policy.training import finetune
dataset, init, out, steps = sys.argv[1:]
config = finetune.FinetuneConfig(
    dataset=Path(dataset), init=Path(init), out=Path(out), steps=int(steps), batch=4, lr=1e-3, threads=1, save_every=2,
    log_every=1,
)
finetune.run(config)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> FinetuneConfig:
    """Two short episodes, a small network, steps of four pictures."""
    torch.set_num_threads(1)
    folder, robot, rng = tmp_path_factory.mktemp("processes"), load_embodiment("gr1"), np.random.default_rng(0)
    with LeRobotWriter(folder / "recorded", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        for _ in range(2):
            joints = rng.normal(0, 0.01, (25, len(robot.policy_joints))).cumsum(axis=0)
            pictures = rng.integers(0, 256, (24, 56, 56, 3), np.uint8)
            writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, "sort the bolts")
        writer.finish()
    init = save_small_checkpoint(folder / "init")
    return FinetuneConfig(
        dataset=folder / "recorded",
        init=init,
        out=folder / "whole",
        steps=4,
        batch=4,
        lr=1e-3,
        threads=1,
        save_every=2,
        log_every=1,
    )


@pytest.fixture(scope="module")
def whole(start) -> FinetuneConfig:
    """One process, whole steps."""
    finetune.run(start)
    return start


def assert_the_same(one: Path, other: Path, init: Path) -> None:
    """The same loss and gradient in every step, and weights that are equal but for the order of sums."""
    assert_same_curve(one, other, 4)
    assert apart(weights(one / "checkpoint"), weights(other / "checkpoint"), weights(init)) < 5e-3


def launch(processes: int, config: FinetuneConfig, out: Path, steps: int) -> None:
    # As torchrun and accelerate launch do it, which are started themselves in test_training_twice and test_training_launchers.
    train_together(processes, _WORKER, (config.dataset, config.init, out, steps), out.parent)


def test_two_processes_learn_what_one_learns(whole, tmp_path):
    launch(2, whole, tmp_path / "two", steps=4)
    assert load_checkpoint(tmp_path / "two" / "checkpoint").card["processes"] == 2
    assert_the_same(whole.out, tmp_path / "two", whole.init)


def test_a_step_in_parts_is_the_same_step(whole, tmp_path):
    parts = replace(whole, out=tmp_path / "parts", accumulate=2, tensorboard=True)
    finetune.run(parts)
    assert_the_same(whole.out, parts.out, whole.init)
    assert any((parts.out / "tensorboard").glob("events.out.tfevents.*"))


def test_a_step_that_cannot_be_shared_out_is_refused(start, tmp_path):
    with pytest.raises(ConfigError, match="images_per_step 4 cannot be shared out to 3"):
        finetune.run(replace(start, out=tmp_path / "odd", accumulate=3))


def test_a_device_that_is_not_there_is_refused(start, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError, match="device 'cuda' is not available here"):
        finetune.run(replace(start, out=tmp_path / "gpu", device="cuda"))
