# SPDX-License-Identifier: Apache-2.0
"""The configuration of GR00T N1 and N1.5 as NVIDIA releases them <-> ours. No torch here.

``config.json`` holds ``backbone_cfg`` and ``action_head_cfg``; sizes of the vision tower and of the language model are not
in it but in the Eagle configuration of the public code. What the releases call things is in ``release_forms``. Read
tolerantly, never silently: what is not known is kept and reported, what is not written is filled in from the published model
and reported, what is not supported is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import HeadConfig, LanguageConfig, ModelConfig, VisionConfig, preset
from gr00t_policy.model.release_fields import MOST_LAYERS, Fields
from gr00t_policy.model.release_forms import FORMS, N1, N1_5, Form, form_of
from gr00t_policy.model.release_n1_5 import backbone_of_n1_5, read_n1_5, with_mixer

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
    """Our configuration from a released config.json and, where there is one, the Eagle config.json beside it.

    ``embodiment_slots`` is left empty: the release does not know robots by name. Raises ConfigError on values that
    contradict each other, are not supported or are of the wrong type.
    """
    form = next((form for form in FORMS if data.get("model_type") == form.model_type), N1)
    top = Fields(data, "config.json", release=form.name)
    published = preset(form.preset)
    top.fixed("model_type", form.model_type, f"only GR00T N1 and N1.5 ('{N1_5.model_type}') can be read here")
    top.check(form.fixed)
    vision, language, image_token_id, eagle_assumed = _eagle(eagle, form, published)
    backbone = top.part("backbone_cfg")
    select_layer = backbone.integer("select_layer", published.select_layer)
    head, projected = _head(top, published.head), True
    if form is N1_5:
        head, projected = read_n1_5(top, head, published.head, language.width)
    else:
        top.same(
            "backbone_cfg.projector_dim", language.width, "the language model's width (without it there is no linear)"
        )
        tokens = "backbone_cfg.processor_cfg.model_spec.num_image_token"
        top.same(tokens, vision.tokens, "the vision tower's tokens per image")
    config = replace(
        published,
        vision=vision,
        language=language,
        head=head,
        select_layer=select_layer,
        image_token_id=image_token_id,
        embodiment_slots={},
        projected=projected,
    )
    token = f"image_token_id {image_token_id} and " if form is N1 else ""  # of N1.5 it is in Eagle's configuration
    fixed = (f"{token}crop_fraction {CROP_FRACTION}: in no file of a release, as published for {form.name}",)
    return config, ReleaseReport(top.unknown(set(form.known)), (*top.assumed, *eagle_assumed, *fixed))


def write_release(config: ModelConfig, unknown: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The released config.json of a configuration; ``unknown`` as ``read_release`` reported it goes back to its place.

    Inverse of ``read_release``. Raises ConfigError when the configuration has what the published network has not.
    """
    form = form_of(config)
    _check_published_form(config, form)
    head = config.head
    data: dict[str, Any] = {
        "model_type": form.model_type,
        "architectures": [form.architecture],
        "action_dim": head.action_dim,
        "action_horizon": head.horizon,
        "compute_dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "backbone_cfg": {
            "select_layer": config.select_layer,
            "reproject_vision": False,
            "tune_llm": False,
            "tune_visual": True,
            **(backbone_of_n1_5(config) if form is N1_5 else _backbone_of_n1(config)),
        },
        "action_head_cfg": with_mixer(_write_head(head), head) if form is N1_5 else _write_head(head),
    }
    for name, value in (unknown or {}).items():
        *path, last = name.split(".")
        place = data
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return data


