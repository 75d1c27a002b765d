# SPDX-License-Identifier: Apache-2.0
"""Pictures that are only looked at count by their known places among those of the whole step, however the step is shared out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import train_together
from small_checkpoint import save_small_checkpoint
from training_runs import apart, curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.grounding import GOAL_UV, GroundingFacts, save_grounding
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig

STEPS = 4
LOOK = StageConfig(
    steps=STEPS, learning_rate=1e-3, images_per_step=4, samples_per_image=1, looks_per_step=4, scenes_per_step=4,
    warmup_steps=1,
)  # fmt: skip
LOOK_ALONE = replace(LOOK, images_per_step=0)
_WORKER = """
import sys
from pathlib import Path
from gr00t_policy.training import train
from test_training_looking_in_parts import config_for
sys.exit(train.run(config_for(*map(Path, sys.argv[1:]))))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three episodes with labels of both things, of one and of none; scenes in which half of the targets are out of sight."""
    torch.set_num_threads(1)
    root, robot, rng = tmp_path_factory.mktemp("looking"), load_embodiment("gr1"), np.random.default_rng(0)
    with LeRobotWriter(root / "demos", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        for known in (4, 2, 0):
            places = rng.uniform(0.1, 0.9, (20, 4)).astype(np.float32)
            places[:, known:] = np.nan
            joints = rng.normal(0, 0.01, (21, len(robot.policy_joints))).cumsum(axis=0)
            pictures = rng.integers(0, 256, (20, 56, 56, 3), np.uint8)
            writer.add_episode(
                joints[:-1], joints[1:], {"ego_view": pictures}, "pick up the red can", extra={GOAL_UV: places}
            )
        writer.finish()
    places = rng.uniform(0.2, 0.8, size=(16, 1, 4))
    places[::2, :, 2:] = 1.5
    images = rng.integers(0, 255, (16, 112, 112, 3)).astype(np.uint8)
    facts = GroundingFacts((("pick up the red can",),), 0)
    save_grounding(root / "scenes", facts, images, np.zeros((16, 1), int), places)
    save_small_checkpoint(root / "init")
    return root


def config_for(data: Path, out: Path, stage: StageConfig = LOOK, **changes) -> TrainConfig:
    return TrainConfig(
        datasets=(data / "demos",), scenes=data / "scenes", initial=data / "init", out=out, stages={"look": stage},
        threads=1, log_every=1, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """One process, whole steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train.run(config_for(data, out))
    return out


def assert_the_same(one: Path, other: Path, init: Path) -> None:
    """The same places found and the same gradient in every step, and weights that are equal but for the order of sums."""
    for a, b in zip(curve(one), curve(other), strict=True):
        assert b["find_scenes"] == pytest.approx(a["find_scenes"], rel=1e-4), a["step"]
        assert b["gradient"] == pytest.approx(a["gradient"], rel=1e-3), a["step"]
    assert len(curve(one)) == STEPS
    assert apart(weights(one / "checkpoint"), weights(other / "checkpoint"), weights(init)) < 5e-3


@pytest.mark.parametrize("parts", [2, 4])
def test_looks_and_scenes_in_parts_are_those_of_the_whole_step(data, whole, tmp_path, parts):
    train.run(config_for(data, tmp_path / "parts", accumulate=parts))
    assert_the_same(whole, tmp_path / "parts", data / "init")


def test_looks_in_parts_find_as_far_off_as_in_the_whole_step(data, tmp_path):
    for name, parts in (("whole", 1), ("parts", 4)):
        train.run(config_for(data, tmp_path / name, LOOK_ALONE, accumulate=parts))
    assert_the_same(tmp_path / "whole", tmp_path / "parts", data / "init")
    found = [[line["find"] for line in curve(tmp_path / name)] for name in ("whole", "parts")]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_looks_and_scenes_of_two_processes_are_those_of_one(data, whole, tmp_path):
    program = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{_WORKER}"
    train_together(2, program, (data, tmp_path / "two"), tmp_path)
    assert_the_same(whole, tmp_path / "two", data / "init")
