# SPDX-License-Identifier: Apache-2.0
"""The published tokenizer from the files a user has, and the published prompts id by id."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from released_folder import SPECIALS, as_smollm2, edit_json, write_tokenizer

from gr00t_policy.core.errors import CheckpointError, MessageError
from gr00t_policy.model.config import preset
from gr00t_policy.model.eagle_tokenizer import ADDED, load_eagle_tokenizer
from gr00t_policy.model.tokenizer import EaglePrompt

EAGLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "eagle2_tokenizer"


@cache
def eagle() -> EaglePrompt:
    if not EAGLE.is_dir():
        pytest.skip(f"the published tokenizer files are not beside this checkout ({EAGLE})")
    return EaglePrompt(load_eagle_tokenizer(EAGLE), preset("n1_2b"))


PREFIX = [1, 9690, 198, 2683, 359, 253, 5356, 216, 49161, 30, 2, 198, 1, 4093, 198]
EAGLE_IMAGE = [49152, *[49154] * 64, 49153, 198]
SUFFIX = [2, 198, 1, 49161, 198]


def test_the_published_prompt_of_one_image_has_the_published_ids() -> None:
    prompt = eagle().encode("pick the pear from the counter and place it in the plate")
    text = [18188, 260, 17306, 429, 260, 4360, 284, 1379, 357, 281, 260, 6496]
    assert prompt.input_ids.tolist() == PREFIX + EAGLE_IMAGE + text + SUFFIX
    assert prompt.attention_mask.all() and len(prompt.input_ids) == 99


def test_the_published_prompt_of_two_images_has_the_published_ids() -> None:
    numbered = [[44, 5028, 216, 33 + k, 46, *EAGLE_IMAGE] for k in range(2)]
    ids = eagle().encode("pick up the cup", views=2).input_ids.tolist()
    assert ids == PREFIX + numbered[0] + numbered[1] + [18188, 614, 260, 7118] + SUFFIX


def test_two_images_and_a_short_sentence_are_168_tokens() -> None:
    assert len(eagle().encode("pick up the cup", views=2).input_ids) == 168


def test_the_default_sentence_and_an_empty_one_have_the_published_ids() -> None:
    default = eagle().encode("Perform the default behavior.").input_ids.tolist()
    assert default == PREFIX + EAGLE_IMAGE + [7669, 584, 260, 4060, 2555, 30] + SUFFIX and len(default) == 93
    empty = eagle().encode("").input_ids.tolist()
    assert empty == PREFIX + EAGLE_IMAGE + SUFFIX and len(empty) == 87


SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
IMAGE_TEXT = f"<img>{'<IMG_CONTEXT>' * 64}</img>\n"
SUFFIX_TEXT = "<|im_end|>\n<|im_start|>assistant\n"


@given(text=st.text(alphabet=st.sampled_from(" \n\t\r\u3000ab'1.<>é"), max_size=12))
@example("  pick")
@example(" assistant")
@settings(max_examples=100, deadline=None)
def test_a_prompt_has_the_ids_of_the_whole_text_whatever_white_space_the_sentence_has(text: str) -> None:
    """It was encoded in three pieces; the public code encodes one text, in which a line end and spaces are one token."""
    whole = eagle().tokenizer.encode(SYSTEM + IMAGE_TEXT + text + SUFFIX_TEXT, add_special_tokens=False).ids
    assert eagle().encode(text).input_ids.tolist() == whole


def test_spaces_before_a_sentence_join_the_line_end_before_it() -> None:
    ids = eagle().encode("  pick").input_ids.tolist()
    assert ids == PREFIX + EAGLE_IMAGE[:-1] + [3805, 4491] + SUFFIX
    ids = eagle().encode("\n\npick").input_ids.tolist()
    assert ids == PREFIX + EAGLE_IMAGE[:-1] + [1116, 198, 18188] + SUFFIX


def test_added_tokens_have_the_published_ids() -> None:
    for number, (text, _) in ADDED.items():
        assert eagle().tokenizer.token_to_id(text) == number
    assert [eagle().tokenizer.token_to_id(text) for text in SPECIALS] == [0, 1, 2]


def test_the_word_assistant_is_one_added_token_anywhere_in_a_text() -> None:
    assert 49161 in eagle().encode("ask the assistant for the cup").input_ids[-12:-5]


def test_a_sentence_longer_than_the_positions_is_cut_and_keeps_its_end_marker() -> None:
    prompt = eagle().encode("red " * 9000)
    assert len(prompt.input_ids) == 8192 and prompt.truncated
    assert prompt.input_ids[-5:].tolist() == SUFFIX
    fits = eagle().encode("red " * 8000)
    assert len(fits.input_ids) < 8192 and not fits.truncated
    assert np.array_equal(prompt.input_ids[:8000], fits.input_ids[:8000]) and len(set(prompt.input_ids[8000:-5])) == 1


def test_a_sentence_with_the_image_placeholder_is_refused() -> None:
    with pytest.raises(MessageError, match="IMG_CONTEXT"):
        eagle().encode("look at <IMG_CONTEXT>")


SENTENCES = (
    "pick up the cup", "ask the assistant for 12345 cups", "Perform the default behavior.", "", "don't  stop\n<box>", "schön",
    "unlocked_waist: move the can to (0.25, -1.5)",
)  # fmt: skip


def test_the_files_of_smollm2_give_the_same_ids_as_those_of_eagle2(tmp_path: Path) -> None:
    published = eagle()
    vocabulary = json.loads((EAGLE / "vocab.json").read_text())
    merges = [
        line for line in (EAGLE / "merges.txt").read_text().split("\n") if line and not line.startswith("#version")
    ]
    other = EaglePrompt(load_eagle_tokenizer(as_smollm2(vocabulary, merges, tmp_path / "smollm2")), preset("n1_2b"))
    for text in SENTENCES:
        assert np.array_equal(other.encode(text, views=2).input_ids, published.encode(text, views=2).input_ids), text


def test_both_kinds_of_files_are_the_same_tokenizer_also_with_a_made_vocabulary(tmp_path: Path) -> None:
    slow = load_eagle_tokenizer(write_tokenizer(tmp_path / "slow"))
    vocabulary = json.loads((tmp_path / "slow" / "vocab.json").read_text())
    fast = load_eagle_tokenizer(as_smollm2(vocabulary, ["c u", ["cu", "p"]], tmp_path / "fast"))  # type: ignore[list-item]
    for text in (*SENTENCES, "<img><IMG_CONTEXT></img>"):
        assert slow.encode(text).ids == fast.encode(text).ids
    assert slow.encode("an assistant's cup").ids.count(49161) == 1


def test_missing_published_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vocab\.json, merges\.txt.*eagle2_hg_model.*SmolLM2"):
        load_eagle_tokenizer(tmp_path)


def test_files_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "made")
    (folder / "merges.txt").write_text("c u\nx yz\n")
    with pytest.raises(CheckpointError, match="merge 'x' 'yz' does not belong"):
        load_eagle_tokenizer(folder)
    (folder / "merges.txt").write_text("c u p\n")
    with pytest.raises(CheckpointError, match="'c u p' is not a merge of two tokens"):
        load_eagle_tokenizer(folder)
    write_tokenizer(folder)
    entries = {"added_tokens_decoder": {"49161": {"content": "helper", "special": False}}}
    (folder / "tokenizer_config.json").write_text(json.dumps(entries))
    with pytest.raises(CheckpointError, match="token 49161 is 'helper', the published network has 'assistant'"):
        load_eagle_tokenizer(folder)
    edit_json(folder / "vocab.json", lambda data: data.popitem())
    with pytest.raises(CheckpointError, match="vocabulary of 49151 tokens"):
        load_eagle_tokenizer(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"model": 3}', '{"model": {"merges": [], "vocab": [1]}}'])
def test_a_damaged_tokenizer_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_eagle_tokenizer(tmp_path)
