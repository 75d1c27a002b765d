# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of a preset's sizes whose random weights exist in memory alone: to measure sizes whose weights are not here.

Engines load it as any other. The weights mean nothing; they are the same at each load, whatever part, format or device.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.backbone import Backbone
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.eagle_tokenizer import published_tokens
from gr00t_policy.model.synthesis import home_statistics
from gr00t_policy.model.tokenizer import prompt_tokenizer, train_tokenizer
from gr00t_policy.model.vla import Vla
from gr00t_policy.model.weight_files import WeightFiles
from gr00t_policy.model.weights import DTYPES

# Random numbers that fill all weights, again and again: billions of draws would take minutes. A prime, so that the rows of no
# matrix are repeated.
_BLOCK = 1_048_583
_TABLES = (".W", ".b")  # ends of the names of tables with a row for each embodiment
_Part = TypeVar("_Part", bound=nn.Module)


@dataclass(frozen=True)
class RandomCheckpoint(Checkpoint):
    """As ``Checkpoint``. Weights are made where and as they will be used: there is no second copy."""

    def load_weights(self) -> Vla:
        model = _filled(lambda: Vla(self.config), "", "float32", "cpu")
        model.backbone.make_buffers("cpu")
        return model

    def load_backbone(self, dtype: str = "float32", device: str = "cpu") -> Backbone:
        backbone = _filled(lambda: Backbone(self.config), "backbone.", dtype, device)
        backbone.make_buffers(device)
        return backbone

    def load_head(self, dtype: str = "float32", device: str = "cpu", *, every_slot: bool = False) -> ActionHead:
        whole = self.config.head
        kept = whole if every_slot else replace(whole, embodiments=1)
        return _filled(lambda: ActionHead(kept), "head.", dtype, device)


def random_checkpoint(name: str, cameras: int = 1) -> RandomCheckpoint:
    """Of the preset ``name``, for the GR-1 with so many cameras like its own. Raises ConfigError."""
    if cameras < 1:
        raise ConfigError(f"a policy looks through at least 1 camera, got {cameras}")
    config, robot = preset(name), _with_cameras(load_embodiment("gr1"), cameras)
    return RandomCheckpoint(
        folder=Path(f"{name}, random weights"),
        config=config,
        embodiment=robot,
        statistics=home_statistics(robot),
        prompt=prompt_tokenizer(_tokenizer(config), config),
        card={},
        hash=hashlib.sha256(f"random weights, {name}, {cameras}".encode()).hexdigest(),
        weights=WeightFiles({}, ""),
        robots=(robot.name,),
    )


def _with_cameras(robot: Embodiment, count: int) -> Embodiment:
    first = robot.cameras[0]
    others = (replace(first, name=f"{first.name}_{number}") for number in range(2, count + 1))
    return replace(robot, cameras=(first, *others))


def _tokenizer(config: ModelConfig) -> Tokenizer:
    """Prompts of the length that the network's own tokenizer gives for common words; all words are the same one."""
    if not config.published:
        return train_tokenizer([])
    published = published_tokens(config)
    control = {text: number for number, (text, _) in published.control.items()}
    words = {f"\t{number}": number for number in range(min(published.added)) if number not in published.control}
    tokenizer = Tokenizer(models.WordLevel(words | control, unk_token=published.control[min(published.control)][0]))
    # As published: words with the space before them, digits alone.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for _, (text, special) in sorted((published.control | published.added).items()):
        token = AddedToken(text, special=special, normalized=False)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    return tokenizer


def _filled(build: Callable[[], _Part], prefix: str, dtype: str, device: str) -> _Part:
    """Buffers that are not weights are the caller's to make."""
    with torch.device("meta"):
        part = build().to(DTYPES[dtype])
    part.to_empty(device=device)
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        for name, value in part.named_parameters():
            for row in value if name.endswith(_TABLES) else (value,):
                _fill(row, prefix + name, block)
    return part.requires_grad_(False).eval()


def _fill(value: Tensor, name: str, block: Tensor) -> None:
    """Of a size that keeps activations within a few orders of magnitude through all layers."""
    begin = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") % _BLOCK
    numbers = torch.roll(block, begin)
    if value.ndim == 1 and name.endswith("weight") and ("norm" in name or "connector.0." in name):
        numbers = 1 + 0.02 * numbers
    elif value.ndim == 1:
        numbers = 0.02 * numbers
    else:
        fan_in = value.shape[0] if name.endswith(_TABLES) else math.prod(value.shape[1:])
        numbers = numbers * fan_in**-0.5
    for part in value.view(-1).split(_BLOCK):
        part.copy_(numbers[: len(part)])
