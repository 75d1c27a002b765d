# SPDX-License-Identifier: Apache-2.0
"""Training: batches say what they mean, a run resumes to the same result, its checkpoint loads and has learnt."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.frame_cache import build_frame_cache
from gr00t_policy.data.grounding import GroundingFacts, load_grounding, save_grounding
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform
from gr00t_policy.data.valid_rows import VALID
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import train
from gr00t_policy.training.batches import GOAL_UV, DemonstrationBatches, Prompts, streams
from gr00t_policy.training.config import StageConfig, TrainConfig
from gr00t_policy.training.run_claim import claimed

FRAMES = 40
FIND = StageConfig(steps=2, learning_rate=1e-3, images_per_step=0, scenes_per_step=4, warmup_steps=1)
JOINT = StageConfig(
    steps=3, learning_rate=1e-3, images_per_step=2, samples_per_image=2, scenes_per_step=2, warmup_steps=1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two episodes whose frame number can be read from state and action, and sixteen scenes."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("data")
    embodiment = load_embodiment("gr1")
    joints = len(embodiment.policy_joints)
    with LeRobotWriter(root / "demos", embodiment, image_sizes={"ego_view": (56, 56)}) as writer:
        for episode in range(2):
            times = np.arange(FRAMES)[:, None] * 0.01 * np.ones((1, joints))
            valid = np.ones((FRAMES, 1), np.float32)
            valid[20:24] = 0
            writer.add_episode(
                times,
                times + 0.01,
                {"ego_view": np.full((FRAMES, 56, 56, 3), 50 * episode, np.uint8)},
                "put the can into the bin",
                extra={VALID: valid, GOAL_UV: np.full((FRAMES, 4), 0.25 + 0.5 * episode, np.float32)},
            )
        writer.finish()
    rng = np.random.default_rng(0)
    wishes = (("put the can into the bin", "the can goes into the bin"), ("put the cube into the bin",))
    asked = np.tile([0, 1], (16, 1))
    asked[3, 1] = -1
    places = rng.uniform(0.2, 0.8, size=(16, 2, 4))
    images = rng.integers(0, 255, (16, 112, 112, 3)).astype(np.uint8)
    save_grounding(root / "scenes", GroundingFacts(wishes, 0), images, asked, places)
    return root


def config_for(data: Path, out: Path, **changes) -> TrainConfig:
    config = TrainConfig(
        datasets=(data / "demos",),
        scenes=data / "scenes",
        out=out,
        stages={"find": FIND, "joint": JOINT},
        threads=1,
        save_every=1,
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def make_batches(data, tmp_path_factory) -> Callable[..., DemonstrationBatches]:
    embodiment = load_embodiment("gr1")
    dataset = LeRobotDataset(data / "demos")
    image = ImageTransform(56, 1.0)
    cache = build_frame_cache([dataset], "ego_view", image, tmp_path_factory.mktemp("cache"), every=2)

    class OneToken:
        def encode(self, instruction: str, views: int = 1):
            from gr00t_policy.model.tokenizer import Prompt

            return Prompt(np.array([1]), np.array([1]))

    return partial(
        DemonstrationBatches,
        [dataset.episode(i) for i in range(2)],
        [cache],
        StateActionTransform(embodiment, statistics_of([dataset], "gr1"), 64, 32),
        image,
        Prompts(OneToken()),
        jitter=0.0,
        slot=0,
        horizon=16,
        max_image_age_frames=4,
        state_noise_rad=0.0,
    )


@pytest.fixture(scope="module")
def batches(make_batches) -> DemonstrationBatches:
    return make_batches()


def test_pictures_after_a_disturbance_are_drawn_more_often(make_batches):
    plain, weighted = make_batches(), make_batches(recovery_weight=3)
    before, after = 2 * 10, 2 * 10  # of two episodes: every other frame up to 18, and from 20, the disturbance, to 38
    assert len(plain) == before + after
    assert len(weighted) == before + 3 * after


def test_every_action_sample_starts_at_its_state_and_stops_before_a_disturbance(batches):
    batch = batches.draw(streams(0, places=range(64)), 4)
    embodiment_joints = 29
    state = np.arcsin(batch["state"][:, 0, 0]) / 0.01  # frame number, from the first joint's sine
    start = np.round(state).astype(int)
    low, high = 0.0, FRAMES * 0.01
    action = ((batch["action"][:, :, 0] + 1) / 2 * (high - 0.01) + 0.01) / 0.01 - 1
    steps = np.minimum(start[:, None] + np.arange(16), FRAMES - 1)
    np.testing.assert_allclose(action, steps, atol=0.02)
    mask = batch["action_mask"]
    assert not ((start >= 20) & (start < 24)).any(), "a disturbed row starts no chunk"
    first_bad = np.where(start < 20, 20 - start, 10**6)
    np.testing.assert_array_equal(mask[:, :, 0] > 0, np.arange(16) < first_bad[:, None])
    assert (mask[:, :, embodiment_joints:] == 0).all(), "padding is never trained"
    assert low == 0.0


def test_a_picture_is_asked_the_sentence_of_its_row(make_batches):
    """It was asked that of the episode's first row."""
    asked: list[int] = []

    class Listener(Prompts):
        def __call__(self, sentences):
            asked.extend(map(int, sentences))
            return super().__call__(sentences)

    episodes, *others, prompts = make_batches.args
    numbered = [replace(one, sentences=tuple(str(row) for row in range(len(one)))) for one in episodes]
    options = make_batches.keywords | {"max_image_age_frames": 0}  # the state is of the picture's row
    batches = DemonstrationBatches(numbered, *others, Listener(prompts.tokenizer), **options)
    batch = batches.draw(streams(0, places=range(32)), 1)
    rows = np.round(np.arcsin(batch["state"][:, 0, 0]) / 0.01).astype(int)
    assert asked == rows.tolist() and len(set(asked)) > 4


