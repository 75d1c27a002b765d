# SPDX-License-Identifier: Apache-2.0
"""Sizes and choices of the network as plain frozen values: presets, strict reading and writing. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from gr00t_policy.core.errors import ConfigError

TEMPLATES = ("eagle2", "eagle2_5", "compact")
FAMILIES = ("llama", "qwen3")
ATTENTIONS = ("sdpa", "eager")
Config = TypeVar("Config")
EULER_STEPS = (1, 2, 4, 8, 16)  # of a chunk, that can be chosen at run time; times of fewer are among those of more
SHUFFLE = 2  # pixel shuffle joins SHUFFLE x SHUFFLE patches into one token (downsample_ratio 0.5 of Eagle-2)
CONNECTORS = (1, 2)  # linear layers between vision tower and language model: Eagle-2.5 of N1.5, Eagle-2 of N1


@dataclass(frozen=True)
class VisionConfig:
    """SigLIP vision tower. Any square image whose side is a multiple of ``shuffle * patch`` is only another number.

    shuffle: patches along each side that pixel shuffle joins into one token; 1 = each patch is a token.
    sinusoid_positions: start the learned position table as 2-D sinusoids (helps training from scratch).
    """

    width: int
    intermediate: int
    layers: int
    heads: int
    patch: int
    image_size: int
    sinusoid_positions: bool = False
    shuffle: int = SHUFFLE

    def __post_init__(self) -> None:
        _check_divides("vision.heads", self.heads, "vision.width", self.width)
        if self.shuffle not in (1, SHUFFLE):
            raise ConfigError(f"vision.shuffle must be 1 or {SHUFFLE}, got {self.shuffle}")
        _check_divides(
            f"{self.shuffle} * vision.patch", self.shuffle * self.patch, "vision.image_size", self.image_size
        )
        if self.sinusoid_positions:
            _check_divides("4", 4, "vision.width (with sinusoid_positions)", self.width)

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch

    @property
    def token_grid(self) -> int:
        """Tokens along one side of the image, after pixel shuffle."""
        return self.grid // self.shuffle

    @property
    def tokens(self) -> int:
        """Tokens of one image in the language model."""
        return self.token_grid**2


@dataclass(frozen=True)
class LanguageConfig:
    """Language model. ``layers`` is the size of the original; ``ModelConfig.select_layer`` says how many are kept.

    family: 'llama', or 'qwen3', which also normalises queries and keys. head_dim: 0 = width / heads.
    bidirectional: every token sees every other (else causal, as published). pad_id: id of padding tokens.
    init_std: of fresh weights; about 1/sqrt(width) when training from scratch, else attention starts as a whisper.
    """

    width: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    rope_theta: float
    max_positions: int
    rms_eps: float
    pad_id: int
    bidirectional: bool = False
    init_std: float = 0.02
    family: str = "llama"
    head_dim: int = 0

    def __post_init__(self) -> None:
        _check_choice("language.family", self.family, FAMILIES)
        if self.head_dim < 0 or self.head_dim % 2:
            raise ConfigError(f"language.head_dim must be even, or 0 for width / heads; got {self.head_dim}")
        if not self.head_dim:
            _check_divides("language.heads", self.heads, "language.width", self.width)
        _check_divides("language.kv_heads", self.kv_heads, "language.heads", self.heads)
        if not 0 <= self.pad_id < self.vocab:
            raise ConfigError(f"language.pad_id {self.pad_id} is outside the vocabulary of {self.vocab}")


@dataclass(frozen=True)
class HeadConfig:
    """Flow-matching action head. Defaults are the published N1 training schedule.

    width: of DiT tokens (D). hidden: of the per-embodiment MLPs and the DiT's output. cross_dim: width of the features.
    embodiments: number of per-embodiment weight slots (E). max_seq_len: rows of the position table.
    steps: Euler steps. buckets: flow time is quantised to this many integers. noise_s, beta_*: sampling of flow time.
    attend_padding: cross-attention also sees padded tokens (N1 ignores the mask).
    zero_init: block and output modulation and the last decoder layer start at zero, so the first velocity is zero.
    fan_in_init: weights start with standard deviation 1/sqrt(fan in) instead of the published 0.02.
    future_tokens: learned tokens between state and actions (32 in N1.5). mixer_layers, _heads, _head_dim: blocks of
    self-attention, behind a LayerNorm, that the features pass once before the DiT looks at them (N1.5); 0 = none.
    """

    width: int
    hidden: int
    layers: int
    heads: int
    head_dim: int
    state_dim: int
    action_dim: int
    horizon: int
    embodiments: int
    cross_dim: int
    ff_mult: int = 4
    max_seq_len: int = 1024
    steps: int = 4
    buckets: int = 1000
    beta_alpha: float = 1.5
    beta_beta: float = 1.0
    noise_s: float = 0.999
    dropout: float = 0.0
    attend_padding: bool = False
    zero_init: bool = False
    fan_in_init: bool = False
    future_tokens: int = 0
    mixer_layers: int = 0
    mixer_heads: int = 0
    mixer_head_dim: int = 0

    def __post_init__(self) -> None:
        if min(self.future_tokens, self.mixer_layers) < 0:
            raise ConfigError("head.future_tokens and head.mixer_layers must not be negative")
        if self.mixer_layers and self.mixer_heads * self.mixer_head_dim != self.cross_dim:
            raise ConfigError(
                f"head.mixer_heads x head.mixer_head_dim is {self.mixer_heads * self.mixer_head_dim}, "
                f"not head.cross_dim {self.cross_dim}"
            )
        if self.heads * self.head_dim != self.width:
            raise ConfigError(
                f"head.heads x head.head_dim is {self.heads * self.head_dim}, not head.width {self.width}"
            )
        if self.horizon > self.max_seq_len:
            raise ConfigError(f"head.horizon {self.horizon} exceeds head.max_seq_len {self.max_seq_len}")
        if not 0 < self.steps <= self.buckets:
            raise ConfigError(f"head.steps must lie in 1..{self.buckets} (head.buckets), got {self.steps}")
        _check_divides("2", 2, "head.width", self.width)


@dataclass(frozen=True)
class ModelConfig:
    """The whole network.

    select_layer: language layers kept. prompt_template: 'eagle2' (published chat prompt of N1, image first), 'eagle2_5' (that
    of N1.5) or 'compact'. connector_layers: one of CONNECTORS. projected: features pass a last linear layer to the head's
    cross_dim; without it they are as wide as the language model.
    text_first: instruction before the image tokens (compact only). instruction_tokens: fixed padded length of the
    instruction, 0 = as long as it is. image_token_id: placeholder replaced by image embeddings.
    crop_fraction: share of the image side kept by the crop. aux_targets: numbers of the auxiliary localisation,
    two (u, v) per point, 0 = none. embodiment_slots: embodiment name -> weight slot in the head.
    attention: 'sdpa' or 'eager' kernels of the backbone.
    """

    vision: VisionConfig
    language: LanguageConfig
    head: HeadConfig
    select_layer: int
    prompt_template: str
    image_token_id: int
    text_first: bool = False
    instruction_tokens: int = 0
    crop_fraction: float = 0.95
    aux_targets: int = 0
    embodiment_slots: dict[str, int] = field(default_factory=dict)
    attention: str = "sdpa"
    connector_layers: int = 2
    projected: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.select_layer <= self.language.layers:
            raise ConfigError(f"select_layer must lie in 1..{self.language.layers}, got {self.select_layer}")
        _check_choice("prompt_template", self.prompt_template, TEMPLATES)
        _check_choice("attention", self.attention, ATTENTIONS)
        if self.text_first and self.published:
            raise ConfigError(
                f"text_first is for prompt_template 'compact'; the published {self.prompt_template} prompt has the image "
                "first"
            )
        if self.connector_layers not in CONNECTORS:
            raise ConfigError(f"connector_layers must be 1 or 2, got {self.connector_layers}")
        if not self.projected and self.head.cross_dim != self.language.width:
            raise ConfigError(
                f"without a last linear layer (projected false) features are as wide as the language model, "
                f"{self.language.width}; head.cross_dim is {self.head.cross_dim}"
            )
        if not 0 <= self.image_token_id < self.language.vocab:
            raise ConfigError(
                f"image_token_id {self.image_token_id} is outside the vocabulary of {self.language.vocab}"
            )
        if not 0.0 < self.crop_fraction <= 1.0:
            raise ConfigError(f"crop_fraction must lie in (0, 1], got {self.crop_fraction}")
        if self.aux_targets < 0 or self.aux_targets % 2:
            raise ConfigError(f"aux_targets counts u and v of each point, so it is even; got {self.aux_targets}")
        for name, slot in self.embodiment_slots.items():
            if not 0 <= slot < self.head.embodiments:
                raise ConfigError(
                    f"embodiment_slots['{name}'] is {slot}; the head has slots 0..{self.head.embodiments - 1}"
                )

    @property
    def published(self) -> bool:
        """Whether this is GR00T N1 or N1.5 as NVIDIA published it, or made from it: its prompt, images and size."""
        return self.prompt_template != "compact"

    @property
    def attends_to_tokens(self) -> bool:
        """Whether actions come from attention over tokens, which needs at least one that is not padding."""
        return True

    def slot(self, embodiment: str) -> int:
        """Weight slot of an embodiment by name. Raises ConfigError naming the known ones."""
        if embodiment not in self.embodiment_slots:
            known = ", ".join(sorted(self.embodiment_slots)) or "none"
            raise ConfigError(f"the network has no slot for embodiment '{embodiment}'; it knows: {known}")
        return self.embodiment_slots[embodiment]

    def prompt_length(self, views: int = 1) -> int:
        """Tokens of a compact prompt with a fixed instruction length: instruction + <img> + context + </img> per view."""
        return self.instruction_tokens + views * (self.vision.tokens + 2)


def preset(name: str) -> ModelConfig:
    """Configuration by name: 'n1_2b' (published GR00T-N1-2B), 'n1_5_3b' (published GR00T-N1.5-3B), 'tiny' (made for two CPU
    cores), 'n1_tiny_release' or 'n1_5_tiny_release' (the published forms at a size for tests). Raises ConfigError."""
    presets = {
        "n1_2b": _n1_2b, "n1_5_3b": _n1_5_3b, "tiny": _tiny,
        "n1_tiny_release": _n1_tiny_release, "n1_5_tiny_release": _n1_5_tiny_release,
    }  # fmt: skip
    _check_choice("preset", name, tuple(presets))
    return presets[name]()


def config_to_dict(config: ModelConfig) -> dict[str, Any]:
    """Plain data for JSON; inverse of ``config_from_dict``."""
    return asdict(config)


def config_from_dict(data: Any) -> ModelConfig:
    """Configuration from plain data. Raises ConfigError on unknown or missing keys and on wrong types."""
    return read_dataclass(ModelConfig, data, "config")


def resized(config: ModelConfig, image_size: int, patch: int | None = None) -> ModelConfig:
    """The same network for another image size or patch: only the tower's tables change."""
    return replace(config, vision=replace(config.vision, image_size=image_size, patch=patch or config.vision.patch))


