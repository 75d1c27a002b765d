# SPDX-License-Identifier: Apache-2.0
"""Checkpoints between the first and the last step: they can be evaluated, do not change the run, and only the newest stay."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forked import Program
from test_training_killed import config_for, write
from training_runs import curve, weights

from gr00t_policy.baseline.train import DiffusionTrainConfig
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import train
from gr00t_policy.training.config import LoopConfig, StageConfig, TrainConfig
from gr00t_policy.training.finetune import FinetuneConfig
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.posttrain import PosttrainConfig

_KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from gr00t_policy.data import durable_folder
from gr00t_policy.training import train
from test_training_killed import config_for

def die(*given):
    os.kill(os.getpid(), signal.SIGKILL)

dataset, out, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
flush_all = durable_folder.flush_all
if moment == "writing":
    durable_folder.flush_all = lambda folder: die() if folder.name == ".checkpoint-4.part" else flush_all(folder)
else:
    durable_folder.remove = lambda folder: die() if folder.name == ".checkpoint-1.removed" else None
train.run(replace(config_for(dataset, out), checkpoint_every=1, keep=2))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return write(tmp_path_factory.mktemp("data") / "bolts", 1)


@pytest.fixture(scope="module")
def plain(dataset, tmp_path_factory) -> TrainConfig:
    """Five steps and no checkpoint before the last."""
    config = config_for(dataset, tmp_path_factory.mktemp("plain") / "run")
    train.run(config)
    return config


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if "checkpoint" in path.name)


def test_the_newest_stay_and_the_run_ends_as_without_them(plain, tmp_path, monkeypatch):
    averages: dict[int, dict[str, torch.Tensor]] = {}
    save = TrainingRun._save

    def noted(self):
        averages[self.step] = {name: value.clone() for name, value in self.average.items()}
        save(self)

    monkeypatch.setattr(TrainingRun, "_save", noted)
    config = replace(plain, out=tmp_path / "run", checkpoint_every=1, keep=2, save_every=1)
    train.run(config)
    assert checkpoints(config.out) == ["checkpoint", "checkpoint-3", "checkpoint-4"]
    for step in (3, 4):
        folder = config.out / f"checkpoint-{step}"
        assert load_checkpoint(folder).card["steps"] == step
        for name, value in weights(folder).items():
            torch.testing.assert_close(
                value, averages[step][name], rtol=1e-2, atol=1e-6, msg=name
            )  # stored in bfloat16
    assert load_checkpoint(folder).hash != load_checkpoint(config.out / "checkpoint-3").hash
    assert load_checkpoint(config.out / "checkpoint").hash == load_checkpoint(plain.out / "checkpoint").hash
    assert [line["flow"] for line in curve(config.out)] == [line["flow"] for line in curve(plain.out)]


def test_none_are_written_unless_they_are_asked_for(plain):
    assert checkpoints(plain.out) == ["checkpoint"]


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("writing", [".checkpoint-4.part", "checkpoint-2", "checkpoint-3"]),
        ("removing", [".checkpoint-1.removed", "checkpoint-2", "checkpoint-3"]),
    ],
)
def test_a_kill_while_one_is_written_or_removed_leaves_whole_ones_and_is_gone_on_from(
    plain, dataset, tmp_path, moment, left
):
    out = tmp_path / "run"
    killed = Program(_KILLED, (dataset, out, moment), tmp_path / "killed")
    assert killed.wait() == -signal.SIGKILL, killed.said
    assert checkpoints(out) == left
    for name in ("checkpoint-2", "checkpoint-3"):
        load_checkpoint(out / name).load_weights()
    train.run(replace(config_for(dataset, out), checkpoint_every=1, keep=2))
    assert checkpoints(out) == ["checkpoint", "checkpoint-3", "checkpoint-4"]
    ended = weights(out / "checkpoint")
    for name, value in weights(plain.out / "checkpoint").items():
        torch.testing.assert_close(ended[name], value, rtol=1e-5, atol=1e-7, msg=name)


def test_how_often_may_change_and_those_of_a_run_that_went_further_do_not_count(plain, tmp_path):
    config = replace(plain, out=tmp_path / "run", checkpoint_every=4)
    (config.out / "checkpoint-900").mkdir(parents=True)
    (config.out / "checkpoint-of-mine").mkdir()
    train.run(replace(config, keep=1))
    there = ["checkpoint", "checkpoint-4", "checkpoint-900", "checkpoint-of-mine"]
    assert checkpoints(config.out) == there
    train.run(replace(config, checkpoint_every=2, keep=3))
    assert checkpoints(config.out) == there, "nothing is left to do"


@pytest.mark.parametrize(("every", "keep"), [(-1, 5), (10, 0)])
def test_what_makes_no_sense_is_refused_by_every_recipe(every, keep, tmp_path):
    here, options = tmp_path, {"checkpoint_every": every, "keep": keep}
    stages = {"joint": StageConfig(steps=1, learning_rate=1e-3)}
    for make in (
        lambda: LoopConfig(out=here, stages=stages, **options),
        lambda: FinetuneConfig(dataset=here, init=here, out=here, **options),
        lambda: DiffusionTrainConfig(datasets=(here,), out=here, **options),
    ):
        with pytest.raises(ConfigError, match=f"checkpoint_every must be 0.*got {every} and {keep}"):
            make()


def test_every_recipe_hands_them_to_the_loop(tmp_path):
    here, options = tmp_path, {"checkpoint_every": 3, "keep": 2}
    loops = (
        FinetuneConfig(dataset=here, init=here, out=here, **options).loop(),
        PosttrainConfig(datasets=(here,), init=here, out=here, **options).loop("posttrain", ()),
        DiffusionTrainConfig(datasets=(here,), out=here, **options).loop(),
    )
    assert [(loop.checkpoint_every, loop.keep) for loop in loops] == [(3, 2)] * 3
