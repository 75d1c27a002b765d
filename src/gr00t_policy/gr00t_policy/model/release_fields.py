# SPDX-License-Identifier: Apache-2.0
"""Reading one released configuration file field by field: what was used, what was filled in, what is left over."""

from collections.abc import Mapping
from typing import Any

from gr00t_policy.core.errors import ConfigError

MOST_LAYERS = 1000  # a damaged number must not build a network without end
_DIT = "action_head_cfg.diffusion_model_cfg"
# dotted name -> what the network here does; another value is another network. Absent means the public code's default.
FIXED: dict[str, Any] = {
    "backbone_cfg.reproject_vision": False,
    "backbone_cfg.scale_image_resolution": 1,
    "backbone_cfg.remove_llm": False,
    "backbone_cfg.processor_cfg.max_input_tiles": 1,
    "backbone_cfg.processor_cfg.model_spec.template": "qwen2-chat",
    "action_head_cfg.add_pos_embed": True,
    f"{_DIT}.interleave_self_attention": True,
    f"{_DIT}.norm_type": "ada_norm",
    f"{_DIT}.positional_embeddings": None,
    f"{_DIT}.activation_fn": "gelu-approximate",
    f"{_DIT}.attention_bias": True,
    f"{_DIT}.norm_elementwise_affine": False,
    f"{_DIT}.norm_eps": 1e-5,
    f"{_DIT}.cross_attention_dim": None,
}
# The public code's default of these is not what N1 and the network here do, so their absence is worth telling.
UNLIKE_DEFAULT = (
    f"{_DIT}.interleave_self_attention",
    f"{_DIT}.norm_type",
    "action_head_cfg.vl_self_attention_cfg.positional_embeddings",
)
EAGLE_FIXED: dict[str, Any] = {
    "downsample_ratio": 0.5,
    "ps_version": "v2",
    "select_layer": -1,
    "template": "qwen2-chat",
    "pad2square": False,
    "vision_config.hidden_act": "gelu_pytorch_tanh",
    "vision_config.layer_norm_eps": 1e-6,
    "vision_config.num_channels": 3,
    "llm_config.architectures": ["LlamaForCausalLM"],
    "llm_config.hidden_act": "silu",
    "llm_config.attention_bias": False,
    "llm_config.mlp_bias": False,
    "llm_config.rope_scaling": None,
}
# Fields that are understood and change nothing for a network that is run.
KNOWN = {
    "architectures", "compute_dtype", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "name_or_path",
    "backbone_cfg.model_name", "backbone_cfg.tune_llm", "backbone_cfg.tune_visual", "backbone_cfg.allow_reshape_visual",
    "backbone_cfg.load_pretrained_det_eagle_path", "backbone_cfg.use_local_eagle_hg_model",
    "backbone_cfg.processor_cfg.model_path", "action_head_cfg.model_dtype", "action_head_cfg.tune_projector",
    "action_head_cfg.tune_diffusion_model", f"{_DIT}.final_dropout",
}  # fmt: skip


