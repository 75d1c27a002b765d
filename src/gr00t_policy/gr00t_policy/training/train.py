# SPDX-License-Identifier: Apache-2.0
"""From datasets to a checkpoint: statistics, caches, network, loop, training card, loss curve."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.fitting import open_alike
from gr00t_policy.data.grounding import GroundingSet, load_grounding
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform
from gr00t_policy.model.checkpoint import load_checkpoint, network_config
from gr00t_policy.model.config import ModelConfig, preset, resized
from gr00t_policy.model.tokenizer import prompt_tokenizer, train_tokenizer
from gr00t_policy.model.vla import Vla, build_vla
from gr00t_policy.training.batches import DemonstrationBatches, GroundingBatches, Prompts
from gr00t_policy.training.config import TrainConfig
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.new_words import with_new_words
from gr00t_policy.training.processes import main_first
from gr00t_policy.training.run_claim import claimed
from gr00t_policy.training.run_folder import Saving, cached_frames, save_result, train_with_progress
from gr00t_policy.training.sentences import check_sentences, room_of, sentences_of
from gr00t_policy.training.statistics import widened

_VIEWS = 1  # the one camera of the config


def run(config: TrainConfig) -> int:
    """Train, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code."""
    torch.set_num_threads(config.threads)
    embodiment = load_embodiment(config.embodiment)
    datasets = open_alike(embodiment, config.datasets)
    scenes = load_grounding(config.scenes) if config.scenes is not None else None
    # before the folder is claimed: a run that is refused for its words may come again with --new-words
    model, statistics, tokenizer = _network(config, datasets, scenes)
    with claimed(config.out, "train", config, config.device):
        with main_first(config.device):
            demonstrations, grounding = _batches(config, model.config, statistics, tokenizer, datasets, scenes)
        training = TrainingRun(config, model, demonstrations, grounding)
        card = partial(training_card, config, datasets=datasets, scenes=scenes)
        saving = Saving(embodiment, statistics, tokenizer, card)
        train_with_progress(training, saving)
        save_result(training, saving)
    return 0


def training_card(
    config: TrainConfig, training: TrainingRun, datasets: list[LeRobotDataset], scenes: GroundingSet | None
) -> dict[str, Any]:
    """How the checkpoint was made, for people; scores are added by the evaluation."""
    return {
        "datasets": [learnt_entry(dataset) for dataset in datasets],
        "scenes": len(scenes) if scenes is not None else 0,
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "steps": training.step,
        "minutes": round(training.seconds / 60, 1),
        "device": config.device,
        "threads": config.threads,
        "stages": {name: asdict(stage) for name, stage in config.stages.items()},
        "seed": config.seed,
    }


def refuse_published(initial: Path) -> None:
    """Raises ConfigError for NVIDIA's network or one made from it, of which nothing but the configuration is read.

    It has no localiser, and is served pictures by another arithmetic and another padding than it would learn from here.
    """
    if network_config(initial).published:
        raise ConfigError(
            f"{initial} holds a network of the published form, for which there are recipes of their own: gr00t train --recipe "
            f"finetune --init {initial} --dataset DIR, or posttrain"
        )


def _network(
    config: TrainConfig, datasets: list[LeRobotDataset], scenes: GroundingSet | None
) -> tuple[Vla, Statistics, Tokenizer]:
    """A new network, or the one of ``initial`` with its own statistics and tokenizer, which new words are added to if wanted.

    Raises ConfigError naming a sentence that the network cannot read whole, or for a network of the published form.
    """
    sentences = sorted({*sentences_of(datasets), *(scenes.facts.sentences if scenes is not None else ())})
    if config.initial is not None:
        refuse_published(config.initial)
        checkpoint = load_checkpoint(config.initial, config.embodiment)
        model, tokenizer = checkpoint.load_weights(), checkpoint.prompt.tokenizer
        if config.new_words:
            model, tokenizer = with_new_words(model, tokenizer, sentences)
        check_sentences(sentences, prompt_tokenizer(tokenizer, model.config), room_of(model.config), _VIEWS)
        return model, checkpoint.statistics, tokenizer
    model_config = replace(
        resized(preset(config.model), config.image_size, config.patch), crop_fraction=config.crop_fraction
    )
    statistics = widened(statistics_of(datasets, load_embodiment(config.embodiment).tag), config.min_range_rad)
    tokenizer = train_tokenizer(sentences, model_config.language.vocab)
    check_sentences(sentences, prompt_tokenizer(tokenizer, model_config), room_of(model_config), _VIEWS)
    return build_vla(model_config, config.seed), statistics, tokenizer


def _batches(
    config: TrainConfig,
    model: ModelConfig,
    statistics: Statistics,
    tokenizer: Tokenizer,
    datasets: list[LeRobotDataset],
    scenes: GroundingSet | None,
) -> tuple[DemonstrationBatches, GroundingBatches | None]:
    embodiment = load_embodiment(config.embodiment)
    image = ImageTransform(model.vision.image_size, model.crop_fraction)
    cache = cached_frames(datasets, config.camera, image, config.out, every=2)
    prompts = Prompts(prompt_tokenizer(tokenizer, model))
    transform = StateActionTransform(embodiment, statistics, model.head.state_dim, model.head.action_dim)
    demonstrations = DemonstrationBatches(
        [datasets[number].episode(index) for number, index in cache.episodes],
        [cache],
        transform,
        image,
        prompts,
        jitter=config.jitter,
        slot=model.slot(embodiment.tag),
        horizon=model.head.horizon,
        max_image_age_frames=config.max_image_age_frames,
        state_noise_rad=config.state_noise_rad,
        recovery_weight=config.recovery_weight,
    )
    return demonstrations, GroundingBatches(scenes, prompts, config.jitter) if scenes is not None else None
