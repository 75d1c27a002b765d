# SPDX-License-Identifier: Apache-2.0
"""The configuration that a file of reference outputs declares in its metadata, under the published field names.

What the metadata does not say is as in GR00T-N1-2B, or in GR00T-N1.5-3B where ``text_config`` stands in ``llm_config``'s place
or ``use_vlln`` is true. What would make another function than ours is refused by name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import HeadConfig, ModelConfig, preset
from gr00t_policy.model.dit import BLOCK_EPS

IDENTITY = -1  # projector_dim of a backbone whose last linear layer is the identity
VISION_EPS = 1e-6  # LayerNorms of SigLIP, published
_LARGEST = 2**31 - 1
# What stands in the metadata beside the configuration, and says nothing about the function that is computed.
_TALK = {"format", "description", "source", "torch", "transformers", "diffusers", "seed"}

# What transformers writes into every configuration, and into those of SigLIP, Llama and Qwen3, that has no part in what a
# tower of this form computes in evaluation.
_OF_TRANSFORMERS = (
    "_attn_implementation", "_name_or_path", "add_cross_attention", "architectures", "attention_dropout",
    "attn_implementation", "auto_map", "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "chunk_size_feed_forward",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample", "drop_path_rate", "dtype",
    "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id", "exponential_decay_length_penalty", "finetuning_task",
    "forced_bos_token_id", "forced_eos_token_id", "id2label", "initializer_range", "is_decoder", "is_encoder_decoder",
    "label2id", "layer_types", "length_penalty", "max_length", "max_window_layers", "min_length", "model_type",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_scores", "pad_token_id", "prefix", "pretraining_tp", "problem_type", "pruned_heads",
    "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id",
    "sliding_window", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder",
    "tie_word_embeddings", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript", "transformers.js_config",
    "transformers_version", "typical_p", "use_bfloat16", "use_cache", "vision_use_head",
)  # fmt: skip


@dataclass(frozen=True)
class Declared:
    """head: of System 1, None = not in the file. backbone: of System 2; its ``head.cross_dim`` is the features' width.

    vision_eps: of the vision tower's LayerNorms. positions: the action tokens have position embeddings. projector: the
    features pass a last linear layer. unused: names of what is declared and not used here.
    """

    head: HeadConfig | None
    backbone: ModelConfig | None
    vision_eps: float
    positions: bool
    projector: bool
    unused: tuple[str, ...]


def declared(metadata: Mapping[str, str]) -> Declared:
    """Read the metadata of a file. Raises ConfigError: no or half a configuration, a value that is of another type,
    unknown or contradicts another."""
    top = _Fields({key: _json(key, text) for key, text in metadata.items() if key not in _TALK}, "metadata")
    head_data, vision, llama, qwen = (
        top.mapping(key) for key in ("action_head_cfg", "vision_config", "llm_config", "text_config")
    )
    if llama is not None and qwen is not None:
        raise ConfigError("metadata has llm_config (of N1) and text_config (of N1.5); System 2 has one language model")
    language = llama or qwen
    if (vision is None) != (language is None):
        raise ConfigError("metadata has one of vision_config and llm_config (or text_config); System 2 needs both")
    if head_data is None and vision is None:
        raise ConfigError(
            "metadata holds no configuration; expected action_head_cfg, or vision_config and llm_config (or "
            "text_config); "
            f"it has: {', '.join(sorted(metadata)) or 'nothing'}"
        )
    head = _head(head_data) if head_data is not None else None
    backbone = None
    vision_eps = VISION_EPS
    if vision is not None and language is not None:
        read = _backbone_of_n1_5 if qwen is not None else _backbone
        backbone = read(top, vision, language, head)
        vision_eps = vision.number("layer_norm_eps", VISION_EPS)
        for tower in (vision, language):
            tower.pass_over(*_OF_TRANSFORMERS)
            top.leave(tower)
    return Declared(
        head,
        backbone,
        vision_eps=vision_eps,
        positions=head_data is None or head_data.value("add_pos_embed", True),
        projector=qwen is not None or top.value("projector_dim", 0) != IDENTITY,
        unused=tuple(top.unread() + (head_data.unread() if head_data is not None else [])),
    )


def _head(given: "_Fields") -> HeadConfig:
    """Field names of ``action_head_cfg`` in the published config.json; see the public flow_matching_action_head.py."""
    mixes = given.value("use_vlln", False)
    usual = preset("n1_5_3b" if mixes is True else "n1_2b").head
    dit = given.mapping("diffusion_model_cfg") or _Fields({}, "diffusion_model_cfg")
    width = given.integer("input_embedding_dim", usual.width)
    hidden = given.integer("hidden_size", usual.hidden)
    action_dim = given.integer("action_dim", given.integer("max_action_dim", usual.action_dim))
    given.must_be("add_pos_embed", True, False)
    given.must_be("use_vlln", False, True)  # true in N1.5
    dit.must_be("output_dim", hidden)
    dit.must_be("norm_type", "ada_norm")
    dit.must_be("interleave_self_attention", True)
    dit.must_be("positional_embeddings", None)
    dit.must_be("activation_fn", "gelu-approximate")
    dit.must_be("attention_bias", True)
    dit.must_be("norm_elementwise_affine", False)
    dit.must_be("norm_eps", BLOCK_EPS)
    config = HeadConfig(
        width=width,
        hidden=hidden,
        layers=dit.integer("num_layers", usual.layers),
        heads=dit.integer("num_attention_heads", usual.heads),
        head_dim=dit.integer("attention_head_dim", usual.head_dim),
        state_dim=given.integer("max_state_dim", usual.state_dim),
        action_dim=action_dim,
        horizon=given.integer("action_horizon", usual.horizon),
        embodiments=given.integer("max_num_embodiments", usual.embodiments),
        cross_dim=dit.integer("cross_attention_dim", usual.cross_dim if mixes else width),
        max_seq_len=given.integer("max_seq_len", usual.max_seq_len),
        steps=given.integer("num_inference_timesteps", usual.steps),
        buckets=given.integer("num_timestep_buckets", usual.buckets),
        beta_alpha=given.number("noise_beta_alpha", usual.beta_alpha),
        beta_beta=given.number("noise_beta_beta", usual.beta_beta),
        noise_s=given.number("noise_s", usual.noise_s),
        attend_padding=True,  # the published head ignores the mask
    )
    if mixes:
        config = _with_mixer(given, config, usual)
    given.pass_over("max_action_dim", "tune_projector", "tune_diffusion_model", "model_dtype")  # of data, of training
    dit.pass_over("dropout", "final_dropout")  # both off in evaluation
    given.leave(dit)
    return config


def _with_mixer(given: "_Fields", head: HeadConfig, usual: HeadConfig) -> HeadConfig:
    """What the head of N1.5 has more."""
    mixer = given.mapping("vl_self_attention_cfg") or _Fields({}, "vl_self_attention_cfg")
    given.must_be("backbone_embedding_dim", head.cross_dim)
    mixer.must_be("positional_embeddings", None)
    mixer.must_be("activation_fn", "gelu-approximate")
    mixer.must_be("attention_bias", True)
    mixer.pass_over("dropout", "final_dropout", "output_dim")  # off in evaluation; without effect in the public code
    given.leave(mixer)
    return replace(
        head,
        future_tokens=given.integer("num_target_vision_tokens", usual.future_tokens),
        mixer_layers=mixer.integer("num_layers", usual.mixer_layers),
        mixer_heads=mixer.integer("num_attention_heads", usual.mixer_heads),
        mixer_head_dim=mixer.integer("attention_head_dim", usual.mixer_head_dim),
    )


def _backbone(top: "_Fields", vision: "_Fields", language: "_Fields", head: HeadConfig | None) -> ModelConfig:
    """Field names of SigLIP's and Llama's own configurations in transformers, and of the Eagle wrapper around them."""
    usual = preset("n1_2b")
    top.must_be("downsample_ratio", 0.5)
    top.must_be("ps_version", "v2")
    top.must_be("reproject_vision", False)
    width = language.integer("hidden_size", usual.language.width)
    heads = language.integer("num_attention_heads", usual.language.heads)
    language.must_be("head_dim", width // heads)
    top.must_be("projector_dim", width, IDENTITY)
    features = top.integer("output_dim", head.cross_dim if head is not None else usual.head.cross_dim)
    if head is not None and features != head.cross_dim:
        raise ConfigError(
            f"output_dim {features} of System 2 is not the {head.cross_dim} that action_head_cfg looks at"
        )
    if top.value("projector_dim", width) == IDENTITY and features != width:
        raise ConfigError(f"projector_dim -1 leaves features as wide as the language model, {width}, not {features}")
    return replace(
        usual,
        **_towers(top, vision, language, usual),
        head=head or replace(usual.head, cross_dim=features),
        image_token_id=top.integer("img_context_token_id", usual.image_token_id, low=0),
    )


def _backbone_of_n1_5(top: "_Fields", vision: "_Fields", language: "_Fields", head: HeadConfig | None) -> ModelConfig:
    """The same of Eagle-2.5: Qwen3's own configuration, and other names around it."""
    usual = preset("n1_5_3b")
    language.must_be("use_sliding_window", False)
    top.must_be("use_pixel_shuffle", False)
    top.must_be("mlp_connector_layers", 1)
    top.must_be("reproject_vision", False)
    towers = _towers(top, vision, language, usual)
    projected = top.value("project_to_dim", None) is not None
    features = top.integer("project_to_dim", towers["language"].width)
    if head is not None and features != head.cross_dim:
        raise ConfigError(
            f"features of System 2 are {features} wide, not the {head.cross_dim} that action_head_cfg looks at"
        )
    return replace(
        usual,
        **towers,
        # Of System 1 nothing but the features' width counts here.
        head=head or replace(preset("n1_2b").head, cross_dim=features),
        image_token_id=top.integer("image_token_index", usual.image_token_id, low=0),
        projected=projected,
    )