class Fields:
    """A mapping whose fields are taken one by one. Names are dotted from the top of the file.

    A field that is null counts as one that is not written, unless the method says what null means there.
    """

    def __init__(
        self, data: Any, where: str, prefix: str = "", parent: "Fields | None" = None, release: str = "N1"
    ) -> None:
        """release: whose published values are filled in. Raises ConfigError unless ``data`` is a mapping."""
        if not isinstance(data, Mapping):
            name = f"{where}: '{prefix.rstrip('.')}'" if prefix else where
            raise ConfigError(f"{name} must be an object, got {type(data).__name__}")
        self._data, self._where, self._prefix = data, where, prefix
        self._used: set[str] = parent._used if parent else set()
        self._assumed: list[str] = parent._assumed if parent else []
        self._release: str = parent._release if parent else release

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was filled in so far."""
        return tuple(self._assumed)

    def part(self, name: str, *, required: bool = False) -> "Fields":
        """The mapping under ``name``; empty when absent unless ``required``."""
        value = self._data.get(name)
        if value is None:
            if required:
                raise ConfigError(
                    f"{self._where} has no '{self._prefix}{name}'; it is needed to know the network's sizes"
                )
            self._used.add(self._prefix + name)
            value = {}
        return Fields(value, self._where, f"{self._prefix}{name}.", self)

    def integer(self, name: str, published: int | None, low: int = 1, high: int = 10_000_000) -> int:
        """A size. published: used, and reported, where it is absent; None = it must be there."""
        return int(self._number(name, published, (int,), low, high))

    def nullable(self, name: str, default: int) -> int | None:
        """A size, or None where null is written; ``default``, and reported, where it is absent."""
        if name in self._data and self._data[name] is None:
            self._used.add(self._prefix + name)
            return None
        return self.integer(name, default)

    def number(self, name: str, published: float, low: float = 0.0, high: float = 1e9) -> float:
        """A number; otherwise like ``integer``."""
        return float(self._number(name, published, (int, float), low, high))

    def same(self, dotted: str, expected: int, of: str) -> None:
        """Where ``dotted`` is written it must be ``expected``, which is ``of``."""
        _, value = self._find(dotted)
        if value is not None and (type(value) is not int or value != expected):
            raise ConfigError(f"{self._where}: {dotted} is {_short(value)}, which contradicts {of}, {expected}")

    def fixed(self, dotted: str, expected: Any, why: str) -> None:
        """Where ``dotted`` is written it must be ``expected``; absence is reported.

        Null is a value where ``expected`` is null, and where it is true: the public code takes null for false there.
        """
        found, value = self._find(dotted)
        if not found or (value is None and expected is not None and expected is not True):
            self._assumed.append(f"{dotted} {expected!r}: {_lack(found)} in {self._where}")
        elif not _equal(value, expected):
            raise ConfigError(f"{self._where}: {dotted} is {_short(value)}, expected {expected!r}; {why}")

    def check(self, table: Mapping[str, Any]) -> None:
        """``fixed`` for a table of fields; absence is told only where the public default is another."""
        for dotted, expected in table.items():
            if dotted in UNLIKE_DEFAULT or self._find(dotted)[0]:
                self.fixed(dotted, expected, "a network with another value is not supported")

    def unknown(self, known: set[str]) -> dict[str, Any]:
        """Dotted name -> value of every field that was neither used nor is in ``known``."""
        return {name: value for name, value in _leaves(self._data, "") if name not in self._used and name not in known}

    def _number(self, name: str, published: float | None, kinds: tuple[type, ...], low: float, high: float) -> float:
        dotted = self._prefix + name
        self._used.add(dotted)
        value = self._data.get(name)
        if value is None:
            if published is None:
                raise ConfigError(f"{self._where} does not say {dotted}; nothing else tells it, so add it")
            lack = _lack(name in self._data)
            self._assumed.append(f"{dotted} {published}: {lack} in {self._where}, as published for {self._release}")
            return published
        if type(value) not in kinds or not low <= value <= high:
            kind = " or ".join(item.__name__ for item in kinds)
            raise ConfigError(f"{self._where}: {dotted} must be {kind} in {low:g}..{high:g}, got {_short(value)}")
        return value

    def _find(self, dotted: str) -> tuple[bool, Any]:
        """(is it written, its value)."""
        self._used.add(dotted)
        value: Any = self._data
        keys = dotted.split(".")
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping) or key not in value:
                if value is None:
                    self._used.add(".".join(keys[:depth]))  # a part that is null is no unknown field
                return False, None
            value = value[key]
        return True, value


def _lack(written: bool) -> str:
    return "null" if written else "not"


def _equal(value: Any, expected: Any) -> bool:
    """Equality in which true is not 1."""
    return value == expected and isinstance(value, bool) == isinstance(expected, bool)


def _leaves(data: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        leaves += _leaves(value, f"{name}.") if isinstance(value, Mapping) and value else [(name, value)]
    return leaves


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
