# SPDX-License-Identifier: Apache-2.0
"""New words are learnt without forgetting the known ones, and without them a sentence that is spelt too long is refused."""

import numpy as np
import pytest
import torch
from small_checkpoint import save_small_checkpoint

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.config import preset
from gr00t_policy.model.tokenizer import CompactPrompt, train_tokenizer
from gr00t_policy.model.vla import build_vla
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig
from gr00t_policy.training.new_words import with_new_words

KNOWN = ["put the red can into the blue bin", "lift the brown box with both hands"]
NEW = ["pour the beads into the white bowl"]


@pytest.fixture(scope="module")
def before():
    return build_vla(preset("tiny"), 0), train_tokenizer(KNOWN)


@pytest.fixture(scope="module")
def after(before):
    model = build_vla(preset("tiny"), 0)
    return model, with_new_words(model, before[1], KNOWN + NEW)


def encoded(model, tokenizer, sentence):
    prompt = CompactPrompt(tokenizer, model.config).encode(sentence)
    ids, mask = (torch.from_numpy(part)[None] for part in (prompt.input_ids, prompt.attention_mask))
    with torch.no_grad():
        return model.eval().encode(torch.zeros(1, 1, 3, 112, 112), ids, mask)


@pytest.mark.parametrize("sentence", KNOWN)
def test_known_sentences_mean_the_same_to_the_bit(before, after, sentence):
    torch.testing.assert_close(encoded(*after, sentence), encoded(*before, sentence), rtol=0, atol=0)


def test_new_words_are_whole_and_begin_as_the_mean_of_their_pieces(before, after):
    (old_model, old), (model, new) = before, after
    assert len(old.encode(NEW[0]).ids) > len(new.encode(NEW[0]).ids) == len(NEW[0].split())
    row = model.backbone.language.embed_tokens.weight[new.token_to_id("Ġbeads")]
    pieces = old.encode("beads").ids
    assert len(pieces) > 1
    torch.testing.assert_close(row, old_model.backbone.language.embed_tokens.weight[pieces].mean(dim=0))


def test_there_is_nothing_to_keep_without_a_network_to_start_from(tmp_path):
    with pytest.raises(ConfigError, match="initial"):
        TrainConfig(
            out=tmp_path, datasets=(tmp_path,), stages={"one": StageConfig(steps=1, learning_rate=1e-3)}, new_words=True
        )


UNKNOWN = "shove the green cube over to the yellow zone without lifting it"


def post_training(tmp_path, **changes) -> TrainConfig:
    """One step from a network whose tokenizer knows the words of one sentence, on an episode whose words it does not know."""
    robot = load_embodiment("gr1")
    with LeRobotWriter(tmp_path / "zone", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        rows = np.zeros((12, len(robot.policy_joints)))
        writer.add_episode(rows, rows, {"ego_view": np.zeros((12, 56, 56, 3), np.uint8)}, UNKNOWN)
        writer.finish()
    step = StageConfig(steps=1, learning_rate=1e-3, images_per_step=2, samples_per_image=1, warmup_steps=1)
    initial = save_small_checkpoint(tmp_path / "before")
    return TrainConfig(
        datasets=(tmp_path / "zone",),
        out=tmp_path / "run",
        stages={"joint": step},
        initial=initial,
        threads=1,
        **changes,
    )


def test_words_that_the_start_spells_out_of_its_window_are_refused_and_then_learnt_whole_in_the_same_folder(tmp_path):
    with pytest.raises(ConfigError, match=rf"'{UNKNOWN}' takes \d+ tokens, the network reads 24; .*--new-words"):
        train.run(post_training(tmp_path))
    assert not (tmp_path / "run").exists(), "the next try is with another option"
    (tmp_path / "zone").rename(tmp_path / "seen")
    assert train.run(post_training(tmp_path, new_words=True)) == 0
    prompt = load_checkpoint(tmp_path / "run" / "checkpoint").prompt
    assert not prompt.encode(UNKNOWN).truncated
    assert len(prompt.tokenizer.encode(UNKNOWN).ids) == len(UNKNOWN.split())
