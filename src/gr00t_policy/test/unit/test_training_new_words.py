# SPDX-License-Identifier: Apache-2.0
"""New words are learnt without forgetting the known ones."""

import pytest
import torch

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import preset
from gr00t_policy.model.tokenizer import CompactPrompt, train_tokenizer
from gr00t_policy.model.vla import build_vla
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
