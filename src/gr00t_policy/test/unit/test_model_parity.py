# SPDX-License-Identifier: Apache-2.0
"""Our network gives what other implementations wrote down, at sizes that only the file knows; bad files are named."""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import reference_network as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from gr00t_policy.core.errors import CheckpointError, ConfigError, Gr00tError
from gr00t_policy.model.config import preset
from gr00t_policy.model.golden import read_golden
from gr00t_policy.model.golden_config import declared
from gr00t_policy.model.parity import OutputError, build_network, compare

torch.set_num_threads(1)
PUBLIC = Path(__file__).resolve().parents[5] / "shared" / "golden"
_DIT = reference.METADATA["action_head_cfg"]["diffusion_model_cfg"]
ALL = ["image_embeddings", "features", "features_last_sample_unpadded", "actions", "train_loss"]


@pytest.fixture
def golden(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A file of the other implementation in the tests: both halves, two cameras, padded prompts."""
    path = tmp_path / "golden.safetensors"
    return path, reference.write_golden(path)


def errors_of(path: Path) -> list[OutputError]:
    file = read_golden(path)
    return compare(file, build_network(file))


def public(name: str) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    path = PUBLIC / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"reference outputs are not beside this checkout ({path})")
    with safe_open(path, "pt") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
        return metadata, {key: file.get_tensor(key) for key in file.keys()}, path  # noqa: SIM118  not a dict


@pytest.mark.parametrize("name", ["n1_action_head_small", "n1_backbone_small"])
def test_the_outputs_of_the_public_implementation_are_reproduced(name: str) -> None:
    _, tensors, path = public(name)
    errors = errors_of(path)
    assert {f"out.{error.output}" for error in errors} == {key for key in tensors if key.startswith("out.")}
    assert all(error.within(1e-5) for error in errors), errors


def test_the_other_implementation_in_the_tests_reproduces_the_public_one_too() -> None:
    for name in ("n1_action_head_small", "n1_backbone_small"):
        metadata, tensors, _ = public(name)
        w = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
        t = {key.removeprefix("in."): value for key, value in tensors.items() if key.startswith("in.")}
        if "vision_config" in metadata:
            ours, _ = reference.encode(w, metadata, t["pixel_values"], t["input_ids"], t["attention_mask"])
            assert torch.allclose(ours, tensors["out.features"], atol=1e-5)
        else:
            assert torch.allclose(reference.act(w, metadata, t["vl_features"], t), tensors["out.actions"], atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"views": 1, "seed": 3},
        {"views": 3, "select_layer": 5, "vision_config": {"image_size": 28}},
        {"action_head_cfg": {"num_inference_timesteps": 8, "num_timestep_buckets": 100, "action_horizon": 2}},
        {"action_head_cfg": {"max_num_embodiments": 9, "add_pos_embed": False}},
        {"llm_config": {"num_key_value_heads": 1, "rms_norm_eps": 1e-2}, "vision_config": {"layer_norm_eps": 0.1}},
        {
            "projector_dim": -1,
            "output_dim": 32,
            "action_head_cfg": {
                "input_embedding_dim": 32,
                "diffusion_model_cfg": {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 4},
            },
        },
    ],
    ids=[
        "as written",
        "one camera",
        "three small cameras",
        "steps",
        "robots, no positions",
        "epsilons",
        "no projector",
    ],
)
def test_whatever_sizes_a_file_declares_are_built_and_reproduced(tmp_path: Path, changes: dict[str, Any]) -> None:
    reference.write_golden(tmp_path / "golden.safetensors", **changes)
    errors = errors_of(tmp_path / "golden.safetensors")
    assert [error.output for error in errors] == ALL
    assert all(error.within(1e-5) for error in errors), errors


def test_a_file_may_hold_one_half_and_some_outputs(golden: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    _, tensors = golden
    cases = {
        "backbone": (
            ("vision_config", "llm_config", "select_layer", "img_context_token_id", "output_dim"),
            ["features"],
        ),
        "action_head": (("action_head_cfg",), ["train_loss"]),
    }
    tensors["in.vl_features"] = tensors["out.features"]
    for half, (keys, outputs) in cases.items():
        path = tmp_path / f"{half}.safetensors"
        kept = {k: v for k, v in tensors.items() if k.startswith((f"weights.{half}.", "in."))}
        kept |= {f"out.{name}": tensors[f"out.{name}"] for name in outputs}
        reference.save(path, kept, {key: reference.METADATA[key] for key in keys})
        errors = errors_of(path)
        assert [error.output for error in errors] == outputs
        assert all(error.within(1e-5) for error in errors), errors


def test_given_features_that_are_those_of_system_2_are_tried_both_ways(golden: tuple[Path, dict[str, Tensor]]) -> None:
    path, tensors = golden
    reference.save(path, tensors | {"in.vl_features": tensors["out.features"]}, reference.METADATA)
    assert [error.output for error in errors_of(path)] == [*ALL, "actions from our features"]


@pytest.mark.parametrize(
    "weight",
    [
        "backbone.model.mlp1.1.weight",
        "backbone.model.language_model.model.layers.2.self_attn.k_proj.weight",
        "action_head.model.transformer_blocks.1.ff.net.0.proj.bias",
        "action_head.action_encoder.W2.W",
    ],
)
def test_one_wrong_value_among_the_weights_shows(golden: tuple[Path, dict[str, Tensor]], weight: str) -> None:
    path, tensors = golden
    wrong = tensors[f"weights.{weight}"]
    wrong[(1, 0, 0)[: wrong.ndim]] += 0.1
    reference.save(path, tensors, reference.METADATA)
    assert not all(error.within() for error in errors_of(path))


def test_both_the_absolute_and_the_relative_error_must_be_small() -> None:
    assert OutputError("a", (1,), 9e-5, 9e-5).within()
    assert not OutputError("large numbers", (1,), 2e-4, 1e-6).within()
    assert not OutputError("small numbers", (1,), 1e-6, 2e-4).within()
    assert not OutputError("not a number", (1,), float("nan"), float("nan")).within()


def _without(key: str) -> Any:
    return lambda tensors, _: tensors.pop(key)


def _set(**values: Any) -> Any:
    return lambda tensors, _: tensors.update({key.replace("__", "."): value for key, value in values.items()})


def _declare(**values: Any) -> Any:
    return lambda _, metadata: metadata.update(values)


def _head(**values: Any) -> dict[str, Any]:
    return {"action_head_cfg": reference.METADATA["action_head_cfg"] | values}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("weights.backbone.linear.bias"), "missing: backbone.linear.bias"),
        (_without("weights.action_head.state_encoder.layer1.W"), "missing: action_head.state_encoder.layer1.W"),
        (_set(weights__action_head__extra=torch.zeros(1)), "unexpected: action_head.extra"),
        (_set(weights__backbone__extra=torch.zeros(1)), "unexpected: backbone.extra"),
        (_set(weights__backbone__linear__bias=torch.zeros(3)), r"linear.bias \(3,\) instead of \(28,\)"),
        (_set(weights__backbone__linear__bias=torch.full((28,), float("nan"))), "linear.bias holds NaN"),
        (_set(out__actions=torch.zeros(2, 8, 4)), r"out.actions has shape \(2, 8, 4\)"),
        (_set(out__wish=torch.zeros(1)), "nothing here computes out.wish"),
        (_set(other=torch.zeros(1)), "begins with none of weights., in., out."),
        (_without("in.noise"), "out.actions needs in.noise"),
        (_without("in.pixel_values"), "needs in.pixel_values"),
        (_set(in__noise=torch.zeros(2, 8, 4)), r"in.noise has shape \(2, 8, 4\); expected \(2, 7, 4\)"),
        (_set(in__state=torch.zeros(3, 1, 9)), r"in.state has shape \(3, 1, 9\); expected \(2, 1, 9\)"),
        (_set(in__pixel_values=torch.zeros(4, 3, 28, 28)), r"expected \(4, 3, 56, 56\)"),
        (_set(in__pixel_values=torch.zeros(3, 3, 56, 56)), "3 images cannot be shared out to 2 prompts"),
        (_set(in__pixel_values=torch.zeros(2, 3, 56, 56)), "each give 16"),
        (_set(in__embodiment_id=torch.tensor([0, 5])), r"embodiment_id must lie in 0..4, got \[0, 5\]"),
        (_set(in__embodiment_id=torch.tensor([0.0, 1.0])), "expected integers"),
        (_declare(**_head(action_horizon="seven")), "'action_horizon' must be a whole number"),
        (_declare(**_head(action_horizon=12)), "exceeds head.max_seq_len"),
        (_declare(**_head(input_embedding_dim=27)), "heads x head.head_dim is 28"),
        (_declare(**_head(diffusion_model_cfg={**_DIT, "num_layers": 10**6})), "declares 1000000 layers"),
        (_declare(**_head(diffusion_model_cfg={**_DIT, "norm_type": "layer_norm"})), 'this network has "ada_norm"'),
        (_declare(output_dim=30), "output_dim 30 of System 2 is not the 28"),
        (_declare(downsample_ratio=0.25), "'downsample_ratio' is 0.25; this network has 0.5"),
        (_declare(img_context_token_id=60), "outside the vocabulary of 60"),
        (_declare(llm_config=[1]), "'llm_config' must be a JSON object"),
        (lambda _, metadata: metadata.pop("vision_config"), "one of vision_config and llm_config"),
        (lambda _, metadata: metadata.clear(), "holds no configuration"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(golden: tuple[Path, dict[str, Tensor]], damage: Any, message: str) -> None:
    path, tensors = golden
    metadata = dict(reference.METADATA)
    damage(tensors, metadata)
    reference.save(path, tensors, metadata)
    with pytest.raises((CheckpointError, ConfigError), match=message) as caught:
        errors_of(path)
    assert path.name in str(caught.value)


def test_a_truncated_file_a_pickle_and_no_file_are_refused(golden: tuple[Path, dict[str, Tensor]]) -> None:
    path, tensors = golden
    content = path.read_bytes()
    for length in (0, 7, 500, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
            read_golden(path)
    torch.save(tensors, path)
    with pytest.raises(CheckpointError, match="pickle files are refused"):
        read_golden(path)
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        read_golden(path.with_name("nothing"))


def test_what_the_metadata_does_not_say_is_as_published() -> None:
    empty = declared({"action_head_cfg": "{}", "vision_config": "{}", "llm_config": "{}"})
    usual = preset("n1_2b")
    assert empty.head is not None and empty.backbone is not None
    assert asdict(empty.head) == asdict(usual.head) | {"dropout": 0.0}
    assert (empty.backbone.vision, empty.backbone.language) == (usual.vision, usual.language)
    assert (empty.backbone.select_layer, empty.backbone.image_token_id) == (12, 49154)


def test_a_field_that_nothing_uses_is_reported() -> None:
    given = declared({"action_head_cfg": '{"mood": 1, "diffusion_model_cfg": {"taste": 2}}', "weather": "fine"})
    assert given.unused == ("metadata.weather", "action_head_cfg.mood", "diffusion_model_cfg.taste")


@pytest.mark.parametrize("language", ["llm_config", "text_config"])
def test_a_field_of_a_tower_that_nothing_uses_is_reported_too(language: str) -> None:
    """A misspelt size was silently that of the published model."""
    given = declared(
        {
            "vision_config": json.dumps({"patch_siz": 7, "layer_norm_eps": 1e-6, "model_type": "siglip_vision_model"}),
            language: json.dumps({"rope_base": 5.0, "use_cache": True, "rope_parameters": {"rope_typ": "linear"}}),
        }
    )
    assert given.unused == ("vision_config.patch_siz", f"{language}.rope_base", "rope_parameters.rope_typ")


def test_of_what_the_public_code_writes_into_a_configuration_everything_is_read_or_known_to_say_nothing() -> None:
    from transformers import LlamaConfig, Qwen3Config, SiglipVisionConfig

    for name in ("n1_action_head_small", "n1_backbone_small"):
        if (PUBLIC / f"{name}.safetensors").is_file():
            assert read_golden(PUBLIC / f"{name}.safetensors").declared.unused == ()
    vision = SiglipVisionConfig().to_json_string(use_diff=False)
    for key, config in (("llm_config", LlamaConfig(vocab_size=49164)), ("text_config", Qwen3Config(vocab_size=151680))):
        given = declared({"vision_config": vision, key: config.to_json_string(use_diff=False)})
        assert given.unused == ()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
_PLACES = [(key,) for key in reference.METADATA] + [
    (key, field) for key, value in reference.METADATA.items() if isinstance(value, dict) for field in value
]


@settings(max_examples=1000)
@given(place=st.sampled_from(_PLACES), value=_VALUES)
def test_any_value_anywhere_in_the_metadata_is_read_or_refused_by_name(place: tuple[str, ...], value: Any) -> None:
    changed: Any = {key: dict(given) if isinstance(given, dict) else given for key, given in reference.METADATA.items()}
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with suppress(Gr00tError):
        declared({key: json.dumps(given) for key, given in changed.items()})


@settings(max_examples=500)
@given(key=st.sampled_from(["action_head_cfg", "vision_config", "select_layer"]), text=st.text())
def test_any_text_in_the_metadata_is_read_or_refused(key: str, text: str) -> None:
    with suppress(Gr00tError):
        declared({**{name: json.dumps(value) for name, value in reference.METADATA.items()}, key: text})
