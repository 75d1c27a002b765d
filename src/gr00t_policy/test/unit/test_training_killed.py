# SPDX-License-Identifier: Apache-2.0
"""A training that is killed loses no step and does none twice, and its folder never becomes another training's."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Program
from safetensors.torch import load_file, save_file
from sample_data import to_radians
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig
from gr00t_policy.training.loop import RESUME, read_progress
from gr00t_policy.training.run_log import RunLog

_FIVE_STEPS = StageConfig(steps=5, learning_rate=1e-3, images_per_step=2, samples_per_image=2, warmup_steps=1)
_KILLED = """
import os, signal, sys
from pathlib import Path
import safetensors.torch
from gr00t_policy.training import loop, train
from test_training_killed import config_for

def half_written(tensors, path, metadata):
    safetensors.torch.save_file(tensors, path, metadata)
    if metadata["step"] == "4":
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

loop.save_file = half_written
train.run(config_for(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def write(root: Path, episodes: int, seed: int = 0) -> Path:
    rng, robot = np.random.default_rng(seed), load_embodiment("gr1")
    with LeRobotWriter(root, robot, image_sizes={"ego_view": (56, 56)}) as writer:
        for _ in range(episodes - writer.num_episodes):
            joints = rng.normal(0, 0.01, (21, len(robot.policy_joints))).cumsum(axis=0)
            pictures = rng.integers(0, 256, (20, 56, 56, 3), np.uint8)
            writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, "sort the bolts")
        writer.finish()
    return root


def config_for(dataset: Path, out: Path) -> TrainConfig:
    return TrainConfig(
        datasets=(dataset,), out=out, stages={"joint": _FIVE_STEPS}, image_size=56, threads=1, save_every=2, log_every=1,
        tensorboard=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return write(tmp_path_factory.mktemp("data") / "bolts", 2)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory) -> TrainConfig:
    config = config_for(dataset, tmp_path_factory.mktemp("whole") / "run")
    train.run(config)
    return config


def test_a_process_killed_while_it_saves_is_gone_on_with_to_the_same_weights_and_log(whole, dataset, tmp_path):
    killed = Program(_KILLED, (dataset, tmp_path / "cut"), tmp_path / "killed")
    assert killed.wait() == -signal.SIGKILL, killed.said
    cut = config_for(dataset, tmp_path / "cut")
    assert read_progress(cut.out / RESUME).step == 2, "the resume point before stays whole"
    assert [line["step"] for line in curve(cut.out)] == [1, 2, 3, 4]
    time.sleep(
        1.0
    )  # TensorBoard reads its files in the order of their names, which say the second and then the process
    train.run(cut)
    before, after = curve(whole.out), curve(cut.out)
    assert [line["step"] for line in after] == [1, 2, 3, 4, 5]
    assert [line["flow"] for line in after] == pytest.approx([line["flow"] for line in before], rel=1e-6)
    ended = weights(cut.out / "checkpoint")
    for name, value in weights(whole.out / "checkpoint").items():
        torch.testing.assert_close(ended[name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert not list(cut.out.glob(".*.part"))
    events = EventAccumulator(str(cut.out / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("flow")] == [1, 2, 3, 4, 5]


def test_a_finished_folder_does_not_become_another_training_s(whole, dataset, tmp_path):
    other = write(tmp_path / "other", 1, seed=1)
    before = load_checkpoint(whole.out / "checkpoint")
    for changes, named in (({"seed": 9}, "seed"), ({"datasets": (other,)}, "datasets")):
        with pytest.raises(ConfigError, match=f"holds a run with another {named}"):
            train.run(replace(whole, **changes))
    stage = replace(_FIVE_STEPS, steps=7)
    with pytest.raises(ConfigError, match="holds a run with another stages"):
        train.run(replace(whole, stages={"joint": stage}))
    assert load_checkpoint(whole.out / "checkpoint").hash == before.hash
    train.run(replace(whole, save_every=3, log_every=20))
    assert load_checkpoint(whole.out / "checkpoint").hash == before.hash, "nothing is left to do"


def test_a_dataset_that_was_corrected_or_has_grown_since_is_another_training(tmp_path, capsys):
    dataset = write(tmp_path / "bolts", 1)
    config = replace(config_for(dataset, tmp_path / "run"), stages={"joint": replace(_FIVE_STEPS, steps=1)})
    train.run(config)
    to_radians(dataset / "data" / "chunk-000" / "episode_000000.parquet")
    with pytest.raises(ConfigError, match="learnt from other rows"):
        train.run(config)
    resume = config.out / RESUME
    save_file(load_file(resume), resume, {"step": "1", "seconds": "1", "source": '{"pictures": 10, "frames": 20}'})
    train.run(config)
    assert "cannot be checked" in capsys.readouterr().out, "of a resume point from before rows were noted"
    write(dataset, 2, seed=1)
    with pytest.raises(ConfigError, match=r"learnt from 20 frames \(10 pictures\), now there are 40 \(20\)"):
        train.run(config)


def test_a_log_is_gone_on_with_from_the_resume_point_and_a_torn_line_is_dropped(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.add({"step": step, "stage": "joint", "flow": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "sta')
    RunLog(tmp_path, 2).add({"step": 3, "stage": "joint", "flow": 2.0})
    assert [(line["step"], line["flow"]) for line in curve(tmp_path)] == [(1, 1.0), (2, 1.0), (3, 2.0)]
    RunLog(tmp_path, 0)
    assert curve(tmp_path) == []
    (tmp_path / "log.jsonl").write_text("what is this\n")
    with pytest.raises(CheckpointError, match="log.jsonl cannot be gone on with"):
        RunLog(tmp_path, 2)