def _towers(top: "_Fields", vision: "_Fields", language: "_Fields", usual: ModelConfig) -> dict[str, Any]:
    """Fields of ``ModelConfig``: vision tower, language model and how many of its layers are kept; no slots for robots."""
    vision.must_be("hidden_act", "gelu_pytorch_tanh")
    vision.must_be("num_channels", 3)
    language.must_be("hidden_act", "silu")
    language.must_be("attention_bias", False)
    language.must_be("mlp_bias", False)
    language.must_be("rope_scaling", None)
    rope = language.mapping("rope_parameters") or _Fields({}, "rope_parameters")  # where transformers 5 writes it
    rope.must_be("rope_type", "default")
    language.leave(rope)
    layers = language.integer("num_hidden_layers", usual.language.layers)
    heads = language.integer("num_attention_heads", usual.language.heads)
    head_dim, shared = usual.language.head_dim, usual.language.kv_heads
    return {
        "vision": replace(
            usual.vision,
            width=vision.integer("hidden_size", usual.vision.width),
            intermediate=vision.integer("intermediate_size", usual.vision.intermediate),
            layers=vision.integer("num_hidden_layers", usual.vision.layers),
            heads=vision.integer("num_attention_heads", usual.vision.heads),
            patch=vision.integer("patch_size", usual.vision.patch),
            image_size=vision.integer("image_size", usual.vision.image_size),
        ),
        "language": replace(
            usual.language,
            width=language.integer("hidden_size", usual.language.width),
            intermediate=language.integer("intermediate_size", usual.language.intermediate),
            layers=layers,
            heads=heads,
            kv_heads=language.integer("num_key_value_heads", shared if head_dim else heads),
            head_dim=language.integer("head_dim", head_dim) if head_dim else 0,
            vocab=language.integer("vocab_size", usual.language.vocab),
            rope_theta=language.number("rope_theta", rope.number("rope_theta", usual.language.rope_theta)),
            max_positions=language.integer("max_position_embeddings", usual.language.max_positions),
            rms_eps=language.number("rms_norm_eps", usual.language.rms_eps),
            pad_id=language.integer("pad_token_id", usual.language.pad_id, low=0),
        ),
        "select_layer": min(top.integer("select_layer", usual.select_layer), layers),  # layers above it are removed
        "embodiment_slots": {},
    }


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if key.endswith(("_cfg", "_config")):
            raise ConfigError(f"metadata '{key}' is not valid JSON: {error}") from error
        return text  # a plain word