def _n1_2b() -> ModelConfig:
    """GR00T-N1-2B: sizes confirmed by its published module tree and parameter counts; 32 x 48 heads as in N1.5."""
    return ModelConfig(
        vision=VisionConfig(width=1152, intermediate=4304, layers=27, heads=16, patch=14, image_size=224),
        language=LanguageConfig(
            width=2048, intermediate=8192, layers=24, heads=32, kv_heads=32, vocab=49164,
            rope_theta=130000.0, max_positions=8192, rms_eps=1e-5, pad_id=2,
        ),
        head=HeadConfig(
            width=1536, hidden=1024, layers=16, heads=32, head_dim=48, state_dim=64, action_dim=32, horizon=16,
            embodiments=32, cross_dim=1536, dropout=0.2, attend_padding=True,
        ),
        select_layer=12,
        prompt_template="eagle2",
        image_token_id=49154,
        embodiment_slots={"gr1": 24, "new_embodiment": 31},
    )  # fmt: skip


def _n1_5_3b() -> ModelConfig:
    """GR00T-N1.5-3B: its public config.json and the Eagle-2.5 configuration of the public code."""
    n1 = _n1_2b()
    return replace(
        n1,
        vision=replace(n1.vision, shuffle=1),
        language=LanguageConfig(
            width=2048, intermediate=6144, layers=28, heads=16, kv_heads=8, vocab=151680, head_dim=128, family="qwen3",
            rope_theta=1e6, max_positions=40960, rms_eps=1e-6, pad_id=151643,
        ),
        head=replace(
            n1.head, cross_dim=2048, future_tokens=32, mixer_layers=4, mixer_heads=32, mixer_head_dim=64
        ),
        prompt_template="eagle2_5",
        image_token_id=151669,
        connector_layers=1,
        projected=False,
    )  # fmt: skip


