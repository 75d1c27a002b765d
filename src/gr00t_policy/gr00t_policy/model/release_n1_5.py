# SPDX-License-Identifier: Apache-2.0
"""What config.json of GR00T N1.5 says that N1's does not: how features get their width and what mixes them. No torch here."""

from dataclasses import replace
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import HeadConfig, ModelConfig
from gr00t_policy.model.release_fields import MOST_LAYERS, Fields

_DEFAULT_PROJECTION = (
    1536  # of the public eagle_backbone.py where config.json does not say project_to_dim; N1.5-3B says null
)


def read_n1_5(top: Fields, head: HeadConfig, published: HeadConfig, width: int) -> tuple[HeadConfig, bool]:
    """(the head with what N1.5 has more, whether features pass a last linear layer).

    head: as read for N1. width: of the language model. How heads are split is never guessed. Raises ConfigError.
    """
    part, features = (
        top.part("action_head_cfg"),
        top.part("backbone_cfg").nullable("project_to_dim", _DEFAULT_PROJECTION),
    )
    dit, mixer = part.part("diffusion_model_cfg"), part.part("vl_self_attention_cfg", required=True)
    cross_dim = dit.integer("cross_attention_dim", None)
    top.same("action_head_cfg.backbone_embedding_dim", cross_dim, "diffusion_model_cfg.cross_attention_dim")
    if cross_dim != (features or width):
        raise ConfigError(
            f"config.json: cross_attention_dim is {cross_dim}, which contradicts the width of the features, "
            f"{features or width}: backbone_cfg.project_to_dim is {features}, the language model is {width} wide"
        )
    if (dropout := mixer.number("dropout", head.dropout, high=1.0)) != head.dropout:
        raise ConfigError(
            f"config.json: vl_self_attention_cfg.dropout is {dropout:g}; another than that of the DiT, {head.dropout:g}, is "
            "not supported"
        )
    both = replace(
        head,
        cross_dim=cross_dim,
        future_tokens=part.integer("num_target_vision_tokens", published.future_tokens),
        mixer_layers=mixer.integer("num_layers", None, high=MOST_LAYERS),
        mixer_heads=mixer.integer("num_attention_heads", None),
        mixer_head_dim=mixer.integer("attention_head_dim", None),
    )
    return both, features is not None


def backbone_of_n1_5(config: ModelConfig) -> dict[str, Any]:
    """``backbone_cfg``, but for what both releases have."""
    return {
        "project_to_dim": config.head.cross_dim if config.projected else None,
        "load_bf16": False,
        "use_flash_attention": True,
    }


def with_mixer(written: dict[str, Any], head: HeadConfig) -> dict[str, Any]:
    """``action_head_cfg`` as written for N1, with what N1.5 has more."""
    dit = written["diffusion_model_cfg"] | {"cross_attention_dim": head.cross_dim}
    return written | {
        "diffusion_model_cfg": dit,
        "backbone_embedding_dim": head.cross_dim,
        "num_target_vision_tokens": head.future_tokens,
        "use_vlln": True,
        "vl_self_attention_cfg": {
            "num_layers": head.mixer_layers,
            "num_attention_heads": head.mixer_heads,
            "attention_head_dim": head.mixer_head_dim,
            "dropout": head.dropout,
            "final_dropout": True,
            "positional_embeddings": None,
        },
    }
