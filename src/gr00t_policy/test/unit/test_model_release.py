# SPDX-License-Identifier: Apache-2.0
"""The released configuration file: every size is read, nothing is guessed silently, no damage gets past its own error."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from released_folder import mutated, rewrite

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.release import read_release, write_eagle, write_release
from gr00t_policy.model.released_checkpoint import read_released_config

EAGLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "eagle2_tokenizer" / "config.json"
DIT = "action_head_cfg.diffusion_model_cfg"


def without_slots(name: str) -> ModelConfig:
    return replace(preset(name), embodiment_slots={})


def changed(dotted: str, value: Any, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """The published config.json with one field set, or removed where ``value`` is ``...``."""
    data = json.loads(json.dumps(data or write_release(preset("n1_2b"))))
    *path, last = dotted.split(".")
    place = data
    for key in path:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize("name", ["n1_2b", "n1_tiny_release"])
def test_a_written_configuration_is_read_back_as_it_was(name: str) -> None:
    config, report = read_release(write_release(preset(name)), write_eagle(preset(name)))
    assert config == without_slots(name)
    assert report.unknown == {}
    assert [sentence for sentence in report.assumed if "image_token_id" not in sentence] == []


def test_without_an_eagle_configuration_the_published_sizes_are_taken_and_said_so() -> None:
    config, report = read_release(write_release(preset("n1_2b")), None)
    assert config == without_slots("n1_2b")
    assert any("vision tower" in sentence for sentence in report.assumed)


def test_the_published_eagle_configuration_has_the_sizes_of_n1_2b() -> None:
    if not EAGLE.is_file():
        pytest.skip(f"the published Eagle-2 configuration is not beside this checkout ({EAGLE})")
    config, _ = read_release(write_release(preset("n1_2b")), json.loads(EAGLE.read_text()))
    assert config == without_slots("n1_2b")


@pytest.mark.parametrize(
    ("dotted", "value", "attribute"),
    [
        ("backbone_cfg.select_layer", 9, "select_layer"),
        (f"{DIT}.num_layers", 12, "head.layers"),
        ("action_head_cfg.max_state_dim", 50, "head.state_dim"),
        ("action_head_cfg.max_num_embodiments", 40, "head.embodiments"),
        ("action_head_cfg.max_seq_len", 512, "head.max_seq_len"),
        ("action_head_cfg.num_inference_timesteps", 16, "head.steps"),
        ("action_head_cfg.num_timestep_buckets", 500, "head.buckets"),
        ("action_head_cfg.noise_beta_alpha", 1.25, "head.beta_alpha"),
        ("action_head_cfg.noise_beta_beta", 2.0, "head.beta_beta"),
        ("action_head_cfg.noise_s", 0.9, "head.noise_s"),
        (f"{DIT}.dropout", 0.1, "head.dropout"),
    ],
)
def test_every_size_is_read(dotted: str, value: Any, attribute: str) -> None:
    found: Any = read_release(changed(dotted, value), None)[0]
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_the_head_split_is_read_and_never_guessed() -> None:
    split = changed(f"{DIT}.attention_head_dim", 96, changed(f"{DIT}.num_attention_heads", 16))
    head = read_release(split, None)[0].head
    assert (head.heads, head.head_dim) == (16, 96)
    for name in ("num_attention_heads", "attention_head_dim"):
        with pytest.raises(ConfigError, match=f"does not say .*{name}"):
            read_release(changed(f"{DIT}.{name}", ...), None)


def test_another_horizon_and_action_width_are_read_where_all_places_agree() -> None:
    data = changed("action_horizon", 8, changed("action_head_cfg.action_horizon", 8))
    for name in ("action_dim", "action_head_cfg.action_dim", "action_head_cfg.max_action_dim"):
        data = changed(name, 40, data)
    head = read_release(data, None)[0].head
    assert (head.horizon, head.action_dim) == (8, 40)


def test_fields_that_are_not_known_are_kept_reported_and_written_back() -> None:
    given = changed("backbone_cfg.colour", {"red": 1}, changed("new_thing", [1, 2]))
    config, report = read_release(given, None)
    assert report.unknown == {"new_thing": [1, 2], "backbone_cfg.colour.red": 1}
    assert write_release(config, report.unknown) == given


def test_what_is_filled_in_is_reported_with_its_value() -> None:
    config, report = read_release(changed("action_head_cfg.num_inference_timesteps", ...), None)
    assert config.head.steps == 4
    assert any("action_head_cfg.num_inference_timesteps 4" in sentence for sentence in report.assumed)


@pytest.mark.parametrize(
    ("dotted", "told"),
    [
        (
            "action_head_cfg.num_inference_timesteps",
            "num_inference_timesteps 4: null in config.json, as published for N1",
        ),
        ("action_head_cfg.action_dim", "action_dim 32: null in config.json"),
        ("action_head_cfg.noise_s", "noise_s 0.999: null in config.json"),
        ("backbone_cfg.select_layer", "select_layer 12: null in config.json"),
        ("backbone_cfg.remove_llm", "remove_llm False: null in config.json"),
        (f"{DIT}.norm_eps", "norm_eps 1e-05: null in config.json"),
        ("model_type", "model_type 'gr00t_n1': null in config.json"),
        ("backbone_cfg", "select_layer 12: not in config.json"),
        ("action_head_cfg.max_action_dim", None),  # said once more in action_dim
        ("backbone_cfg.projector_dim", None),
        ("backbone_cfg.processor_cfg", None),
        (f"{DIT}.cross_attention_dim", None),  # null is the value there
        (f"{DIT}.positional_embeddings", None),
    ],
)
def test_a_field_that_is_null_counts_as_one_that_is_not_written_and_is_told(dotted: str, told: str | None) -> None:
    """Each was refused, though nobody knows that no released field is null."""
    config, report = read_release(changed(dotted, None), None)
    assert config == without_slots("n1_2b") and report.unknown == {}
    said = [sentence for sentence in report.assumed if dotted in sentence]
    assert said == [] if told is None else any(told in sentence for sentence in said)


def test_in_eagles_configuration_null_counts_as_not_written_too() -> None:
    told = {
        "llm_config.rope_theta": "130000",
        "vision_config.hidden_act": "gelu",
        "llm_config.num_key_value_heads": "32",
    }
    for dotted, value in told.items():
        eagle = changed(dotted, None, write_eagle(preset("n1_2b")))
        config, report = read_release(write_release(preset("n1_2b")), eagle)
        assert config == without_slots("n1_2b")
        assert any(dotted in said and value in said and "null in" in said for said in report.assumed), dotted
    with pytest.raises(ConfigError, match="does not say llm_config.hidden_size"):
        read_release(
            write_release(preset("n1_2b")), changed("llm_config.hidden_size", None, write_eagle(preset("n1_2b")))
        )


@pytest.mark.parametrize(
    ("dotted", "value", "says"),
    [
        ("model_type", "Gr00tN1d6", "only GR00T N1"),
        (f"{DIT}.interleave_self_attention", False, "interleave_self_attention is False"),
        (f"{DIT}.norm_type", "layer_norm", "norm_type is 'layer_norm', expected 'ada_norm'"),
        (f"{DIT}.positional_embeddings", "sinusoidal", "positional_embeddings"),
        (f"{DIT}.output_dim", 512, "output_dim is 512, which contradicts action_head_cfg.hidden_size, 1024"),
        (f"{DIT}.num_attention_heads", 31, "head.heads x head.head_dim is 1488"),
        (f"{DIT}.num_layers", 10**6, "num_layers must be int in 1..1000"),
        ("action_head_cfg.add_pos_embed", False, "add_pos_embed"),
        ("action_head_cfg.max_action_dim", 16, "max_action_dim is 16, which contradicts"),
        ("action_horizon", 8, "action_horizon is 8, which contradicts"),
        ("backbone_cfg.reproject_vision", True, "reproject_vision"),
        ("backbone_cfg.projector_dim", -1, "projector_dim is -1, which contradicts"),
        ("backbone_cfg.select_layer", 25, "select_layer"),
        ("backbone_cfg.select_layer", True, "select_layer must be int"),
        ("backbone_cfg.processor_cfg.model_spec.template", "llama", "template is 'llama'"),
        ("backbone_cfg.processor_cfg.model_spec.num_image_token", 256, "num_image_token is 256"),
        ("action_head_cfg", ..., "has no 'action_head_cfg'"),
        ("action_head_cfg.hidden_size", "big", "hidden_size must be int"),
        ("backbone_cfg", [1], "'backbone_cfg' must be an object"),
        ("action_head_cfg", None, "has no 'action_head_cfg'"),
        (f"{DIT}.attention_head_dim", None, "does not say .*attention_head_dim"),
        (f"{DIT}.interleave_self_attention", None, "interleave_self_attention is None, expected True"),
        ("action_head_cfg.add_pos_embed", None, "add_pos_embed is None, expected True"),
    ],
)
def test_values_that_contradict_or_are_not_supported_have_one_clear_error(dotted: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_release(changed(dotted, value), None)


@pytest.mark.parametrize(
    ("dotted", "value", "says"),
    [
        ("ps_version", "v1", "ps_version is 'v1', expected 'v2'"),
        ("template", "llama", "template"),
        ("downsample_ratio", 1.0, "downsample_ratio"),
        ("select_layer", -2, "select_layer is -2"),
        ("force_image_size", 448, "force_image_size is 448, which contradicts"),
        ("vision_config.hidden_act", "relu", "hidden_act"),
        ("llm_config.architectures", ["Qwen2ForCausalLM"], "architectures"),
        ("llm_config.hidden_size", ..., "does not say llm_config.hidden_size"),
    ],
)
def test_another_eagle_than_that_of_n1_is_refused(dotted: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_release(write_release(preset("n1_2b")), changed(dotted, value, write_eagle(preset("n1_2b"))))


def test_a_network_that_is_not_of_the_published_form_cannot_be_written() -> None:
    with pytest.raises(ConfigError, match="prompt_template.*bidirectional"):
        write_release(preset("tiny"))


@pytest.mark.parametrize("target", ["config.json", "eagle2_hg_model/config.json"])
def test_of_two_thousand_damaged_configurations_none_gives_another_error(tmp_path: Path, target: str) -> None:
    contents: dict[str, Callable[[ModelConfig], dict[str, Any]]] = {
        "config.json": write_release,
        "eagle2_hg_model/config.json": write_eagle,
    }
    for name, write in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(write(preset("n1_2b"))))
    good, rng, refused = (tmp_path / target).read_bytes(), random.Random(0), 0
    for _ in range(2000):
        rewrite(tmp_path / target, mutated(good, rng))
        try:
            read_released_config(tmp_path)
        except CheckpointError:
            refused += 1
    assert 1000 < refused < 2000  # some damage is to names and is only reported
