# SPDX-License-Identifier: Apache-2.0
"""What the releases N1 and N1.5 call things in their files, and what is always so in each. No torch here.

Sources: the public code of both releases (gr00t_n1.py, eagle_backbone.py, flow_matching_action_head.py, cross_attention_dit.py
and eagle2_hg_model/config.json) and the public config.json of GR00T-N1.5-3B.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.release_fields import EAGLE_FIXED, FIXED, KNOWN

_HEAD = "action_head_cfg"
_MIXER = f"{_HEAD}.vl_self_attention_cfg"
_POOLING = "backbone.eagle_model.vision_model.vision_model.head."
_LM_HEAD = "backbone.eagle_model.language_model.lm_head.weight"


@dataclass(frozen=True)
class Form:
    """One release.

    model: as published. preset: its sizes here. template: the network's prompt_template. fixed, eagle_fixed: dotted name ->
    what the network here does, of config.json and of Eagle's own; another value is another network. known: fields that change
    nothing. language: name of the language model's part in Eagle's configuration. eagle_type: its model_type.
    """

    name: str
    model: str
    model_type: str
    architecture: str
    preset: str
    template: str
    fixed: Mapping[str, Any]
    known: frozenset[str]
    language: str
    eagle_type: str
    eagle_fixed: Mapping[str, Any]


N1 = Form(
    name="N1",
    model="GR00T-N1-2B",
    model_type="gr00t_n1",
    architecture="GR00T_N1",
    preset="n1_2b",
    template="eagle2",
    fixed=FIXED,
    known=frozenset(KNOWN),
    language="llm_config",
    eagle_type="eagle_chat",
    eagle_fixed=EAGLE_FIXED,
)
_OF_N1_ALONE = (
    "backbone_cfg.scale",
    "backbone_cfg.remove",
    "backbone_cfg.processor",
    f"{_HEAD}.diffusion_model_cfg.cross",
)
N1_5 = Form(
    name="N1.5",
    model="GR00T-N1.5-3B",
    model_type="gr00t_n1_5",
    architecture="GR00T_N1_5",
    preset="n1_5_3b",
    template="eagle2_5",
    fixed={name: value for name, value in FIXED.items() if not name.startswith(_OF_N1_ALONE)}
    | {
        f"{_HEAD}.use_vlln": True,
        f"{_MIXER}.positional_embeddings": None,
        f"{_MIXER}.activation_fn": "gelu-approximate",
        f"{_MIXER}.attention_bias": True,
    },
    known=frozenset(KNOWN)
    | {
        "hidden_size", "model_dtype", "attn_implementation", "backbone_cfg.eagle_path", "backbone_cfg.load_bf16",
        "backbone_cfg.use_flash_attention", f"{_HEAD}.expand_batch", f"{_MIXER}.final_dropout",
    },
    language="text_config",
    eagle_type="eagle_2_5_vl",
    eagle_fixed={name: value for name, value in EAGLE_FIXED.items() if name.startswith("vision_config.")}
    | {
        "use_pixel_shuffle": False,
        "mlp_connector_layers": 1,
        "select_layer": -1,
        "template": "qwen3-chat",
        "pad2square": False,
        "text_config.architectures": ["Qwen3ForCausalLM"],
        "text_config.hidden_act": "silu",
        "text_config.attention_bias": False,
        "text_config.rope_scaling": None,
        "text_config.use_sliding_window": False,
    },
)  # fmt: skip
FORMS = (N1, N1_5)


def form_of(config: ModelConfig) -> Form:
    """The release that a network has the form of; N1 for what is of neither."""
    return next((form for form in FORMS if form.template == config.prompt_template), N1)


def idle_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Published key -> shape of tensors that a release stores and that no feature or action depends on: they are neither
    loaded nor missed. N1 has none; N1.5 has SigLIP's pooling head and Qwen3's output layer, 0.65 GB in bfloat16."""
    if config.prompt_template != N1_5.template:
        return {}
    width, inner = config.vision.width, config.vision.intermediate
    pooling: dict[str, tuple[int, ...]] = {
        "probe": (1, 1, width),
        "attention.in_proj_weight": (3 * width, width),
        "attention.in_proj_bias": (3 * width,),
        "attention.out_proj.weight": (width, width),
        "attention.out_proj.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
        "mlp.fc1.weight": (inner, width),
        "mlp.fc1.bias": (inner,),
        "mlp.fc2.weight": (width, inner),
        "mlp.fc2.bias": (width,),
    }
    shapes = {f"{_POOLING}{name}": shape for name, shape in pooling.items()}
    return shapes | {_LM_HEAD: (config.language.vocab, config.language.width)}
