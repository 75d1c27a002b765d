# SPDX-License-Identifier: Apache-2.0
"""Configurations are strict, round-trip through JSON, and say what is wrong with them."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import config_from_dict, config_to_dict, preset, resized


@pytest.mark.parametrize("name", ["tiny", "n1_2b"])
def test_a_configuration_survives_json(name: str) -> None:
    config = preset(name)
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


def test_an_unknown_key_is_refused_by_name_wherever_it_stands() -> None:
    data = config_to_dict(preset("tiny"))
    data["head"]["horizonn"] = 16
    with pytest.raises(ConfigError, match=r"config\.head: unknown key\(s\) horizonn; known: .*horizon"):
        config_from_dict(data)


def test_a_missing_key_is_named() -> None:
    data = config_to_dict(preset("tiny"))
    del data["vision"]["patch"]
    with pytest.raises(ConfigError, match=r"config\.vision: .*patch"):
        config_from_dict(data)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("vision", "width", "192"), ("vision", "width", True), ("head", "dropout", None), ("language", "vocab", 512.0)],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(part: str, key: str, value: object) -> None:
    data = config_to_dict(preset("tiny"))
    data[part][key] = value
    with pytest.raises(ConfigError, match=rf"config\.{part}\.{key}"):
        config_from_dict(data)


def test_an_integer_is_accepted_where_a_float_is_meant() -> None:
    data = config_to_dict(preset("tiny")) | {"crop_fraction": 1}
    assert config_from_dict(data).crop_fraction == 1.0


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("vision", {"image_size": 100}, "image_size"),
        ("vision", {"heads": 7}, "heads"),
        ("language", {"kv_heads": 7}, "kv_heads"),
        ("language", {"pad_id": 100000}, "pad_id"),
        ("head", {"head_dim": 31}, "head_dim"),
        ("head", {"horizon": 2000}, "max_seq_len"),
        ("head", {"steps": 0}, "steps"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(part: str, change: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(getattr(preset("tiny"), part), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"select_layer": 50},
        {"prompt_template": "chat"},
        {"prompt_template": "eagle2"},
        {"attention": "flash"},
        {"image_token_id": 100000},
        {"crop_fraction": 0.0},
        {"aux_targets": 3},
        {"embodiment_slots": {"gr1": 99}},
    ],
)
def test_choices_that_contradict_each_other_are_refused(change: dict) -> None:
    with pytest.raises(ConfigError):
        replace(preset("tiny"), **change)


def test_an_unknown_preset_and_an_unknown_embodiment_name_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="n1_2b, n1_5_3b, tiny"):
        preset("small")
    with pytest.raises(ConfigError, match="'so100'.*gr1"):
        preset("tiny").slot("so100")


@pytest.mark.parametrize(("size", "patch", "tokens"), [(112, 14, 16), (168, 14, 36), (224, 14, 64), (112, 8, 49)])
def test_another_image_size_is_only_another_number(size: int, patch: int, tokens: int) -> None:
    config = resized(preset("tiny"), size, patch)
    assert config.vision.tokens == tokens
    assert config.prompt_length(views=2) == config.instruction_tokens + 2 * (tokens + 2)


def test_reading_a_configuration_does_not_import_torch() -> None:
    code = "import sys, gr00t_policy.model.config, gr00t_policy.model.checkpoint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
