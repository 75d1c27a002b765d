# SPDX-License-Identifier: Apache-2.0
"""New words are learnt without forgetting the known ones, and without them a sentence that is spelt too long is refused."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import SENTENCE, save_small_checkpoint
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.config import preset
from gr00t_policy.model.tokenizer import CompactPrompt, train_tokenizer
from gr00t_policy.model.vla import Vla, build_vla
from gr00t_policy.training import train
from gr00t_policy.training.config import StageConfig, TrainConfig
from gr00t_policy.training.new_words import with_new_words

SHIPPED = Path(__file__).parents[4] / "models" / "gr1_tabletop_tiny"
KNOWN = ["put the red can into the blue bin", "lift the brown box with both hands"]
NEW = ["wipe the table with the sponge", "put the lid on the jar, then turn it"]
LATER = ["pour the beads into the white bowl", "spread the sponges out"]
NEW_WORDS = {"wipe", "table", "sponge", "lid", "on", "jar", "then", "turn", "it"}

Learnt = tuple[Vla, Tokenizer]


@pytest.fixture(scope="module")
def before() -> Learnt:
    return build_vla(preset("tiny"), 0).eval(), train_tokenizer(KNOWN)


@pytest.fixture(scope="module")
def after(before) -> Learnt:
    return with_new_words(build_vla(preset("tiny"), 0).eval(), before[1], NEW)


@pytest.fixture(scope="module")
def later(before, after) -> Learnt:
    return with_new_words(copy.deepcopy(after[0]), after[1], LATER)


@pytest.fixture(scope="module")
def shipped() -> Learnt:
    checkpoint = load_checkpoint(SHIPPED)
    return checkpoint.load_weights(), checkpoint.prompt.tokenizer


def ids(learnt: Learnt, sentence: str) -> list[int]:
    return CompactPrompt(learnt[1], learnt[0].config).encode(sentence).input_ids.tolist()


def encoded(learnt: Learnt, sentence: str) -> torch.Tensor:
    model, tokenizer = learnt
    prompt = CompactPrompt(tokenizer, model.config).encode(sentence)
    tokens, mask = (torch.from_numpy(part)[None] for part in (prompt.input_ids, prompt.attention_mask))
    with torch.no_grad():
        return model.encode(torch.zeros(1, 1, 3, 112, 112), tokens, mask)


def assert_the_same(one: Learnt, other: Learnt, sentence: str) -> None:
    assert ids(one, sentence) == ids(other, sentence)
    torch.testing.assert_close(encoded(one, sentence), encoded(other, sentence), rtol=0, atol=0)


@pytest.mark.parametrize("sentence", [*KNOWN, "", "both red hands", "zzz? É", "drill"])
def test_text_without_new_words_means_the_same_to_the_bit_though_the_new_data_do_not_say_it(
    before, after, later, sentence
):
    assert_the_same(after, before, sentence)
    assert_the_same(later, before, sentence)


@pytest.mark.parametrize("sentence", NEW)
def test_words_learnt_second_leave_those_learnt_first_as_they_were(after, later, sentence):
    assert_the_same(later, after, sentence)


def test_new_words_are_whole_and_begin_as_the_mean_of_their_pieces(before, after):
    (old_model, old), (model, new) = before, after
    known, rows = old.get_vocab(), model.backbone.language.embed_tokens.weight
    assert {token.removeprefix("Ġ") for token in new.get_vocab().keys() - known} == NEW_WORDS
    assert len(new.encode(NEW[0]).ids) == len(NEW[0].split())
    pieces = old.encode("sponge").ids
    assert len(pieces) > 1
    before_rows = old_model.backbone.language.embed_tokens.weight
    torch.testing.assert_close(rows[new.token_to_id("Ġsponge")], before_rows[pieces].mean(dim=0))


def test_a_full_word_table_grows_by_the_new_words_and_all_else_in_the_network_stays(shipped):
    model, tokenizer = shipped
    assert tokenizer.get_vocab_size() == model.config.language.vocab, "the shipped checkpoint has no row free"
    larger, extended = with_new_words(model, tokenizer, ["whisk the dough with the ladle"])
    new = extended.get_vocab().keys() - tokenizer.get_vocab()
    assert new == {"Ġwhisk", "Ġdough", "Ġladle"}
    assert larger.config.language.vocab == model.config.language.vocab + 3
    weights = larger.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name][: len(value)] if value.ndim else weights[name], value, rtol=0, atol=0)
    for sentence in ("put the red can into the blue bin", "push the green cube to the yellow zone"):
        assert_the_same((larger, extended), shipped, sentence)
    assert len(extended.encode("put the red can into the blue bin").ids) == 8


def test_words_that_are_whole_already_change_nothing(before):
    model, tokenizer = with_new_words(before[0], before[1], KNOWN[::-1])
    assert model is before[0] and tokenizer.get_vocab() == before[1].get_vocab()


def test_a_published_network_keeps_its_words(before):
    published = build_vla(replace(preset("tiny"), prompt_template="eagle2", text_first=False), 0)
    with pytest.raises(ConfigError, match=r"compact prompt, this one has 'eagle2'.*leave new words out"):
        with_new_words(published, before[1], NEW)


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
    start = load_checkpoint(tmp_path / "before").prompt
    np.testing.assert_array_equal(prompt.encode(SENTENCE).input_ids, start.encode(SENTENCE).input_ids)