def test_an_offset_moves_state_and_actions_alike(make_batches):
    offset_rad = np.zeros(29)
    offset_rad[0] = 0.2
    batch = make_batches(offset_rad=offset_rad).draw(streams(0, places=range(64)), 2)
    state = np.arcsin(batch["state"][:, 0, :2])
    low, high = 0.01, FRAMES * 0.01
    action = (batch["action"][:, 0, :2] + 1) / 2 * (high - low) + low
    np.testing.assert_allclose(action - state, 0.01, atol=2e-3)
    assert 0.15 < (state[:, 0] - state[:, 1]).std() < 0.25, "the first joint was moved about, the second was not"


def test_localisation_targets_are_in_the_networks_units(batches):
    batch = batches.draw(streams(1, places=range(32)), 1)
    assert set(np.unique(batch["aux_target"])) == {-0.5, 0.5}
    assert (batch["aux_mask"] == 1).all()


def test_pictures_for_looking_alone_are_labelled_like_scenes(batches):
    looks = batches.draw_looks(streams(2, places=range(16)))
    assert set(looks) == {"pixel_values", "input_ids", "attention_mask", "aux_target", "aux_mask"}
    darker = looks["pixel_values"].mean(axis=(1, 2, 3, 4)) < looks["pixel_values"].mean()
    np.testing.assert_array_equal(looks["aux_target"][:, 0], np.where(darker, -0.5, 0.5), "a picture keeps its label")


def test_a_stage_may_train_looking_alone_and_a_curve_that_cannot_be_written_fails_no_run(data, tmp_path, capsys):
    (tmp_path / "run" / "loss.png").mkdir(parents=True)
    look = replace(FIND, scenes_per_step=2, looks_per_step=2, images_per_step=0)
    train.run(config_for(data, tmp_path / "run", stages={"look": look}))
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert "flow" not in log[-1] and {"find", "find_scenes"} <= set(log[-1])
    assert "its curve could not be drawn" in capsys.readouterr().out
    load_checkpoint(tmp_path / "run" / "checkpoint")


