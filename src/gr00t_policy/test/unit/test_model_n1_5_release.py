# SPDX-License-Identifier: Apache-2.0
"""The released configuration and tokenizer of GR00T N1.5: read to the letter, what is not supported is refused by name."""

import json
import random
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from released_folder import edit_json, mutated
from tokenizers import pre_tokenizers
from transformers import Qwen2Tokenizer

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError, MessageError
from gr00t_policy.core.projectors import PROJECTOR_INDICES
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.config import config_from_dict, config_to_dict, preset
from gr00t_policy.model.eagle_tokenizer import EAGLE_2_5, PublishedTokens, load_eagle_tokenizer
from gr00t_policy.model.random_checkpoint import random_checkpoint
from gr00t_policy.model.release import read_release, write_eagle, write_release
from gr00t_policy.model.synthesis import synthesise_release
from gr00t_policy.model.tokenizer import Eagle25Prompt

DIT, MIXER = "action_head_cfg.diffusion_model_cfg", "action_head_cfg.vl_self_attention_cfg"
N1_5 = replace(preset("n1_5_3b"), embodiment_slots={})
# The public config.json of GR00T-N1.5-3B, as far as its values are known.
RELEASED: dict[str, Any] = {
    "architectures": ["GR00T_N1_5"], "model_type": "gr00t_n1_5", "action_dim": 32, "action_horizon": 16,
    "hidden_size": 2048, "model_dtype": "float32", "torch_dtype": "bfloat16", "transformers_version": "4.51.3",
    "attn_implementation": None,
    "backbone_cfg": {
        "eagle_path": "NVEagle/eagle_er-qwen3_1_7B-Siglip2_400M_stage1_5", "load_bf16": False, "project_to_dim": None,
        "reproject_vision": False, "select_layer": 12, "tune_llm": False, "tune_visual": True,
        "use_flash_attention": True,
    },
    "action_head_cfg": {
        "add_pos_embed": True, "backbone_embedding_dim": 2048, "hidden_size": 1024, "input_embedding_dim": 1536,
        "max_action_dim": 32, "max_state_dim": 64, "num_inference_timesteps": 4, "num_target_vision_tokens": 32,
        "num_timestep_buckets": 1000, "noise_beta_alpha": 1.5, "noise_beta_beta": 1.0, "noise_s": 0.999,
        "use_vlln": True,
        "diffusion_model_cfg": {
            "attention_head_dim": 48, "cross_attention_dim": 2048, "dropout": 0.2, "final_dropout": True,
            "interleave_self_attention": True, "norm_type": "ada_norm", "num_attention_heads": 32, "num_layers": 16,
            "output_dim": 1024, "positional_embeddings": None,
        },
        "vl_self_attention_cfg": {
            "attention_head_dim": 64, "num_attention_heads": 32, "num_layers": 4, "dropout": 0.2,
            "final_dropout": True, "positional_embeddings": None,
        },
    },
}  # fmt: skip


def changed(dotted: str, value: Any, data: dict[str, Any] = RELEASED) -> dict[str, Any]:
    """``data`` with one field set, or removed where ``value`` is ``...``."""
    data = json.loads(json.dumps(data))
    *path, last = dotted.split(".")
    place = data
    for key in path:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


def test_the_published_configuration_is_read_as_n1_5_3b_and_says_what_it_does_not_hold() -> None:
    config, report = read_release(RELEASED, None)
    assert config == N1_5 and report.unknown == {}
    told = "\n".join(report.assumed)
    for name in ("action_head_cfg.action_dim 32", "max_num_embodiments 32", "max_seq_len 1024", "GR00T-N1.5-3B"):
        assert name in told
    assert "published for N1:" not in told and "published for N1\n" not in told


@pytest.mark.parametrize("name", ["n1_5_3b", "n1_5_tiny_release"])
def test_a_written_configuration_is_read_back_as_it_was(name: str) -> None:
    config = replace(preset(name), embodiment_slots={})
    back, report = read_release(write_release(config), write_eagle(config))
    assert back == config and report.unknown == {}
    assert [sentence for sentence in report.assumed if "crop_fraction" not in sentence] == []
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


def test_null_is_the_published_value_of_a_size_and_no_projection_of_project_to_dim() -> None:
    data = changed("action_head_cfg.num_inference_timesteps", None)
    config, report = read_release(changed("action_head_cfg.backbone_embedding_dim", None, data), None)
    assert config == N1_5 and not config.projected
    assert any(
        "num_inference_timesteps 4: null in config.json, as published for N1.5" in said for said in report.assumed
    )
    with pytest.raises(ConfigError, match="does not say .*cross_attention_dim"):
        read_release(changed(f"{DIT}.cross_attention_dim", None), None)
    with pytest.raises(ConfigError, match="use_vlln is None, expected True"):
        read_release(changed("action_head_cfg.use_vlln", None), None)


