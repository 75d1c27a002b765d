# SPDX-License-Identifier: Apache-2.0
"""A Diffusion Policy's checkpoint: it acts as it did before it was saved, and what is no such checkpoint is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import SENTENCE, noise_observation, save_small_checkpoint, unit_statistics
from small_diffusion import save_random_diffusion_policy

from gr00t_policy.baseline.backend import DiffusionBackend
from gr00t_policy.baseline.checkpoint import (
    is_diffusion_policy,
    load_diffusion_checkpoint,
    save_diffusion_checkpoint,
)
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.runtime.backends import open_checkpoint
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.signal_stack import signal_stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return save_random_diffusion_policy(tmp_path_factory.mktemp("baseline") / "checkpoint")


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "checkpoint"))


def chunk_of(folder: Path, seed: int = 0, sentence: str = SENTENCE, **options) -> np.ndarray:
    checkpoint = load_diffusion_checkpoint(folder, "gr1")
    policy = Gr00tPolicy(checkpoint, DiffusionBackend(checkpoint, **options), seed=seed)
    observation = replace(noise_observation(), instruction=sentence)
    policy.accept(policy.encode(observation))
    return policy.act(observation.state, observation.state_stamp_ns).positions


def test_a_checkpoint_read_and_written_again_gives_the_same_chunk(folder, tmp_path):
    read = load_diffusion_checkpoint(folder)
    tokenizer = train_tokenizer([SENTENCE])
    again = tmp_path / "again"
    hash_again = save_diffusion_checkpoint(
        again, read.load_weights(), read.embodiment, read.statistics, tokenizer, read.card
    )
    assert hash_again == read.hash
    np.testing.assert_array_equal(chunk_of(folder, engine="torch"), chunk_of(again, engine="torch"))


def test_the_compiled_sampler_gives_the_chunk_of_the_plain_one(folder):
    plain, compiled = (chunk_of(folder, engine=engine, sample_steps=2) for engine in ("torch", "openvino"))
    assert plain.shape == (16, 29) and np.isfinite(plain).all()
    np.testing.assert_allclose(compiled, plain, atol=1e-3)


def test_the_seed_decides_the_chunk(folder):
    first, same, other = (chunk_of(folder, seed, engine="torch", sample_steps=1) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_steps_that_do_not_divide_those_of_training_and_unknown_engines_are_refused(folder):
    checkpoint = load_diffusion_checkpoint(folder)
    for steps in (0, 16, 101):
        with pytest.raises(ConfigError, match=f"sample_steps is {steps}; .*1, 2, 4, 5, 10, 20, 25, 50, 100"):
            DiffusionBackend(checkpoint, sample_steps=steps)
    with pytest.raises(ConfigError, match="engine 'onnx' is unknown"):
        DiffusionBackend(checkpoint, "onnx")


def test_what_serves_gr00t_networks_refuses_it_by_name(folder):
    with pytest.raises(CheckpointError, match="is a Diffusion Policy.*gr00t eval"):
        open_checkpoint(str(folder), "gr1")  # as planner and controller open theirs


def test_a_gr00t_checkpoint_is_none_of_these(tmp_path):
    ours = save_small_checkpoint(tmp_path / "ours")
    assert not is_diffusion_policy(ours) and load_checkpoint(ours).config.head.horizon == 16
    with pytest.raises(CheckpointError, match="config.json: model_type is None"):
        load_diffusion_checkpoint(ours)


def test_another_robot_is_refused(folder):
    with pytest.raises(CheckpointError, match="trained for embodiment 'gr1', not 'g1'"):
        load_diffusion_checkpoint(folder, "g1")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "manifest.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_diffusion_checkpoint(copy)


def test_a_changed_file_is_named(copy):
    data = json.loads((copy / "config.json").read_text())
    data["schedule"]["sample_steps"] = 5
    (copy / "config.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"damaged: config\.json"):
        load_diffusion_checkpoint(copy)


def test_a_network_for_another_number_of_joints_is_refused_before_it_is_written(folder, tmp_path):
    model = load_diffusion_checkpoint(folder).load_weights()
    robot = load_embodiment("gr1_arms_only")
    with pytest.raises(CheckpointError, match="the network is for 58, 29 and 1"):
        save_diffusion_checkpoint(
            tmp_path / "arms", model, robot, unit_statistics(robot), train_tokenizer([SENTENCE]), {}
        )
    assert not (tmp_path / "arms").exists()


def test_without_a_sentence_it_acts_on_what_it_sees(folder):
    told, untold = (chunk_of(folder, sentence=text, engine="torch", sample_steps=1) for text in (SENTENCE, ""))
    assert np.isfinite(untold).all() and np.abs(told - untold).max() > 1e-4


def test_its_engine_leaves_the_signal_stack_of_the_thread_that_made_it(folder):
    before = signal_stack()
    checkpoint = load_diffusion_checkpoint(folder, "gr1")
    DiffusionBackend(checkpoint, engine="openvino", sample_steps=2)
    after = signal_stack()
    assert (after.address, after.flags, after.size) == (before.address, before.flags, before.size)
