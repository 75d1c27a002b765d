# SPDX-License-Identifier: Apache-2.0
"""The reference network of the tests as GR00T N1.5 differs from N1: sizes, key names and the layers that N1 has not.

Written from the description of N1.5, as the rest is; no outputs of NVIDIA's code for N1.5 are at hand to hold it against.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import reference_network as n1
import torch
from torch import Tensor

MIXER = "action_head.vl_self_attention.transformer_blocks"
# Heads that are not width / heads, grouped, an odd number of blocks, more future tokens than actions.
METADATA: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 7,
        "image_size": 35, "layer_norm_eps": 3e-5, "hidden_act": "gelu_pytorch_tanh",
    },
    "text_config": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4, "head_dim": 12,
        "num_key_value_heads": 2, "vocab_size": 60, "rope_theta": 5000, "rms_norm_eps": 1e-6, "pad_token_id": 2,
        "max_position_embeddings": 256, "hidden_act": "silu", "architectures": ["Qwen3ForCausalLM"],
    },
    "select_layer": 3, "image_token_index": 50, "mlp_connector_layers": 1, "use_pixel_shuffle": False,
    "project_to_dim": None,
    "action_head_cfg": {
        "input_embedding_dim": 28, "hidden_size": 20, "action_dim": 4, "max_state_dim": 9, "action_horizon": 7,
        "max_num_embodiments": 5, "max_seq_len": 11, "num_inference_timesteps": 3, "num_timestep_buckets": 500,
        "backbone_embedding_dim": 32, "num_target_vision_tokens": 9, "use_vlln": True,
        "vl_self_attention_cfg": {
            "num_layers": 3, "num_attention_heads": 4, "attention_head_dim": 8, "positional_embeddings": None,
        },
        "diffusion_model_cfg": {
            "num_layers": 3, "num_attention_heads": 7, "attention_head_dim": 4, "output_dim": 20,
            "cross_attention_dim": 32,
        },
    },
}  # fmt: skip


def write_golden(path: Path, seed: int = 0, views: int = 2) -> dict[str, Tensor]:
    """As ``reference_network.write_golden``, under N1.5's names."""
    torch.manual_seed(seed)
    inside = as_n1(METADATA)
    w = n1.random_weights(shapes(inside))
    tensors = n1.computed(inside, w, n1.random_inputs(inside, views, shuffle=1), views)
    tensors = {key.replace("weights.backbone.model.", "weights.backbone.eagle_model."): tensors[key] for key in tensors}
    n1.save(path, tensors, METADATA)
    return tensors


def as_n1(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same under the names that ``reference_network`` knows."""
    width = metadata["text_config"]["hidden_size"]
    return {
        "vision_config": metadata["vision_config"],
        "llm_config": metadata["text_config"],
        "select_layer": metadata["select_layer"],
        "img_context_token_id": metadata["image_token_index"],
        "projector_dim": -1,
        "output_dim": width,
        "action_head_cfg": metadata["action_head_cfg"],
    }


def shapes(inside: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of the weights, under N1's names where N1 has them."""
    language, head = inside["llm_config"], inside["action_head_cfg"]
    width, per_head, mixer = language["hidden_size"], language["head_dim"], head["vl_self_attention_cfg"]
    asked, shared = (language[key] * per_head for key in ("num_attention_heads", "num_key_value_heads"))
    found = {key: shape for key, shape in n1.n1_shapes(inside).items() if ".mlp1." not in key}
    found |= n1.layer_shapes("backbone.model.mlp1.0", width, inside["vision_config"]["hidden_size"])
    for i in range(inside["select_layer"]):
        layer = f"{n1.LANGUAGE}.layers.{i}.self_attn"
        found |= {f"{layer}.q_proj.weight": (asked, width), f"{layer}.o_proj.weight": (width, asked)}
        found |= {f"{layer}.{part}_proj.weight": (shared, width) for part in "kv"}
        found |= {f"{layer}.{part}_norm.weight": (per_head,) for part in "qk"}
    for i in range(0, head["diffusion_model_cfg"]["num_layers"], 2):
        for part in ("to_k", "to_v"):
            name = f"{n1.DIT}.transformer_blocks.{i}.attn1.{part}"
            found |= n1.layer_shapes(name, head["input_embedding_dim"], width)
    found["action_head.future_tokens.weight"] = (head["num_target_vision_tokens"], head["input_embedding_dim"])
    found |= n1.layer_shapes("action_head.vlln", width)
    for i in range(mixer["num_layers"]):
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            found |= n1.layer_shapes(f"{MIXER}.{i}.attn1.{part}", width, width)
        found |= n1.layer_shapes(f"{MIXER}.{i}.norm1", width) | n1.layer_shapes(f"{MIXER}.{i}.norm3", width)
        found |= n1.layer_shapes(f"{MIXER}.{i}.ff.net.0.proj", 4 * width, width)
        found |= n1.layer_shapes(f"{MIXER}.{i}.ff.net.2", width, 4 * width)
    return found
