# SPDX-License-Identifier: Apache-2.0
"""Datasets that no network may learn from together are refused before anything is written, by every recipe that takes some."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from released_folder import write_release_folder

from gr00t_policy.baseline import train as baseline
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.valid_rows import VALID
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig

GR1 = load_embodiment("gr1")
TURNED = replace(GR1, policy_groups=tuple(reversed(GR1.policy_groups)))
_STEP = StageConfig(steps=1, learning_rate=1e-3, images_per_step=2, samples_per_image=1, warmup_steps=1)


def write(
    root: Path, robot: Embodiment, *, fps: float = 20.0, valid: bool = True, sentence: str = "put the can into the bin"
) -> Path:
    """Joint number j stands still at j / 100 rad, whatever the order of the columns."""
    sizes = {camera.name: (56, 56) for camera in robot.cameras}
    with LeRobotWriter(root, robot, image_sizes=sizes, fps=fps) as writer:
        place = {joint.name: number / 100 for number, joint in enumerate(GR1.policy_joints)}
        rows = np.tile([place[joint.name] for joint in robot.policy_joints], (12, 1))
        pictures = {name: np.zeros((12, 56, 56, 3), np.uint8) for name in sizes}
        extra = {} if valid else {VALID: np.zeros((12, 1), np.float32)}
        writer.add_episode(rows, rows, pictures, sentence, extra=extra)
        writer.finish()
    return root


def emptied(root: Path) -> Path:
    (root / "meta" / "episodes.jsonl").write_text("")
    info = json.loads((root / "meta" / "info.json").read_text())
    (root / "meta" / "info.json").write_text(json.dumps({**info, "total_episodes": 0, "total_frames": 0}))
    return root


def learn_flow(datasets: tuple[Path, ...], out: Path) -> None:
    train.run(TrainConfig(datasets=datasets, out=out, stages={"joint": _STEP}, image_size=56, threads=1))


def learn_noise(datasets: tuple[Path, ...], out: Path) -> None:
    options = {"steps": 1, "images_per_step": 2, "samples_per_image": 1, "warmup_steps": 1, "threads": 1}
    baseline.run(baseline.DiffusionTrainConfig(datasets=datasets, out=out, image_size=56, **options))


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return write(tmp_path_factory.mktemp("good") / "good", GR1)


SWAPPED = (GR1.joints[1], GR1.joints[0], *GR1.joints[2:])
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another rate": (lambda root: write(root, GR1, fps=10.0), r"bad was recorded at 10 Hz, .* driven at 20 Hz"),
    "another robot's name": (lambda root: write(root, replace(TURNED, name="gr9")), "by 'gr9', .*/good by 'gr1'"),
    "another order of joints": (lambda root: write(root, replace(GR1, joints=SWAPPED)), "another order of joints"),
    "too few groups": (lambda root: write(root, replace(GR1, policy_groups=("waist",))), "no state group left_arm"),
    "no episode": (lambda root: emptied(write(root, GR1)), "lists no episode; record some"),
    "no folder": (lambda root: root, "info.json is missing"),
}  # fmt: skip


@pytest.mark.parametrize("learn", [learn_flow, learn_noise])
@pytest.mark.parametrize("case", BAD)
def test_a_dataset_that_does_not_belong_to_the_others_is_refused(learn, case, good, tmp_path):
    make, said = BAD[case]
    bad = make(tmp_path / "bad")
    for datasets in ((good, bad), (bad,)) if case != "another robot's name" else ((good, bad),):
        with pytest.raises(DatasetError, match=said):
            learn(datasets, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("learn", [learn_flow, learn_noise])
def test_episodes_without_a_valid_row_are_refused(learn, tmp_path):
    with pytest.raises(DatasetError, match="none of their rows is valid"):
        learn((write(tmp_path / "bad", GR1, valid=False),), tmp_path / "out")


@pytest.mark.parametrize("learn", [learn_flow, learn_noise])
def test_a_sentence_that_would_lose_its_end_is_refused_before_the_run_folder_is_made(learn, tmp_path):
    long = "put the can into the bin " * 5  # 30 words, of which the networks read 24
    folder = write(tmp_path / "long", GR1, sentence=long.strip())
    with pytest.raises(ConfigError, match=r"'put the can .* takes 30 tokens, the network reads 24; shorten"):
        learn((folder,), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_the_published_form_is_left_to_the_recipes_made_for_it(good, tmp_path):
    """Its pictures are cut by other arithmetic than is learnt from here, and there is no localiser in it."""
    released = write_release_folder(tmp_path / "released")
    config = TrainConfig(datasets=(good,), initial=released, out=tmp_path / "out", stages={"joint": _STEP}, threads=1)
    with pytest.raises(ConfigError, match="released holds a network of the published form.*--recipe finetune"):
        train.run(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("learn", [learn_flow, learn_noise])
def test_groups_that_are_stored_in_another_order_are_read_by_name(learn, good, tmp_path, monkeypatch):
    seen = []
    module = train if learn is learn_flow else baseline
    monkeypatch.setattr(module, "train_with_progress", lambda training, saving: seen.append(training))
    monkeypatch.setattr(module, "save_result", lambda training, saving: seen.append(saving.statistics))
    learn((good, write(tmp_path / "turned", TURNED)), tmp_path / "out")
    expected = np.arange(len(GR1.policy_joints)) / 100
    for side in (seen[1].state, seen[1].action):
        assert tuple(side) == GR1.policy_groups
        np.testing.assert_allclose(np.concatenate([group.mean for group in side.values()]), expected, atol=1e-6)


def test_statistics_of_groups_in_different_orders_are_refused(good, tmp_path):
    turned = write(tmp_path / "turned", TURNED)
    with pytest.raises(DatasetError, match="turned has groups"):
        statistics_of([LeRobotDataset(good), LeRobotDataset(turned)], "gr1")
