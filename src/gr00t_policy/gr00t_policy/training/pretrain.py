# SPDX-License-Identifier: Apache-2.0
"""One network from many datasets and robots: ``gr00t train --recipe pretrain``, the data pyramid as one YAML."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture import Mixture, open_mixture
from gr00t_policy.data.mixture_config import load_mixture_config
from gr00t_policy.model.checkpoint import load_initial
from gr00t_policy.model.config import ModelConfig, preset, resized
from gr00t_policy.model.eagle_tokenizer import load_eagle_tokenizer, published_tokens
from gr00t_policy.model.tokenizer import prompt_tokenizer, train_tokenizer
from gr00t_policy.model.vla import Vla, build_vla
from gr00t_policy.training.embodiment_slots import with_slots
from gr00t_policy.training.mixture_run import (
    Learner,
    MixtureRunConfig,
    begun,
    mixture_run,
    robots_of,
    statistics_by_tag,
)
from gr00t_policy.training.sentences import sentences_of


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(MixtureRunConfig):
    """Which mixture, which network. GR00T N1 was pre-trained in 200,000 steps of 16,384 pictures."""

    mixture: Path
    """YAML of the mixture; `gr00t data mixture` shows what it draws."""
    recipe: Literal["pretrain"] = "pretrain"
    """This recipe."""
    model: str = "tiny"
    """Preset of a new network: tiny, n1_2b, n1_5_3b, n1_tiny_release, n1_5_tiny_release."""
    init: Path | None = None
    """Checkpoint to start from instead of a new network: ours, or one as NVIDIA released it."""
    tokenizer: Path | None = None
    """Folder of the tokenizer, for a network of the published form; others learn theirs from the sentences."""
    image_size: int | None = None
    """Side of a new network's square image; default: the preset's."""
    crop_fraction: float | None = None
    """Share of the camera picture a new network uses; default: the preset's, and 1 with aux_weight."""
    frozen: tuple[str, ...] | None = None
    """Parts that stay: language, vision, projector, diffusion, localiser. Default: language with --init, none without."""


def run(config: PretrainConfig) -> int:
    """Train, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code."""
    mixture = open_mixture(load_mixture_config(config.mixture))
    robots = robots_of(mixture)
    with begun(config, config.recipe):
        model, tokenizer = _network(config, mixture, list(robots.values()))
        learner = Learner(
            model, tokenizer, prompt_tokenizer(tokenizer, model.config), robots, statistics_by_tag(config, mixture)
        )
        frozen = config.frozen if config.frozen is not None else ("language",) if config.init else ()
        about = {"init": config.init.name if config.init else None, "preset": None if config.init else config.model}
        return mixture_run(config, config.recipe, mixture, learner, frozen, about)


def _network(config: PretrainConfig, mixture: Mixture, robots: list[Embodiment]) -> tuple[Vla, Tokenizer]:
    """A new network, or that of ``init``, with a slot for every robot."""
    if config.init is not None:
        checkpoint = load_initial(config.init, tokenizer=config.tokenizer)
        model = checkpoint.load_weights()
        model.config = with_slots(checkpoint.config, robots)
        return model, checkpoint.prompt.tokenizer
    network = with_slots(_sized(config), robots)
    if network.published:
        if config.tokenizer is None:
            raise ConfigError(
                f"a new network of preset '{config.model}' needs --tokenizer: the folder of the published tokenizer"
            )
        tokenizer = load_eagle_tokenizer(config.tokenizer, published_tokens(network))
    else:
        tokenizer = train_tokenizer(sentences_of(part.dataset for part in mixture.parts), network.language.vocab)
    return build_vla(network, config.seed), tokenizer


def _sized(config: PretrainConfig) -> ModelConfig:
    network = preset(config.model)
    if config.image_size is not None:
        network = resized(network, config.image_size)
    crop = config.crop_fraction or (1.0 if config.aux_weight else network.crop_fraction)
    return replace(network, crop_fraction=crop)
