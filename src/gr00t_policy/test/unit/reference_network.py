# SPDX-License-Identifier: Apache-2.0
"""GR00T N1 once more, written straight from its description over a dictionary of published key names, to compare with.

Slow and plain on purpose, and nothing of the network under test is used: explicit softmax, explicit masks, no caching.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]
VISION, LANGUAGE, DIT = (
    "backbone.model.vision_model.vision_model",
    "backbone.model.language_model.model",
    "action_head.model",
)

_SCALES = ("norm.weight", "norm1.weight", "norm2.weight", "norm3.weight", "mlp1.0.weight", "vlln.weight")

# Sizes that nothing else here has: two cameras, grouped heads, other epsilons, an odd number of blocks and steps.
METADATA: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 7,
        "image_size": 56, "layer_norm_eps": 3e-5, "hidden_act": "gelu_pytorch_tanh",
    },
    "llm_config": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 60, "rope_theta": 5000, "rms_norm_eps": 1e-6, "pad_token_id": 2,
        "max_position_embeddings": 256, "hidden_act": "silu",
    },
    "select_layer": 3, "img_context_token_id": 50, "projector_dim": 32, "output_dim": 28,
    "action_head_cfg": {
        "input_embedding_dim": 28, "hidden_size": 20, "action_dim": 4, "max_state_dim": 9, "action_horizon": 7,
        "max_num_embodiments": 5, "max_seq_len": 11, "num_inference_timesteps": 3, "num_timestep_buckets": 500,
        "diffusion_model_cfg": {"num_layers": 3, "num_attention_heads": 7, "attention_head_dim": 4, "output_dim": 20},
    },
}  # fmt: skip


def write_golden(path: Path, seed: int = 0, views: int = 2, **changes: Any) -> dict[str, Tensor]:
    """Write random weights, inputs and this implementation's outputs, both halves in one file. Returns what was written.

    Two prompts, padded on the left. changes: of METADATA, nested by key.
    """
    metadata = _changed(METADATA, changes)
    torch.manual_seed(seed)
    w = random_weights(n1_shapes(metadata))
    tensors = computed(metadata, w, random_inputs(metadata, views), views)
    save(path, tensors, metadata)
    return tensors


def computed(metadata: Mapping[str, Any], w: Weights, given: Mapping[str, Tensor], views: int) -> dict[str, Tensor]:
    """Everything that a file holds: weights as they are called in ``w``, inputs and every output."""
    features, images = encode(w, metadata, given["pixel_values"], given["input_ids"], given["attention_mask"])
    real = given["attention_mask"][-1].bool()
    alone = given["input_ids"][-1:, real]
    last, _ = encode(w, metadata, given["pixel_values"][-views:], alone, torch.ones_like(alone))
    return {
        **{f"weights.{key}": value for key, value in w.items()},
        **{f"in.{key}": value for key, value in given.items()},
        "out.image_embeddings": images,
        "out.features": features,
        "out.features_last_sample_unpadded": last,
        "out.actions": act(w, metadata, features, given),
        "out.train_loss": train_loss(w, metadata, features, given),
    }


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    save_file(
        {key: value.clone().contiguous() for key, value in tensors.items()},
        path,
        {key: json.dumps(value) for key, value in metadata.items()},
    )


def encode(w: Weights, metadata: Mapping[str, Any], pixels: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(features (B, S, D), image embeddings (N, tokens, width))."""
    images = _connector(w, _vision(w, metadata["vision_config"], pixels), metadata["vision_config"])
    x = w[f"{LANGUAGE}.embed_tokens.weight"][ids]
    x[ids == metadata["img_context_token_id"]] = images.flatten(0, 1)  # batch-major, view after view
    x = _language(w, metadata["llm_config"], metadata["select_layer"], x, mask)
    return (_linear(w, "backbone.linear", x) if "backbone.linear.weight" in w else x), images