def test_scenes_never_speak_of_what_is_not_there(data):
    scenes = load_grounding(data / "scenes")
    rng = np.random.default_rng(0)
    said = {scenes.draw(3, rng)[0] for _ in range(30)}
    assert said == {"put the can into the bin", "the can goes into the bin"}


def test_a_run_continued_after_a_stop_ends_like_one_that_was_not_stopped(data, tmp_path):
    train.run(config_for(data, tmp_path / "whole"))
    cut = config_for(data, tmp_path / "cut")
    original = train.TrainingRun.run

    class StoppedError(Exception):
        pass

    def stop_after_three(self, *told):
        original_save = self._save

        def save():
            original_save()
            if self.step == 3:
                raise StoppedError

        self._save = save
        original(self, *told)

    train.TrainingRun.run = stop_after_three
    try:
        with pytest.raises(StoppedError):
            train.run(cut)
    finally:
        train.TrainingRun.run = original
    train.run(cut)
    whole = load_checkpoint(tmp_path / "whole" / "checkpoint").load_weights().state_dict()
    resumed = load_checkpoint(tmp_path / "cut" / "checkpoint").load_weights().state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-3, atol=1e-4, msg=name)
    assert (tmp_path / "cut" / "loss.png").stat().st_size > 1000
    card = load_checkpoint(tmp_path / "cut" / "checkpoint").card
    assert card["steps"] == 5
    assert all(entry["held_out"] == [] and len(entry["fingerprint"]) == 64 for entry in card["datasets"])
    assert 0.2 < card["peak_memory_gb"]["process"] < 6, "what the suite allows itself"


def test_post_training_starts_from_the_given_checkpoint(data, tmp_path):
    train.run(config_for(data, tmp_path / "first"))
    first = tmp_path / "first" / "checkpoint"
    frozen = replace(JOINT, learning_rate=1e-12)
    train.run(config_for(data, tmp_path / "second", initial=first, stages={"joint": frozen}))
    before = load_checkpoint(first).load_weights().state_dict()
    after = load_checkpoint(tmp_path / "second" / "checkpoint").load_weights().state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-4, rtol=1e-2, msg=name)


def test_a_run_does_not_go_on_with_rows_or_statistics_that_were_changed(make_batches, batches):
    noted = json.loads(json.dumps(batches.state()))
    assert batches.resume(noted) == ""
    with pytest.raises(ConfigError, match="of an older version, which normalised actions also by rows that are not"):
        batches.resume({key: noted[key] for key in ("pictures", "frames")})
    noted["statistics"]["action"]["waist"]["max"][0] *= 1 + 1e-12
    assert batches.resume(noted) == "", "the same, summed up by another processor"
    noted["statistics"]["action"]["waist"]["max"][0] *= 1.01
    with pytest.raises(ConfigError, match=r"normalises action\.waist by other statistics"):
        batches.resume(noted)
    episodes, *others = make_batches.args
    for changes in ({"actions": np.rad2deg(episodes[1].actions)}, {"sentences": ("put it away",) * FRAMES}):
        changed = DemonstrationBatches([episodes[0], replace(episodes[1], **changes)], *others, **make_batches.keywords)
        with pytest.raises(ConfigError, match=r"learnt from other rows.*use another --out"):
            changed.resume(batches.state())


def test_a_damaged_resume_point_is_refused_by_name(data, tmp_path):
    config = config_for(data, tmp_path / "run")
    with claimed(config.out, "train", config, config.device):
        (config.out / "resume.safetensors").write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match="resume.safetensors"):
        train.run(config)


def test_a_stage_that_needs_scenes_refuses_to_go_without(data, tmp_path):
    with pytest.raises(ConfigError, match="grounding set"):
        config_for(data, tmp_path, scenes=None)
