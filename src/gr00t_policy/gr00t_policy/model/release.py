# SPDX-License-Identifier: Apache-2.0
"""The configuration of GR00T N1 as NVIDIA releases it <-> ours. No torch here.

``config.json`` holds ``backbone_cfg`` and ``action_head_cfg``; sizes of the vision tower and of the language model are not
in it but in the Eagle-2 configuration of the public code. Read tolerantly, never silently: what is not known is kept and
reported, what is not written is filled in from the published model and reported, what is not supported is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import HeadConfig, LanguageConfig, ModelConfig, VisionConfig, preset
from gr00t_policy.model.release_fields import EAGLE_FIXED, FIXED, KNOWN, Fields

MODEL_TYPE = "gr00t_n1"
IMAGE_TOKEN_ID = 49154  # <IMG_CONTEXT> in the published tokenizer; in no configuration file
_MOST_LAYERS = 1000  # a damaged number must not build a network without end
CROP_FRACTION = 0.95  # of the published image transform; in no configuration file


@dataclass(frozen=True)
class ReleaseReport:
    """unknown: dotted name -> value of fields that nothing here understands. assumed: sentences, one per value filled in."""

    unknown: dict[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


def is_release(data: Any) -> bool:
    """Whether a config.json is one of NVIDIA's and not ours."""
    return isinstance(data, Mapping) and ("action_head_cfg" in data or "model_type" in data)


def read_release(data: Mapping[str, Any], eagle: Mapping[str, Any] | None) -> tuple[ModelConfig, ReleaseReport]:
    """Our configuration from a released config.json and, where there is one, the Eagle-2 config.json beside it.

    ``embodiment_slots`` is left empty: the release does not know robots by name. Raises ConfigError on values that
    contradict each other, are not supported or are of the wrong type.
    """
    top = Fields(data, "config.json")
    published = preset("n1_2b")
    top.fixed("model_type", MODEL_TYPE, "only GR00T N1 can be read here")
    top.check(FIXED)
    vision, language, eagle_assumed = _eagle(eagle, published)
    backbone = top.part("backbone_cfg")
    select_layer = backbone.integer("select_layer", published.select_layer)
    top.same("backbone_cfg.projector_dim", language.width, "the language model's width (without it there is no linear)")
    top.same(
        "backbone_cfg.processor_cfg.model_spec.num_image_token", vision.tokens, "the vision tower's tokens per image"
    )
    config = ModelConfig(
        vision=vision,
        language=language,
        head=_head(top, published.head),
        select_layer=select_layer,
        prompt_template="eagle2",
        image_token_id=IMAGE_TOKEN_ID,
        crop_fraction=CROP_FRACTION,
    )
    fixed = (
        f"image_token_id {IMAGE_TOKEN_ID} and crop_fraction {CROP_FRACTION}: in no file of a release, as published for N1",
    )
    return config, ReleaseReport(top.unknown(KNOWN), (*top.assumed, *eagle_assumed, *fixed))


def write_release(config: ModelConfig, unknown: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The released config.json of a configuration; ``unknown`` as ``read_release`` reported it goes back to its place.

    Inverse of ``read_release``. Raises ConfigError when the configuration has what the published network has not.
    """
    _check_published_form(config)
    head, language = config.head, config.language
    data: dict[str, Any] = {
        "model_type": MODEL_TYPE,
        "architectures": ["GR00T_N1"],
        "action_dim": head.action_dim,
        "action_horizon": head.horizon,
        "compute_dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "backbone_cfg": {
            "model_name": "$GR00T_BACKBONE_PATH/eagle2_hg_model",
            "select_layer": config.select_layer,
            "projector_dim": language.width,
            "reproject_vision": False,
            "scale_image_resolution": 1,
            "tune_llm": False,
            "tune_visual": True,
            "processor_cfg": {
                "model_path": "$GR00T_BACKBONE_PATH/eagle2_hg_model",
                "max_input_tiles": 1,
                "model_spec": {"template": "qwen2-chat", "num_image_token": config.vision.tokens},
            },
        },
        "action_head_cfg": _write_head(head),
    }
    for name, value in (unknown or {}).items():
        *path, last = name.split(".")
        place = data
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return data


def write_eagle(config: ModelConfig) -> dict[str, Any]:
    """The part of Eagle-2's config.json that ``read_release`` reads."""
    vision, language = config.vision, config.language
    return {
        "model_type": "eagle_chat",
        "force_image_size": vision.image_size,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "template": "qwen2-chat",
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": vision.width,
            "intermediate_size": vision.intermediate,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "patch_size": vision.patch,
            "image_size": vision.image_size,
        },
        "llm_config": {
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": language.width,
            "intermediate_size": language.intermediate,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": language.kv_heads,
            "vocab_size": language.vocab,
            "rope_theta": language.rope_theta,
            "max_position_embeddings": language.max_positions,
            "rms_norm_eps": language.rms_eps,
            "pad_token_id": language.pad_id,
        },
    }


