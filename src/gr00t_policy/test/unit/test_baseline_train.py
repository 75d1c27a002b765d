# SPDX-License-Identifier: Apache-2.0
"""Training of a Diffusion Policy: from a dataset to a checkpoint, and a stopped run ends like one that was not stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_diffusion import made_batch, small_diffusion_config
from training_runs import curve

from gr00t_policy.baseline import train
from gr00t_policy.baseline.checkpoint import load_diffusion_checkpoint
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.baseline.objective import NoiseObjective
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training.learnt_data import learnt_entry


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory) -> Path:
    """Two episodes of a slow motion of all joints."""
    torch.set_num_threads(1)
    root, embodiment = tmp_path_factory.mktemp("data") / "demos", load_embodiment("gr1")
    with LeRobotWriter(root, embodiment, image_sizes={"ego_view": (56, 56)}) as writer:
        for episode in range(2):
            times = np.arange(20)[:, None] * 0.01 * np.ones((1, len(embodiment.policy_joints)))
            frames = np.full((20, 56, 56, 3), 50 * episode, np.uint8)
            writer.add_episode(times, times + 0.01, {"ego_view": frames}, f"put can {episode} into the bin")
        writer.finish()
    return root


def config_for(demonstrations: Path, out: Path, **changes) -> train.DiffusionTrainConfig:
    config = train.DiffusionTrainConfig(
        datasets=(demonstrations,),
        out=out,
        steps=4,
        images_per_step=2,
        samples_per_image=2,
        image_size=56,
        warmup_steps=1,
        threads=1,
        save_every=2,
        log_every=1,
    )
    return replace(config, **changes)


def test_a_run_continued_after_a_stop_ends_like_one_that_was_not_stopped(demonstrations, tmp_path, monkeypatch):
    train.run(config_for(demonstrations, tmp_path / "whole"))
    one_step = train.TrainingRun._optimise

    class StoppedError(Exception):
        pass

    def until_three(self, *arguments):
        if self.step == 3:
            raise StoppedError
        return one_step(self, *arguments)

    cut = config_for(demonstrations, tmp_path / "cut")
    with monkeypatch.context() as stopped:
        stopped.setattr(train.TrainingRun, "_optimise", until_three)
        with pytest.raises(StoppedError):
            train.run(cut)
    with pytest.raises(ConfigError, match="a run with another lr"):
        train.run(replace(cut, lr=3e-4))
    train.run(cut)
    whole, resumed = (load_diffusion_checkpoint(tmp_path / name / "checkpoint") for name in ("whole", "cut"))
    states = [checkpoint.load_weights().state_dict() for checkpoint in (whole, resumed)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert resumed.card["steps"] == 4 and resumed.card["recipe"] == "diffusion_policy"
    assert resumed.card["datasets"] == [learnt_entry(LeRobotDataset(demonstrations))]
    entry = {"name": "demos", "episodes": 2, "frames": 40, "held_out": []}
    assert resumed.card["datasets"][0].items() >= entry.items()
    assert resumed.config.crop_fraction == 0.9, "pictures are cut at random places, as published"
    logs = [curve(tmp_path / name) for name in ("whole", "cut")]
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4], "the third step was taken twice and counts once"
    assert [line["noise"] for line in logs[1]] == pytest.approx([line["noise"] for line in logs[0]], rel=1e-5)
    line = logs[0][-1]
    assert line["step"] == 4 and 0.1 < line["noise"] < 10 and "flow" not in line
    assert (tmp_path / "cut" / "loss.png").stat().st_size > 1000


def test_the_two_halves_of_the_network_are_all_that_learns():
    model = build_diffusion_policy(small_diffusion_config(), 0)
    inside = {id(p) for part in (model.backbone, model.head) for p in part.parameters()}
    assert {id(p) for p in model.parameters()} == inside


def test_it_learns_from_demonstrations_alone_and_says_so():
    objective = NoiseObjective(build_diffusion_policy(small_diffusion_config(), 0), mixed_precision=False)
    with pytest.raises(ConfigError, match="demonstrations alone"):
        objective(None, None, made_batch(), 0.0)
    with pytest.raises(ConfigError, match="frozen names vision"):
        objective.freeze(("vision",))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"datasets": ()}, "dataset"),
        ({"images_per_step": 0}, "images_per_step"),
        ({"lr": 0}, "rate"),
        ({"sample_steps": 16}, "1, 2, 4, 5"),
        ({"crop_fraction": 1.2}, "crop must be"),
    ],
)
def test_a_run_that_cannot_learn_is_refused(demonstrations, tmp_path, change, named):
    with pytest.raises(ConfigError, match=named):
        config_for(demonstrations, tmp_path, **change)