class _Fields:
    """A mapping from JSON, read by name with a value for what is absent or null; remembers what nobody asked for."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data, self._where = data, where
        self._unread = {key for key, value in data.items() if value is not None}
        self._parts: list[_Fields] = []

    def value(self, key: str, default: Any) -> Any:
        self._unread.discard(key)
        value = self._data.get(key)
        return default if value is None else value

    def mapping(self, key: str) -> "_Fields | None":
        """A part, None when absent."""
        value = self.value(key, None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"{self._where}: '{key}' must be a JSON object, got {value!r:.60}")
        return _Fields(value, key)

    def integer(self, key: str, default: int, low: int = 1) -> int:
        value = self.value(key, default)
        if type(value) is not int or not low <= value <= _LARGEST:
            raise ConfigError(f"{self._where}: '{key}' must be a whole number from {low}, got {value!r:.60}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.value(key, default)
        if type(value) not in (int, float) or not 0 < value <= 1e12 or not math.isfinite(value):
            raise ConfigError(f"{self._where}: '{key}' must be a positive number, got {value!r:.60}")
        return float(value)

    def must_be(self, key: str, *choices: Any) -> None:
        """Absent counts as the first choice."""
        value = self.value(key, choices[0])
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            known = " or ".join(json.dumps(choice) for choice in choices)
            raise ConfigError(f"{self._where}: '{key}' is {value!r:.60}; this network has {known}")

    def pass_over(self, *keys: str) -> None:
        """These say nothing about the function."""
        self._unread.difference_update(keys)

    def leave(self, part: "_Fields") -> None:
        """A part whose unread keys are reported with ours."""
        self._parts.append(part)

    def unread(self) -> list[str]:
        own = [f"{self._where}.{key}" for key in sorted(self._unread)]
        return own + [name for part in self._parts for name in part.unread()]