def act(w: Weights, metadata: Mapping[str, Any], features: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    head = metadata["action_head_cfg"]
    steps, buckets = head["num_inference_timesteps"], head["num_timestep_buckets"]
    x = given["noise"]
    for k in range(steps):
        bucket = torch.full((len(x),), int(k / steps * buckets))
        x = x + _velocity(w, head, features, given, x, bucket) / steps
    return x


def train_loss(w: Weights, metadata: Mapping[str, Any], features: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    head = metadata["action_head_cfg"]
    t, noise, actions, mask = (given[key] for key in ("train_t", "noise", "train_actions", "train_action_mask"))
    x = (1 - t[:, None, None]) * noise + t[:, None, None] * actions
    bucket = (t * head["num_timestep_buckets"]).to(torch.int64)
    wrong = (_velocity(w, head, features, given, x, bucket) - (actions - noise)) ** 2
    return ((wrong * mask).sum() / mask.sum()).reshape(1)


def _vision(w: Weights, config: Mapping[str, Any], pixels: Tensor) -> Tensor:
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    embed = f"{VISION}.embeddings.patch_embedding"
    x = (
        F.conv2d(pixels, w[f"{embed}.weight"], w[f"{embed}.bias"], stride=config["patch_size"])
        .flatten(2)
        .transpose(1, 2)
    )
    x = x + w[f"{VISION}.embeddings.position_embedding.weight"]
    for i in range(config["num_hidden_layers"]):
        layer = f"{VISION}.encoder.layers.{i}"
        h = _norm(w, f"{layer}.layer_norm1", x, eps)
        q, k, v = (_linear(w, f"{layer}.self_attn.{part}_proj", h) for part in "qkv")
        x = x + _linear(w, f"{layer}.self_attn.out_proj", _attention(q, k, v, heads))
        h = _linear(w, f"{layer}.mlp.fc1", _norm(w, f"{layer}.layer_norm2", x, eps))
        x = x + _linear(w, f"{layer}.mlp.fc2", F.gelu(h, approximate="tanh"))
    return _norm(w, f"{VISION}.post_layernorm", x, eps)


def _connector(w: Weights, patches: Tensor, config: Mapping[str, Any]) -> Tensor:
    """Pixel shuffle by a half with its two swaps, then the two-layer MLP."""
    grid = config["image_size"] // config["patch_size"]
    if "backbone.model.mlp1.3.weight" not in w:  # N1.5
        return _linear(w, "backbone.model.mlp1.0", patches)
    count, _, width = patches.shape
    x = patches.reshape(count, grid, grid // 2, width * 2).permute(0, 2, 1, 3)
    x = x.reshape(count, grid // 2, grid // 2, width * 4).permute(0, 2, 1, 3).reshape(count, -1, width * 4)
    x = _linear(w, "backbone.model.mlp1.1", _norm(w, "backbone.model.mlp1.0", x, 1e-5))
    return _linear(w, "backbone.model.mlp1.3", F.gelu(x))


def _language(w: Weights, config: Mapping[str, Any], layers: int, x: Tensor, mask: Tensor) -> Tensor:
    eps, heads, groups = config["rms_norm_eps"], config["num_attention_heads"], config["num_key_value_heads"]
    length, head_dim = x.shape[1], config.get("head_dim", config["hidden_size"] // heads)
    seen = torch.ones(length, length).tril().bool()[None] & mask[:, None, :].bool()
    bias = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]
    frequency = config["rope_theta"] ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.cat([torch.arange(length)[:, None] * frequency] * 2, dim=-1)  # positions count padding
    for i in range(layers):
        layer = f"{LANGUAGE}.layers.{i}"
        h = _rms_norm(x, w[f"{layer}.input_layernorm.weight"], eps)
        q, k, v = (_linear(w, f"{layer}.self_attn.{part}_proj", h) for part in "qkv")
        if f"{layer}.self_attn.q_norm.weight" in w:  # of Qwen3: each head alone, before the rotation
            q, k = (
                _rms_norm(y.unflatten(-1, (-1, head_dim)), w[f"{layer}.self_attn.{part}_norm.weight"], eps).flatten(2)
                for part, y in (("q", q), ("k", k))
            )
        q, k = _rotated(q, angle, head_dim), _rotated(k, angle, head_dim)
        k, v = (_repeated(part, head_dim, heads // groups) for part in (k, v))
        x = x + _linear(w, f"{layer}.self_attn.o_proj", _attention(q, k, v, heads, bias))
        h = _rms_norm(x, w[f"{layer}.post_attention_layernorm.weight"], eps)
        gated = F.silu(_linear(w, f"{layer}.mlp.gate_proj", h)) * _linear(w, f"{layer}.mlp.up_proj", h)
        x = x + _linear(w, f"{layer}.mlp.down_proj", gated)
    return _rms_norm(x, w[f"{LANGUAGE}.norm.weight"], eps)


def _velocity(
    w: Weights, head: Mapping[str, Any], features: Tensor, given: Mapping[str, Tensor], x: Tensor, bucket: Tensor
) -> Tensor:
    ids, horizon, width = given["embodiment_id"], head["action_horizon"], head["input_embedding_dim"]
    state = _per_robot(
        w, "state_encoder.layer2", F.relu(_per_robot(w, "state_encoder.layer1", given["state"], ids)), ids
    )
    frequency = torch.exp(-torch.arange(width // 2) * math.log(10000.0) / (width // 2))
    wave = bucket[:, None] * frequency
    tau = torch.cat([wave.sin(), wave.cos()], dim=-1)[:, None].expand(-1, horizon, -1)
    a = torch.cat([_per_robot(w, "action_encoder.W1", x, ids), tau], dim=-1)
    a = _per_robot(w, "action_encoder.W3", F.silu(_per_robot(w, "action_encoder.W2", a, ids)), ids)
    if head.get("add_pos_embed", True):
        a = a + w["action_head.position_embedding.weight"][:horizon]
    before = [state]
    if "action_head.vlln.weight" in w:  # N1.5
        features = _mixed(w, head["vl_self_attention_cfg"], features)
        before.append(w["action_head.future_tokens.weight"].expand(len(x), -1, -1))
    tokens = torch.cat([*before, a], dim=1)
    out = _dit(w, head["diffusion_model_cfg"], tokens, features, bucket)[:, -horizon:]
    return _per_robot(w, "action_decoder.layer2", F.relu(_per_robot(w, "action_decoder.layer1", out, ids)), ids)


def _mixed(w: Weights, config: Mapping[str, Any], x: Tensor) -> Tensor:
    """The features once more by themselves: padding too, in no order, at no time."""
    x = _norm(w, "action_head.vlln", x, 1e-5)
    for i in range(config["num_layers"]):
        block = f"action_head.vl_self_attention.transformer_blocks.{i}"
        h = _norm(w, f"{block}.norm1", x, 1e-5)
        q, k, v = (_linear(w, f"{block}.attn1.to_{part}", h) for part in "qkv")
        x = x + _linear(w, f"{block}.attn1.to_out.0", _attention(q, k, v, config["num_attention_heads"]))
        h = F.gelu(_linear(w, f"{block}.ff.net.0.proj", _norm(w, f"{block}.norm3", x, 1e-5)), approximate="tanh")
        x = x + _linear(w, f"{block}.ff.net.2", h)
    return x


def _dit(w: Weights, config: Mapping[str, Any], x: Tensor, features: Tensor, bucket: Tensor) -> Tensor:
    """Even blocks look at the features, all of them; odd blocks at the tokens."""
    wave = bucket[:, None] * torch.exp(-math.log(10000.0) * torch.arange(128) / 127)
    time = f"{DIT}.timestep_encoder.timestep_embedder"
    temb = _linear(w, f"{time}.linear_1", torch.cat([wave.cos(), wave.sin()], dim=-1))
    temb = F.silu(_linear(w, f"{time}.linear_2", F.silu(temb)))[:, None]
    for i in range(config["num_layers"]):
        block = f"{DIT}.transformer_blocks.{i}"
        scale, shift = _linear(w, f"{block}.norm1.linear", temb).chunk(2, dim=-1)
        h = F.layer_norm(x, x.shape[-1:], eps=1e-5) * (1 + scale) + shift
        source = features if i % 2 == 0 else h
        q, k, v = (_linear(w, f"{block}.attn1.to_{part}", y) for part, y in (("q", h), ("k", source), ("v", source)))
        x = x + _linear(w, f"{block}.attn1.to_out.0", _attention(q, k, v, config["num_attention_heads"]))
        h = _linear(w, f"{block}.ff.net.0.proj", F.layer_norm(x, x.shape[-1:], eps=1e-5))
        x = x + _linear(w, f"{block}.ff.net.2", F.gelu(h, approximate="tanh"))
    shift, scale = _linear(w, f"{DIT}.proj_out_1", temb).chunk(2, dim=-1)
    return _linear(w, f"{DIT}.proj_out_2", F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | float = 0.0) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + bias).softmax(dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def _rotated(x: Tensor, angle: Tensor, head_dim: int) -> Tensor:
    x = x.unflatten(-1, (-1, head_dim))
    half = torch.cat([-x[..., head_dim // 2 :], x[..., : head_dim // 2]], dim=-1)
    return (x * angle.cos()[:, None] + half * angle.sin()[:, None]).flatten(2)


def _repeated(x: Tensor, head_dim: int, times: int) -> Tensor:
    return x.unflatten(-1, (-1, head_dim)).repeat_interleave(times, dim=2).flatten(2)


def _linear(w: Weights, key: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{key}.weight"], w.get(f"{key}.bias"))


def _per_robot(w: Weights, key: str, x: Tensor, ids: Tensor) -> Tensor:
    rows = [x[r] @ w[f"action_head.{key}.W"][i] + w[f"action_head.{key}.b"][i] for r, i in enumerate(ids)]
    return torch.stack(rows)


def _norm(w: Weights, key: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{key}.weight"], w[f"{key}.bias"], eps)


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * weight


def random_inputs(metadata: Mapping[str, Any], views: int, shuffle: int = 2) -> dict[str, Tensor]:
    """Two prompts of other lengths, filled up on the left. shuffle: patches along a side of a token."""
    head, vision = metadata["action_head_cfg"], metadata["vision_config"]
    tokens = (vision["image_size"] // vision["patch_size"] // shuffle) ** 2
    picture = [40, *[metadata["img_context_token_id"]] * tokens, 41]
    ids = torch.tensor([[2, 2, 2, 5, *picture * views, 8, 9], [2, 5, 6, 7, *picture * views, 8, 9]])
    mask = (ids != 2).long()
    horizon, action = head["action_horizon"], head["action_dim"]
    used = torch.ones(2, horizon, action)
    used[:, :, 3:] = 0
    return {
        "pixel_values": torch.randn(2 * views, 3, vision["image_size"], vision["image_size"]),
        "input_ids": ids,
        "attention_mask": mask,
        "state": torch.randn(2, 1, head["max_state_dim"]),
        "embodiment_id": torch.tensor([4, 1]),
        "noise": torch.randn(2, horizon, action),
        "train_actions": torch.randn(2, horizon, action),
        "train_action_mask": used,
        "train_t": torch.tensor([-0.001, 0.713]),
    }


def n1_shapes(metadata: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return _backbone_shapes(metadata) | _head_shapes(metadata["action_head_cfg"])


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """Of the published names and shapes, about as large as keeps the signal's size."""
    w = {}
    for name, shape in shapes.items():
        if len(shape) == 1 and name.endswith(_SCALES):
            w[name] = 1 + 0.2 * torch.randn(shape)
        else:
            fan_in = shape[-2] if name.endswith(".W") else math.prod(shape[1:])
            w[name] = torch.randn(shape) * (0.1 if len(shape) == 1 else fan_in**-0.5)
    return w


def _backbone_shapes(metadata: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    vision, language = metadata["vision_config"], metadata["llm_config"]
    tower, width, patch = vision["hidden_size"], language["hidden_size"], vision["patch_size"]
    shared = language["num_key_value_heads"] * width // language["num_attention_heads"]
    shapes: dict[str, tuple[int, ...]] = {
        f"{VISION}.embeddings.patch_embedding.weight": (tower, 3, patch, patch),
        f"{VISION}.embeddings.patch_embedding.bias": (tower,),
        f"{VISION}.embeddings.position_embedding.weight": ((vision["image_size"] // patch) ** 2, tower),
        **layer_shapes(f"{VISION}.post_layernorm", tower),
        **layer_shapes("backbone.model.mlp1.0", 4 * tower),
        **layer_shapes("backbone.model.mlp1.1", width, 4 * tower),
        **layer_shapes("backbone.model.mlp1.3", width, width),
        f"{LANGUAGE}.embed_tokens.weight": (language["vocab_size"], width),
        f"{LANGUAGE}.norm.weight": (width,),
    }
    for i in range(vision["num_hidden_layers"]):
        layer = f"{VISION}.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= layer_shapes(f"{layer}.self_attn.{part}", tower, tower)
        shapes |= layer_shapes(f"{layer}.layer_norm1", tower) | layer_shapes(f"{layer}.layer_norm2", tower)
        shapes |= layer_shapes(f"{layer}.mlp.fc1", vision["intermediate_size"], tower)
        shapes |= layer_shapes(f"{layer}.mlp.fc2", tower, vision["intermediate_size"])
    for i in range(metadata["select_layer"]):
        layer, inner = f"{LANGUAGE}.layers.{i}", language["intermediate_size"]
        sizes = {
            "self_attn.q_proj": (width, width),
            "self_attn.k_proj": (shared, width),
            "self_attn.v_proj": (shared, width),
        }
        sizes |= {"self_attn.o_proj": (width, width), "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width)}
        sizes |= {"mlp.down_proj": (width, inner)}
        shapes |= {f"{layer}.{part}.weight": size for part, size in sizes.items()}
        shapes |= {f"{layer}.{part}_layernorm.weight": (width,) for part in ("input", "post_attention")}
    if metadata["projector_dim"] != -1:
        shapes |= layer_shapes("backbone.linear", metadata["output_dim"], width)
    return shapes


def _head_shapes(head: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    d, hidden, action = head["input_embedding_dim"], head["hidden_size"], head["action_dim"]
    sizes = {"state_encoder.layer1": (head["max_state_dim"], hidden), "state_encoder.layer2": (hidden, d)}
    sizes |= {"action_encoder.W1": (action, d), "action_encoder.W2": (2 * d, d), "action_encoder.W3": (d, d)}
    sizes |= {"action_decoder.layer1": (hidden, hidden), "action_decoder.layer2": (hidden, action)}
    robots = head["max_num_embodiments"]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (width_in, width_out) in sizes.items():
        shapes[f"action_head.{name}.W"] = (robots, width_in, width_out)
        shapes[f"action_head.{name}.b"] = (robots, width_out)
    if head.get("add_pos_embed", True):
        shapes["action_head.position_embedding.weight"] = (head["max_seq_len"], d)
    time = f"{DIT}.timestep_encoder.timestep_embedder"
    shapes |= layer_shapes(f"{time}.linear_1", d, 256) | layer_shapes(f"{time}.linear_2", d, d)
    shapes |= layer_shapes(f"{DIT}.proj_out_1", 2 * d, d) | layer_shapes(f"{DIT}.proj_out_2", hidden, d)
    for i in range(head["diffusion_model_cfg"]["num_layers"]):
        block = f"{DIT}.transformer_blocks.{i}"
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            shapes |= layer_shapes(f"{block}.attn1.{part}", d, d)
        shapes |= layer_shapes(f"{block}.norm1.linear", 2 * d, d)
        shapes |= layer_shapes(f"{block}.ff.net.0.proj", 4 * d, d) | layer_shapes(f"{block}.ff.net.2", d, 4 * d)
    return shapes


def layer_shapes(name: str, width_out: int, *width_in: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width_out, *width_in), f"{name}.bias": (width_out,)}


def _changed(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the changed values; mappings are changed key by key."""
    both = {**data, **changes}
    return {k: _changed(data.get(k, {}), v) if isinstance(v, Mapping) else v for k, v in both.items()}