def _n1_5_tiny_release() -> ModelConfig:
    """About 3 M parameters, as ``_n1_tiny_release``; head_dim is not width / heads, as it may be in Qwen3."""
    published, small = _n1_5_3b(), _n1_tiny_release()
    return replace(
        published,
        vision=replace(small.vision, shuffle=1),
        language=replace(published.language, width=16, intermediate=24, layers=3, heads=4, kv_heads=2, head_dim=8),
        head=replace(
            small.head, cross_dim=16, future_tokens=5, mixer_layers=2, mixer_heads=2, mixer_head_dim=8
        ),
        select_layer=2,
    )  # fmt: skip


def _n1_tiny_release() -> ModelConfig:
    """About 3 M parameters, most of them the published vocabulary; everything else of the published form, only smaller."""
    published = _n1_2b()
    return replace(
        published,
        vision=replace(published.vision, width=32, intermediate=64, layers=2, heads=4),
        language=replace(published.language, width=32, intermediate=64, layers=3, heads=4, kv_heads=4),
        head=replace(published.head, width=48, hidden=32, layers=4, heads=3, head_dim=16, cross_dim=48, max_seq_len=64),
        select_layer=2,
    )


def _tiny() -> ModelConfig:
    """About 5 M parameters, made to be trained from scratch on two CPU cores in hours.

    The instruction stands before the image and attention is full, so that image tokens can read the sentence.
    """
    return ModelConfig(
        vision=VisionConfig(
            width=128, intermediate=512, layers=4, heads=2, patch=14, image_size=112, sinusoid_positions=True
        ),
        language=LanguageConfig(
            width=128, intermediate=384, layers=3, heads=2, kv_heads=2, vocab=512,
            rope_theta=10000.0, max_positions=1024, rms_eps=1e-5, pad_id=0, bidirectional=True, init_std=0.07,
        ),
        head=HeadConfig(
            width=192, hidden=256, layers=4, heads=3, head_dim=64, state_dim=64, action_dim=32, horizon=16,
            embodiments=4, cross_dim=192, max_seq_len=64, zero_init=True, fan_in_init=True,
        ),
        select_layer=3,
        prompt_template="compact",
        image_token_id=3,
        text_first=True,
        instruction_tokens=24,
        aux_targets=4,
        embodiment_slots={"gr1": 0, "new_embodiment": 3},
    )  # fmt: skip


def read_dataclass(cls: type[Config], data: Any, where: str) -> Config:
    """A frozen configuration from plain data, nested ones too. Raises ConfigError naming ``where`` it is wrong."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {type(data).__name__}")
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(data) - set(known)):
        raise ConfigError(f"{where}: unknown key(s) {', '.join(unknown)}; known: {', '.join(known)}")
    hints = get_type_hints(cls)
    values = {key: _read_value(hints[key], value, f"{where}.{key}") for key, value in data.items()}
    try:
        return cls(**values)
    except TypeError as error:  # missing keys
        raise ConfigError(f"{where}: {error}") from error


def _read_value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return read_dataclass(hint, value, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint == dict[str, int]:
        if isinstance(value, Mapping) and all(isinstance(k, str) and type(v) is int for k, v in value.items()):
            return dict(value)
        raise ConfigError(f"{where}: expected a mapping of names to integers, got {value!r}")
    if type(value) is not hint:
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _check_divides(divisor_name: str, divisor: int, name: str, value: int) -> None:
    if divisor <= 0 or value <= 0 or value % divisor:
        raise ConfigError(f"{name} {value} must be a positive multiple of {divisor_name} ({divisor})")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} '{value}' is unknown; choose one of: {', '.join(choices)}")