def write_eagle(config: ModelConfig) -> dict[str, Any]:
    """The part of Eagle's config.json that ``read_release`` reads."""
    vision, language, form = config.vision, config.language, form_of(config)
    own = {name: value for name, value in form.eagle_fixed.items() if "." not in name}
    if form is N1_5:
        own["image_token_index"] = config.image_token_id
    return {
        "model_type": form.eagle_type,
        "force_image_size": vision.image_size,
        **own,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": vision.width,
            "intermediate_size": vision.intermediate,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "patch_size": vision.patch,
            "image_size": vision.image_size,
        },
        form.language: {
            "architectures": form.eagle_fixed[f"{form.language}.architectures"],
            **({"head_dim": language.head_dim} if language.head_dim else {}),
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


def _backbone_of_n1(config: ModelConfig) -> dict[str, Any]:
    folder = "$GR00T_BACKBONE_PATH/eagle2_hg_model"
    return {
        "model_name": folder,
        "projector_dim": config.language.width,
        "scale_image_resolution": 1,
        "processor_cfg": {
            "model_path": folder,
            "max_input_tiles": 1,
            "model_spec": {"template": "qwen2-chat", "num_image_token": config.vision.tokens},
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
        layers=dit.integer("num_layers", published.layers, high=MOST_LAYERS),
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
    eagle: Mapping[str, Any] | None, form: Form, published: ModelConfig
) -> tuple[VisionConfig, LanguageConfig, int, tuple[str, ...]]:
    """Vision tower, language model and the image token's id from Eagle's config.json, or the published ones; what was assumed."""
    if eagle is None:
        says = (
            "sizes of vision tower and language model: no eagle2_hg_model/config.json in the folder, as published for "
            f"{form.model}"
        )
        return published.vision, published.language, published.image_token_id, (says,)
    top = Fields(eagle, "eagle2_hg_model/config.json", release=form.name)
    top.fixed("model_type", form.eagle_type, f"that of {form.name} is needed")
    top.check(form.eagle_fixed)
    vision, language = top.part("vision_config", required=True), top.part(form.language, required=True)
    tower = replace(
        published.vision,
        width=vision.integer("hidden_size", None),
        intermediate=vision.integer("intermediate_size", None),
        layers=vision.integer("num_hidden_layers", None, high=MOST_LAYERS),
        heads=vision.integer("num_attention_heads", None),
        patch=vision.integer("patch_size", None),
        image_size=vision.integer("image_size", None),
    )
    top.same("force_image_size", tower.image_size, "vision_config.image_size")
    heads = language.integer("num_attention_heads", None)
    model = replace(
        published.language,
        width=language.integer("hidden_size", None),
        intermediate=language.integer("intermediate_size", None),
        layers=language.integer("num_hidden_layers", None, high=MOST_LAYERS),
        heads=heads,
        kv_heads=language.integer("num_key_value_heads", heads),
        vocab=language.integer("vocab_size", None),
        head_dim=language.integer("head_dim", None) if form is N1_5 else 0,
        rope_theta=language.number("rope_theta", published.language.rope_theta),
        max_positions=language.integer("max_position_embeddings", published.language.max_positions),
        rms_eps=language.number("rms_norm_eps", published.language.rms_eps),
        pad_id=language.integer("pad_token_id", published.language.pad_id, low=0),
    )
    token = published.image_token_id
    return tower, model, top.integer("image_token_index", token) if form is N1_5 else token, top.assumed


def _check_published_form(config: ModelConfig, form: Form) -> None:
    head, published = config.head, preset(form.preset)
    reasons = {
        "prompt_template": config.prompt_template == form.template,
        "image_token_id": form is N1_5 or config.image_token_id == published.image_token_id,
        "crop_fraction": config.crop_fraction == CROP_FRACTION,
        "instruction_tokens": config.instruction_tokens == 0,
        "aux_targets": config.aux_targets == 0,
        "connector_layers": config.connector_layers == published.connector_layers,
        "vision.shuffle": config.vision.shuffle == published.vision.shuffle,
        "language.family": config.language.family == published.language.family,
        "language.bidirectional": not config.language.bidirectional,
        "head.attend_padding": head.attend_padding,
        "head.ff_mult": head.ff_mult == 4,
        "head.mixer_layers": bool(head.mixer_layers) == bool(published.head.mixer_layers),
        "head.future_tokens": bool(head.future_tokens) == bool(published.head.future_tokens),
        "head.cross_dim": form is N1_5 or (head.cross_dim == head.width and config.projected),
    }
    if different := [name for name, published in reasons.items() if not published]:
        raise ConfigError(
            f"this network cannot be written in the released layout: {', '.join(different)} is not as in {form.name}"
        )
