# SPDX-License-Identifier: Apache-2.0
"""Weights carry the published names and shapes; files that do not fit are refused with the names of the tensors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.config import HeadConfig, preset
from gr00t_policy.model.vla import Vla, build_vla
from gr00t_policy.model.weights import (
    load_tensors,
    load_weights,
    our_name,
    published_name,
    published_shapes,
    save_weights,
)

torch.set_num_threads(1)
HEAD = HeadConfig(
    width=32,
    hidden=24,
    layers=2,
    heads=4,
    head_dim=8,
    state_dim=10,
    action_dim=6,
    horizon=5,
    embodiments=2,
    cross_dim=20,
)


PER_EMBODIMENT = (
    ("state_encoder.layer1", 64, 1024),
    ("state_encoder.layer2", 1024, 1536),
    ("action_encoder.W1", 32, 1536),
    ("action_encoder.W2", 3072, 1536),
    ("action_encoder.W3", 1536, 1536),
    ("action_decoder.layer1", 1024, 1024),
    ("action_decoder.layer2", 1024, 32),
)


def expected_n1_shapes() -> dict[str, tuple[int, ...]]:
    """The published table of GR00T-N1-2B's tensors."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, width_in: int, width_out: int, *, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (width_out, width_in)
        if bias:
            shapes[f"{name}.bias"] = (width_out,)

    def norm(name: str, width: int, *, bias: bool = True) -> None:
        shapes.update({f"{name}.{part}": (width,) for part in ("weight", "bias")[: 1 + bias]})

    vision = "backbone.model.vision_model.vision_model"
    shapes[f"{vision}.embeddings.patch_embedding.weight"] = (1152, 3, 14, 14)
    shapes[f"{vision}.embeddings.patch_embedding.bias"] = (1152,)
    shapes[f"{vision}.embeddings.position_embedding.weight"] = (256, 1152)
    for i in range(27):
        layer = f"{vision}.encoder.layers.{i}"
        norm(f"{layer}.layer_norm1", 1152)
        norm(f"{layer}.layer_norm2", 1152)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.self_attn.{part}", 1152, 1152)
        linear(f"{layer}.mlp.fc1", 1152, 4304)
        linear(f"{layer}.mlp.fc2", 4304, 1152)
    norm(f"{vision}.post_layernorm", 1152)
    language = "backbone.model.language_model.model"
    shapes[f"{language}.embed_tokens.weight"] = (49164, 2048)
    for i in range(12):
        layer = f"{language}.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            linear(f"{layer}.self_attn.{part}", 2048, 2048, bias=False)
        linear(f"{layer}.mlp.gate_proj", 2048, 8192, bias=False)
        linear(f"{layer}.mlp.up_proj", 2048, 8192, bias=False)
        linear(f"{layer}.mlp.down_proj", 8192, 2048, bias=False)
        norm(f"{layer}.input_layernorm", 2048, bias=False)
        norm(f"{layer}.post_attention_layernorm", 2048, bias=False)
    norm(f"{language}.norm", 2048, bias=False)
    norm("backbone.model.mlp1.0", 4608)
    linear("backbone.model.mlp1.1", 4608, 2048)
    linear("backbone.model.mlp1.3", 2048, 2048)
    linear("backbone.linear", 2048, 1536)
    dit = "action_head.model"
    linear(f"{dit}.timestep_encoder.timestep_embedder.linear_1", 256, 1536)
    linear(f"{dit}.timestep_encoder.timestep_embedder.linear_2", 1536, 1536)
    for i in range(16):
        block = f"{dit}.transformer_blocks.{i}"
        linear(f"{block}.norm1.linear", 1536, 3072)
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            linear(f"{block}.attn1.{part}", 1536, 1536)
        linear(f"{block}.ff.net.0.proj", 1536, 6144)
        linear(f"{block}.ff.net.2", 6144, 1536)
    linear(f"{dit}.proj_out_1", 1536, 3072)
    linear(f"{dit}.proj_out_2", 1536, 1024)
    for name, width_in, width_out in PER_EMBODIMENT:
        shapes[f"action_head.{name}.W"] = (32, width_in, width_out)
        shapes[f"action_head.{name}.b"] = (32, width_out)
    shapes["action_head.position_embedding.weight"] = (1024, 1536)
    return shapes


def test_n1_2b_has_exactly_the_published_tensors() -> None:
    with torch.device("meta"):
        model = Vla(preset("n1_2b"))
    expected = expected_n1_shapes()
    assert len(expected) == 802
    assert published_shapes(model) == expected
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_190_016_752


@pytest.mark.parametrize("name", ["n1_2b", "tiny"])
def test_names_translate_there_and_back_without_collision(name: str) -> None:
    with torch.device("meta"):
        ours = list(Vla(preset(name)).state_dict())
    published = [published_name(key) for key in ours]
    assert len(set(published)) == len(ours)
    assert [our_name(key) for key in published] == ours


def small_head() -> ActionHead:
    torch.manual_seed(0)
    return ActionHead(HEAD)


def test_saved_weights_come_back_exactly_in_float32(tmp_path: Path) -> None:
    config = preset("tiny")
    config = replace(
        config, vision=replace(config.vision, layers=1), head=replace(config.head, layers=1), select_layer=1
    )
    model, other = build_vla(config, seed=0), build_vla(config, seed=1)
    save_weights(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_bfloat16_files_are_half_as_big_and_load_into_float32(tmp_path: Path) -> None:
    head = small_head()
    save_weights(head, tmp_path / "full.safetensors")
    save_weights(head, tmp_path / "half.safetensors", dtype="bfloat16")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size
    other = ActionHead(HEAD)
    load_weights(other, tmp_path / "half.safetensors")
    for a, b in zip(head.state_dict().values(), other.state_dict().values(), strict=True):
        assert b.dtype == torch.float32 and torch.equal(a.bfloat16().float(), b)


def test_missing_unexpected_and_misshapen_tensors_are_all_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    path, head = tmp_path / "model.safetensors", small_head()
    save_weights(head, path)
    tensors = load_file(path)
    before = {key: value.clone() for key, value in head.state_dict().items()}
    wrong = dict(tensors)
    del wrong[published_name("dit.out.bias")]
    wrong["head.probe"] = torch.zeros(1)
    wrong["position_embedding.weight"] = torch.ones(3, 32)
    save_file(wrong, path)
    with pytest.raises(
        CheckpointError, match=r"(?s)missing: dit\.out\.bias.*unexpected: head\.probe.*\(3, 32\) instead of"
    ):
        load_weights(head, path)
    assert all(torch.equal(before[key], value) for key, value in head.state_dict().items())


def test_a_torn_file_and_a_missing_one_are_refused_by_name(tmp_path: Path) -> None:
    path, head = tmp_path / "model.safetensors", small_head()
    save_weights(head, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_weights(head, path)
    path.write_bytes(b"not a tensor file")
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_weights(head, path)
    with pytest.raises(CheckpointError, match="absent"):
        load_weights(head, tmp_path / "absent.safetensors")


def test_tensors_of_a_part_load_under_their_full_published_names() -> None:
    head, other = small_head(), ActionHead(HEAD)
    tensors = {published_name(f"head.{key}"): value for key, value in head.state_dict().items()}
    assert "action_head.model.transformer_blocks.0.attn1.to_out.0.weight" in tensors
    load_tensors(other, tensors, "head.")
    assert all(torch.equal(a, b) for a, b in zip(head.state_dict().values(), other.state_dict().values(), strict=True))
