# SPDX-License-Identifier: Apache-2.0
"""Any text encodes; prompts have the layout the network was trained with; published ids are reproduced."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.config import preset, resized
from gr00t_policy.model.tokenizer import (
    CompactPrompt,
    load_tokenizer,
    prompt_tokenizer,
    train_tokenizer,
)

SENTENCES = [
    f"{verb} the {colour} {thing} and place it in the {bin} bin"
    for verb in ("pick up", "take", "grab")
    for colour in ("red", "green", "blue")
    for thing in ("can", "cube", "ball")
    for bin in ("yellow", "blue", "left", "right")
]
CONFIG = replace(resized(preset("tiny"), 112, 14), instruction_tokens=24)
IMAGE = [1, *[3] * 16, 2]


@cache
def trained() -> Tokenizer:
    return train_tokenizer(SENTENCES)


@given(text=st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_in_lower_case(text: str) -> None:
    tokenizer = trained()
    if any(special in text for special in ("<pad>", "<img>", "</img>", "<IMG_CONTEXT>")):
        return
    folded = tokenizer.normalizer.normalize_str(text)
    decoded = tokenizer.decode(tokenizer.encode(text).ids)
    assert decoded.removeprefix(" ") == folded.removeprefix(" ")


@given(text=st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_every_prompt_has_the_fixed_length_and_exactly_one_image(text: str) -> None:
    prompt = CompactPrompt(trained(), CONFIG).encode(text)
    assert prompt.input_ids.shape == prompt.attention_mask.shape == (CONFIG.prompt_length(),)
    assert prompt.input_ids.dtype == prompt.attention_mask.dtype == np.int64
    assert prompt.input_ids[24:].tolist() == IMAGE
    assert prompt.input_ids.min() >= 0 and prompt.input_ids.max() < CONFIG.language.vocab
    assert (prompt.input_ids[:24] == 3).sum() == 0


def test_padding_stands_to_the_right_of_the_instruction_and_is_masked() -> None:
    prompt = CompactPrompt(trained(), CONFIG).encode("take the red can")
    assert prompt.attention_mask.tolist() == [1] * 4 + [0] * 20 + [1] * 18
    assert (prompt.input_ids[4:24] == CONFIG.language.pad_id).all()


def test_sentences_of_the_training_set_fit_the_window_and_words_are_single_tokens() -> None:
    prompt = CompactPrompt(trained(), CONFIG)
    encoded = [prompt.encode(sentence) for sentence in SENTENCES]
    assert not any(item.truncated for item in encoded)
    assert max(item.attention_mask[:24].sum() for item in encoded) <= 12
    assert len({tuple(item.input_ids) for item in encoded}) == len(SENTENCES)


def test_case_and_leading_position_do_not_change_a_word() -> None:
    prompt = CompactPrompt(trained(), CONFIG)
    assert np.array_equal(prompt.encode("Take The RED can").input_ids, prompt.encode("take the red can").input_ids)


def test_an_empty_text_is_all_padding_and_a_long_one_is_cut_and_says_so() -> None:
    prompt = CompactPrompt(trained(), CONFIG)
    empty, long = prompt.encode(""), prompt.encode("take the red can " * 600)
    assert empty.attention_mask[:24].sum() == 0 and not empty.truncated
    assert long.attention_mask[:24].sum() == 24 and long.truncated


def test_the_image_stands_first_when_the_configuration_says_so() -> None:
    prompt = CompactPrompt(trained(), replace(CONFIG, text_first=False)).encode("take the red can", views=2)
    assert prompt.input_ids[:36].tolist() == IMAGE * 2
    assert prompt.attention_mask.tolist() == [1] * 40 + [0] * 20


def test_training_twice_gives_the_same_tokenizer_whatever_the_order_of_sentences() -> None:
    assert train_tokenizer(SENTENCES[::-1]).to_str() == trained().to_str()


def test_a_saved_tokenizer_gives_the_same_prompts(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(trained().to_str(), encoding="utf-8")
    again = prompt_tokenizer(load_tokenizer(path), CONFIG)
    for text in (*SENTENCES[:5], "", "schön", "<img>"):
        assert np.array_equal(again.encode(text).input_ids, CompactPrompt(trained(), CONFIG).encode(text).input_ids)


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", "\x00\x01"])
def test_a_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_tokenizer(path)
    with pytest.raises(CheckpointError, match="absent"):
        load_tokenizer(tmp_path / "absent.json")


def test_a_vocabulary_too_small_for_all_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="260"):
        train_tokenizer(SENTENCES, vocab=200)


def test_a_tokenizer_of_another_network_is_refused() -> None:
    with pytest.raises(CheckpointError, match="IMG_CONTEXT"):
        CompactPrompt(trained(), replace(CONFIG, image_token_id=4))
    small = replace(CONFIG, language=replace(CONFIG.language, vocab=260))
    with pytest.raises(CheckpointError, match="260"):
        CompactPrompt(trained(), small)