def _head(top: Fields, published: HeadConfig) -> HeadConfig:
    """Sizes from action_head_cfg; the head split must be written there, since no weight's shape tells it."""
    part = top.part("action_head_cfg", required=True)
    dit = part.part("diffusion_model_cfg", required=True)
    width = part.integer("input_embedding_dim", published.width)
    heads, head_dim = dit.integer("num_attention_heads", None), dit.integer("attention_head_dim", None)
    hidden = part.integer("hidden_size", published.hidden)
    action_dim = part.integer("action_dim", published.action_dim)
    horizon = part.integer("action_horizon", published.horizon)
    top.same("action_head_cfg.max_action_dim", action_dim, "action_head_cfg.action_dim")
    top.same("action_dim", action_dim, "action_head_cfg.action_dim")
    top.same("action_horizon", horizon, "action_head_cfg.action_horizon")
    top.same("action_head_cfg.diffusion_model_cfg.output_dim", hidden, "action_head_cfg.hidden_size")
    return HeadConfig(
        width=width,
        hidden=hidden,
        layers=dit.integer("num_layers", published.layers, high=_MOST_LAYERS),
        heads=heads,
        head_dim=head_dim,
        state_dim=part.integer("max_state_dim", published.state_dim),
        action_dim=action_dim,
        horizon=horizon,
        embodiments=part.integer("max_num_embodiments", published.embodiments),
        cross_dim=width,
        max_seq_len=part.integer("max_seq_len", published.max_seq_len),
        steps=part.integer("num_inference_timesteps", published.steps),
        buckets=part.integer("num_timestep_buckets", published.buckets),
        beta_alpha=part.number("noise_beta_alpha", published.beta_alpha),
        beta_beta=part.number("noise_beta_beta", published.beta_beta),
        noise_s=part.number("noise_s", published.noise_s),
        dropout=dit.number("dropout", published.dropout, high=1.0),
        attend_padding=True,
    )


def _write_head(head: HeadConfig) -> dict[str, Any]:
    return {
        "add_pos_embed": True,
        "model_dtype": "float32",
        "diffusion_model_cfg": {
            "num_layers": head.layers,
            "num_attention_heads": head.heads,
            "attention_head_dim": head.head_dim,
            "norm_type": "ada_norm",
            "dropout": head.dropout,
            "final_dropout": True,
            "output_dim": head.hidden,
            "interleave_self_attention": True,
            "positional_embeddings": None,
        },
        "input_embedding_dim": head.width,
        "hidden_size": head.hidden,
        "max_seq_len": head.max_seq_len,
        "action_dim": head.action_dim,
        "max_action_dim": head.action_dim,
        "max_state_dim": head.state_dim,
        "action_horizon": head.horizon,
        "noise_beta_alpha": head.beta_alpha,
        "noise_beta_beta": head.beta_beta,
        "noise_s": head.noise_s,
        "num_timestep_buckets": head.buckets,
        "num_inference_timesteps": head.steps,
        "max_num_embodiments": head.embodiments,
        "tune_projector": True,
        "tune_diffusion_model": True,
    }


def _eagle(
    eagle: Mapping[str, Any] | None, published: ModelConfig
) -> tuple[VisionConfig, LanguageConfig, tuple[str, ...]]:
    """Vision tower and language model from Eagle-2's config.json, or the published ones."""
    if eagle is None:
        says = "sizes of vision tower and language model: no eagle2_hg_model/config.json in the folder, as published for N1-2B"
        return published.vision, published.language, (says,)
    top = Fields(eagle, "eagle2_hg_model/config.json")
    top.check(EAGLE_FIXED)
    vision, language = top.part("vision_config", required=True), top.part("llm_config", required=True)
    tower = VisionConfig(
        width=vision.integer("hidden_size", None),
        intermediate=vision.integer("intermediate_size", None),
        layers=vision.integer("num_hidden_layers", None, high=_MOST_LAYERS),
        heads=vision.integer("num_attention_heads", None),
        patch=vision.integer("patch_size", None),
        image_size=vision.integer("image_size", None),
    )
    top.same("force_image_size", tower.image_size, "vision_config.image_size")
    heads = language.integer("num_attention_heads", None)
    llama = LanguageConfig(
        width=language.integer("hidden_size", None),
        intermediate=language.integer("intermediate_size", None),
        layers=language.integer("num_hidden_layers", None, high=_MOST_LAYERS),
        heads=heads,
        kv_heads=language.integer("num_key_value_heads", heads),
        vocab=language.integer("vocab_size", None),
        rope_theta=language.number("rope_theta", published.language.rope_theta),
        max_positions=language.integer("max_position_embeddings", published.language.max_positions),
        rms_eps=language.number("rms_norm_eps", published.language.rms_eps),
        pad_id=language.integer("pad_token_id", published.language.pad_id, low=0),
    )
    return tower, llama, top.assumed


def _check_published_form(config: ModelConfig) -> None:
    head = config.head
    reasons = {
        "prompt_template": config.prompt_template == "eagle2",
        "image_token_id": config.image_token_id == IMAGE_TOKEN_ID,
        "crop_fraction": config.crop_fraction == CROP_FRACTION,
        "instruction_tokens": config.instruction_tokens == 0,
        "aux_targets": config.aux_targets == 0,
        "language.bidirectional": not config.language.bidirectional,
        "head.attend_padding": head.attend_padding,
        "head.ff_mult": head.ff_mult == 4,
        "head.cross_dim": head.cross_dim == head.width,
    }
    if different := [name for name, published in reasons.items() if not published]:
        raise ConfigError(
            f"this network cannot be written in the released layout: {', '.join(different)} is not as in N1"
        )