@pytest.mark.parametrize(
    ("dotted", "value", "attribute"),
    [
        ("action_head_cfg.num_target_vision_tokens", 16, "future_tokens"),
        (f"{MIXER}.num_layers", 2, "mixer_layers"),
        (f"{DIT}.num_layers", 12, "layers"),
        ("action_head_cfg.max_num_embodiments", 40, "embodiments"),
    ],
)
def test_every_size_is_read(dotted: str, value: int, attribute: str) -> None:
    assert getattr(read_release(changed(dotted, value), None)[0].head, attribute) == value


def test_a_projection_to_another_width_is_read_as_a_last_linear_layer() -> None:
    data = changed("backbone_cfg.project_to_dim", 1536, changed(f"{DIT}.cross_attention_dim", 1536))
    data = changed(f"{MIXER}.num_attention_heads", 24, changed("action_head_cfg.backbone_embedding_dim", 1536, data))
    config, _ = read_release(data, None)
    assert config.projected and config.head.cross_dim == 1536
    assert write_release(config)["backbone_cfg"]["project_to_dim"] == 1536


@pytest.mark.parametrize(
    ("dotted", "value", "says"),
    [
        ("model_type", "Gr00tN1d6", "only GR00T N1 and N1.5 \\('gr00t_n1_5'\\) can be read here"),
        ("action_head_cfg.use_vlln", False, "use_vlln is False, expected True"),
        ("action_head_cfg.add_pos_embed", False, "add_pos_embed"),
        ("action_head_cfg.backbone_embedding_dim", 1536, "backbone_embedding_dim is 1536, which contradicts"),
        ("action_head_cfg.vl_self_attention_cfg", ..., "has no 'action_head_cfg.vl_self_attention_cfg'"),
        (f"{MIXER}.attention_head_dim", ..., "does not say .*vl_self_attention_cfg.attention_head_dim"),
        (f"{MIXER}.attention_head_dim", 32, "mixer_head_dim is 1024, not head.cross_dim 2048"),
        (f"{MIXER}.positional_embeddings", "sinusoidal", "positional_embeddings is 'sinusoidal'"),
        (f"{MIXER}.dropout", 0.1, "vl_self_attention_cfg.dropout is 0.1"),
        (f"{DIT}.attention_head_dim", ..., "does not say .*diffusion_model_cfg.attention_head_dim"),
        (f"{DIT}.cross_attention_dim", ..., "does not say .*cross_attention_dim"),
        (f"{DIT}.interleave_self_attention", False, "interleave_self_attention is False"),
        ("backbone_cfg.project_to_dim", ..., "contradicts the width of the features, 1536"),
        ("backbone_cfg.project_to_dim", "wide", "project_to_dim must be int"),
        ("backbone_cfg.reproject_vision", True, "reproject_vision"),
        ("backbone_cfg.select_layer", 29, "select_layer must lie in 1..28"),
    ],
)
def test_values_that_contradict_or_are_not_supported_have_one_clear_error(dotted: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_release(changed(dotted, value), None)


@pytest.mark.parametrize(
    ("dotted", "value", "says"),
    [
        ("model_type", "eagle_chat", "model_type is 'eagle_chat', expected 'eagle_2_5_vl'; that of N1.5 is needed"),
        ("use_pixel_shuffle", True, "use_pixel_shuffle is True"),
        ("mlp_connector_layers", 2, "mlp_connector_layers is 2"),
        ("text_config.architectures", ["Qwen2ForCausalLM"], "architectures"),
        ("text_config.head_dim", ..., "does not say text_config.head_dim"),
        ("text_config", ..., "has no 'text_config'"),
    ],
)
def test_another_eagle_than_that_of_n1_5_is_refused(dotted: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_release(RELEASED, changed(dotted, value, write_eagle(N1_5)))


def test_of_two_thousand_damaged_configurations_none_gives_another_error() -> None:
    rng, refused = random.Random(0), 0
    good = [json.dumps(part).encode() for part in (RELEASED, write_eagle(N1_5))]
    for number in range(2000):
        texts = list(good)
        texts[number % 2] = mutated(texts[number % 2], rng)
        with suppress(ValueError, RecursionError):  # JSON that is none has its own tests
            data, eagle = (json.loads(text) for text in texts)
            if isinstance(data, dict) and isinstance(eagle, dict) and data.get("model_type") == "gr00t_n1_5":
                try:
                    read_release(data, eagle)
                except ConfigError:
                    refused += 1
    assert refused > 200


# A tokenizer of the published form with few tokens: bytes and two merges, then Qwen's control tokens, others, Eagle's own.
MERGES = [("c", "u"), ("cu", "p"), ("Ġ", "cup")]
LETTERS = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
FIRST = len(LETTERS)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SMALL = replace(
    EAGLE_2_5,
    vocabulary=FIRST,
    control={FIRST + i: (text, True) for i, text in enumerate(CONTROL)},
    added={FIRST + 5 + i: entry for i, entry in enumerate(EAGLE_2_5.added.values())},
)


def write_files(folder: Path, published: PublishedTokens, letters: list[str]) -> Path:
    """vocab.json, merges.txt and the added tokens as the released tokenizer_config.json has them."""
    folder.mkdir(parents=True, exist_ok=True)
    between = {number: (f"<filler {number}>", True) for number in range(published.vocabulary, max(published.added) + 1)}
    added = between | dict(published.control) | dict(published.added)
    entries = {str(number): {"content": text, "special": special} for number, (text, special) in added.items()}
    (folder / "vocab.json").write_text(json.dumps({text: number for number, text in enumerate(letters)}))
    (folder / "merges.txt").write_text("\n".join(f"{a} {b}" for a, b in MERGES))
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Eagle25Prompt:
    folder = write_files(tmp_path_factory.mktemp("tokenizer"), SMALL, LETTERS)
    config = replace(N1_5, image_token_id=FIRST + 5)
    return Eagle25Prompt(load_eagle_tokenizer(folder, SMALL), config)


@cache
def qwen() -> Qwen2Tokenizer:
    return Qwen2Tokenizer(vocab={letter: number for number, letter in enumerate(LETTERS)}, merges=MERGES)


@given(text=st.text(max_size=40))
@example("Don't  stop\n\n at 1234 cups,   naïve—e\u0301!")
@settings(max_examples=100, deadline=None)
def test_text_is_split_as_by_qwens_own_tokenizer(small: Eagle25Prompt, text: str) -> None:
    if not any(special in text for special in ("<|", "<img", "</img", "<IMG", "<filler")):
        assert small.tokenizer.encode(text, add_special_tokens=False).ids == qwen().encode(
            text, add_special_tokens=False
        )


def test_the_prompt_has_the_published_layout(small: Eagle25Prompt) -> None:
    """Each image numbered, with 256 places and no line end behind it; the instruction as a list of one."""
    for views in (1, 2):
        prompt = small.encode("take the 'red' cup", views)
        text = small.tokenizer.decode(prompt.input_ids.tolist(), skip_special_tokens=False)
        images = "".join(f"<image {k}><img>{'<IMG_CONTEXT>' * 256}</img>" for k in range(1, views + 1))
        assert text == (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"{images}[\"take the 'red' cup\"]<|im_end|>\n<|im_start|>assistant\n"
        )
        assert prompt.attention_mask.all() and (prompt.input_ids == FIRST + 5).sum() == 256 * views
    with pytest.raises(MessageError, match="IMG_CONTEXT"):
        small.encode("look at <IMG_CONTEXT>")


def test_a_prompt_is_as_long_as_the_published_tokenizer_makes_it() -> None:
    """By the public tokenizer 294 tokens with these twelve words; two more are the brackets with their quotes."""
    prompt = random_checkpoint("n1_5_3b").prompt
    ids = prompt.encode("pick the pear from the counter and place it in the plate").input_ids
    assert len(ids) == 294 + 2 and (ids == 151669).sum() == 256
    assert ids[0] == 151644 and ids[19] == 151670 and ids[276] == 151671 and ids[-5] == 151645 and ids[-3] == 151644


def test_files_without_the_added_tokens_or_with_others_are_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "tokens", SMALL, LETTERS)
    with pytest.raises(CheckpointError, match=f"vocabulary of {FIRST} tokens; that of Eagle-2.5 and Qwen3-1.7B"):
        load_eagle_tokenizer(folder, EAGLE_2_5)
    number = str(FIRST + 5)
    edit_json(folder / "tokenizer_config.json", lambda data: data["added_tokens_decoder"][number].update(content="x"))
    with pytest.raises(CheckpointError, match=f"token {number} is 'x', the published network has '<IMG_CONTEXT>'"):
        load_eagle_tokenizer(folder, SMALL)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(CheckpointError, match="is tokenizer_config.json missing"):
        load_eagle_tokenizer(folder, SMALL)
    with pytest.raises(CheckpointError, match=r"public GR00T N1\.5 code.*of Qwen3-1\.7B"):
        load_eagle_tokenizer(tmp_path, EAGLE_2_5)


def test_a_released_folder_is_recognised_and_loaded_whole(tmp_path: Path) -> None:
    folder = tmp_path / "n1_5"
    synthesise_release(folder, preset("n1_5_tiny_release"), load_embodiment("gr1"))
    with pytest.raises(CheckpointError, match=r"has no tokenizer.*N1\.5 code.*Qwen3-1\.7B"):
        load_checkpoint(folder)
    letters = [*LETTERS, *(f"\t{number}" for number in range(EAGLE_2_5.vocabulary - FIRST))]
    write_files(folder / "eagle2_hg_model", EAGLE_2_5, letters)
    checkpoint = load_checkpoint(folder)
    assert checkpoint.released and checkpoint.report is not None and checkpoint.report.unknown == {}
    assert checkpoint.config == replace(preset("n1_5_tiny_release"), embodiment_slots=PROJECTOR_INDICES["n1.5"])
    ids = checkpoint.prompt.encode("cup").input_ids
    assert [(ids == number).sum() for number in (151644, 151645, 151669)] == [3, 2, 256]
    assert checkpoint.load_weights().head.mixer is not None
