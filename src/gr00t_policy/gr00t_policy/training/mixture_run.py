# SPDX-License-Identifier: Apache-2.0
"""What the recipes on streamed data have in common: their options, and the way from a mixture to a checkpoint."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.fitting import robot_in_dataset
from gr00t_policy.data.json_file import read_json
from gr00t_policy.data.mixture import Mixture
from gr00t_policy.data.mixture_reader import Chance, MixtureReader
from gr00t_policy.data.mixture_sampler import SamplerConfig
from gr00t_policy.data.mixture_statistics import mixture_statistics
from gr00t_policy.data.published_images import picture_transform
from gr00t_policy.data.statistics import Statistics, statistics_from_dict
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.model.checkpoint import check_parts, save_checkpoint
from gr00t_policy.model.tokenizer import PromptTokenizer
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.batches import Prompts
from gr00t_policy.training.config import LoopConfig, StageConfig
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.mixture_batches import MixtureBatches, Reading, RobotInBatch
from gr00t_policy.training.processes import accelerator, main_first
from gr00t_policy.training.run_claim import claim
from gr00t_policy.training.run_folder import save_result, train_with_progress
from gr00t_policy.training.sentences import Longest, check_sentences, sentences_of
from gr00t_policy.training.statistics import widened

_STATISTICS = "statistics.json"
_PLACES = ("out", "mixture", "datasets", "init", "tokenizer", "embodiment")  # of this machine, not of the run


@dataclass(frozen=True, kw_only=True)
class MixtureRunConfig:
    """Options of a run on streamed samples. Defaults are GR00T N1's where it says them."""

    out: Path
    """Run folder. An interrupted run is continued."""
    steps: int = 20000
    """Optimiser steps."""
    batch: int = 128
    """Pictures per step, of all processes together."""
    accumulate: int = 1
    """Parts in which a process takes its share of a step, one after the other: less memory, the same pictures."""
    samples_per_image: int = 1
    """Action samples (noise, flow time) that share one encoded picture; more are nearly free."""
    lr: float = 1e-4
    """Peak learning rate; half a cosine to 0 after the warm-up."""
    warmup_ratio: float = 0.05
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 1e-5
    """Of matrices and tables; biases and norms are not decayed."""
    betas: tuple[float, float] = (0.95, 0.999)
    """Decay of AdamW's first and second moment."""
    gradient_clip: float = 1.0
    """Greatest norm of the gradient."""
    aux_weight: float = 0.0
    """Weight of the localisation loss where datasets have labels (column goal_uv); the network must have a localiser."""
    jitter: float = 1.0
    """Strength of colour jitter relative to GR00T N1's."""
    state_noise_rad: float = 0.0
    """Standard deviation of noise on the joint states."""
    max_image_age_frames: int = 0
    """Pictures are up to this many frames older than the joint state, as on a robot whose pictures arrive late."""
    min_range_rad: float = 0.0
    """Joints that move less are normalised as if they moved this much."""
    ema_decay: float = 0.0
    """Decay of averaged weights to save instead of the last ones; 0: the last."""
    workers: int = 2
    """Threads of each training process that read and decode ahead."""
    worker_processes: bool = False
    """Processes instead of threads: for many cores."""
    block: int = 256
    """Samples shuffled together, of which two such blocks wait in memory."""
    frames_per_visit: int = 1
    """Samples that share one pass over a video: more where key frames are rare. Divides block."""
    seed: int = 42
    save_every: int = 500
    """Steps between resume points."""
    threads: int = 2
    """Threads that train."""
    device: str = "cpu"
    """cpu or cuda."""
    mixed_precision: bool | None = None
    """Compute in bfloat16, weights in float32; default: on cuda."""
    shard: bool = False
    """Each process keeps a part of weights, gradients and moments instead of a copy (FSDP), under accelerate launch."""
    tensorboard: bool = False
    """Write the log for TensorBoard too, to <out>/tensorboard."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.samples_per_image < 1 or self.lr <= 0:
            raise ConfigError(f"steps, batch, samples_per_image and lr must be above 0: {self}")
        if not 0 <= self.warmup_ratio < 1:
            raise ConfigError(f"warmup_ratio must lie in [0, 1), got {self.warmup_ratio}")
        if min(self.aux_weight, self.state_noise_rad, self.min_range_rad, self.jitter) < 0:
            raise ConfigError(f"aux_weight, state_noise_rad, min_range_rad and jitter must not be negative: {self}")

    def loop(self, stage: str, frozen: tuple[str, ...]) -> LoopConfig:
        """One stage of this name."""
        only = StageConfig(
            steps=self.steps,
            learning_rate=self.lr,
            images_per_step=self.batch,
            samples_per_image=self.samples_per_image,
            aux_weight=self.aux_weight,
            warmup_steps=max(1, math.ceil(self.warmup_ratio * self.steps)),
            fall_after_warmup=True,
            final_share=0.0,
        )
        return LoopConfig(
            out=self.out,
            stages={stage: only},
            frozen=frozen if self.aux_weight else tuple(dict.fromkeys((*frozen, "localiser"))),
            betas=self.betas,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            ema_decay=self.ema_decay,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            mixed_precision=self.device == "cuda" if self.mixed_precision is None else self.mixed_precision,
            accumulate=self.accumulate,
            shard=self.shard,
            save_every=self.save_every,
            tensorboard=self.tensorboard,
        )


@dataclass(frozen=True)
class Learner:
    """A network that is to learn: its configuration has a slot for every robot. robots: by embodiment tag."""

    model: Vla
    tokenizer: Tokenizer
    prompt: PromptTokenizer
    robots: Mapping[str, Embodiment]
    statistics: Mapping[str, Statistics]


def robots_of(mixture: Mixture) -> dict[str, Embodiment]:
    """Embodiment tag -> the robot as its first dataset recorded it.

    Raises ConfigError when robots of one tag differ in the joints their policy moves: they would share one meaning.
    """
    robots: dict[str, Embodiment] = {}
    for part in mixture.parts:
        robot = robots.setdefault(part.tag, robot_in_dataset(part.robot, part.entry.path))
        if robot.policy_joint_names != part.robot.policy_joint_names or robot.name != part.robot.name:
            raise ConfigError(
                f"'{robot.name}' and '{part.robot.name}' (dataset '{part.entry.name}') both have the tag '{part.tag}' and "
                "move other joints; robots with one tag share statistics and weights: give one of them a tag of its own"
            )
    return robots


def mixture_run(
    config: MixtureRunConfig,
    recipe: str,
    mixture: Mixture,
    learner: Learner,
    frozen: tuple[str, ...],
    about: dict[str, Any],
) -> int:
    """Train, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code.

    about: what the training card says beside the run's own facts.
    """
    longest = _check(config, mixture, learner)
    processes = accelerator(config.device)
    batches = _batches(config, mixture, learner, processes.process_index, processes.num_processes)
    try:
        training = TrainingRun(config.loop(recipe, frozen), learner.model, batches)
        if training.is_main:
            _say(mixture, learner, longest)
        train_with_progress(training)
    finally:
        batches.close()
    card = training_card(config, recipe, mixture, learner, training) | {"frozen": list(frozen), **about}
    first, *others = ((robot, learner.statistics[tag]) for tag, robot in learner.robots.items())
    save_result(training, *first, learner.tokenizer, card, partial(save_checkpoint, others=others))
    return 0


def begun(config: MixtureRunConfig, recipe: str) -> None:
    """Before anything is read: threads, and the folder is this run's. Raises ConfigError when it is another's."""
    torch.set_num_threads(config.threads)
    config.loop(recipe, ())  # raises before anything is read
    with main_first(config.device) as is_main:
        if is_main:
            claim(config.out, recipe, config)


def statistics_by_tag(config: MixtureRunConfig, mixture: Mixture) -> dict[str, Statistics]:
    """Merged statistics of each tag, computed by the main process and kept in the run folder."""
    path = config.out / _STATISTICS
    with main_first(config.device):
        kept = read_json(path, ConfigError, "it is made by the run") if path.is_file() else {}
        if not isinstance(kept, dict) or kept.get("mixture") != mixture.fingerprint:
            _, merged = mixture_statistics(mixture)
            entries = {tag: widened(one, config.min_range_rad).to_dict() for tag, one in merged.items()}
            kept = json.loads(json.dumps({"mixture": mixture.fingerprint, "tags": entries}))
            write_json(path, kept)
    return {tag: statistics_from_dict(entry, tag, f"{path}, {tag}") for tag, entry in kept["tags"].items()}


def training_card(
    config: MixtureRunConfig, recipe: str, mixture: Mixture, learner: Learner, training: TrainingRun
) -> dict[str, Any]:
    """How the checkpoint was made, for people."""
    parts = zip(mixture.parts, mixture.shares.tolist(), strict=True)
    return {
        "recipe": recipe,
        "datasets": [
            {
                "name": part.entry.name,
                "embodiment": part.robot.name,
                "episodes": len(part.episodes),
                "frames": part.frames,
                "held_out": list(part.entry.hold_out),
                "share": round(share, 6),
            }
            for part, share in parts
        ],
        "steps": training.step,
        "parameters": sum(p.numel() for p in learner.model.parameters()),
        "trained_parameters": sum(p.numel() for p in learner.model.parameters() if p.requires_grad),
        "minutes": round(training.seconds / 60, 1),
        "config": {key: value for key, value in asdict(config).items() if key not in _PLACES},
    }


def _check(config: MixtureRunConfig, mixture: Mixture, learner: Learner) -> Longest:
    network = learner.model.config
    for tag, robot in learner.robots.items():
        check_parts(network, robot, learner.statistics[tag])
    if config.aux_weight and not network.aux_targets:
        raise ConfigError("aux_weight needs a network with a localiser (aux_targets), such as tiny; leave it out")
    if config.aux_weight and network.crop_fraction != 1.0:
        raise ConfigError(
            f"aux_weight needs whole pictures: labels say where things are in them, this network crops to "
            f"{network.crop_fraction:g}; use crop_fraction 1, or leave it out"
        )
    views = len(next(iter(learner.robots.values())).cameras)
    return check_sentences(sentences_of(part.dataset for part in mixture.parts), learner.prompt, network, views)


def _batches(
    config: MixtureRunConfig, mixture: Mixture, learner: Learner, process: int, processes: int
) -> MixtureBatches:
    network = learner.model.config
    picture = picture_transform(network.vision.image_size, network.crop_fraction, published=network.published)
    chance = Chance(config.seed, config.jitter, config.max_image_age_frames)
    widths = network.head.state_dim, network.head.action_dim
    robots = {
        tag: RobotInBatch(StateActionTransform(robot, learner.statistics[tag], *widths), network.slot(tag))
        for tag, robot in learner.robots.items()
    }
    views = len(next(iter(learner.robots.values())).cameras)
    return MixtureBatches(
        MixtureReader(mixture, network.head.horizon, picture, chance=chance),
        SamplerConfig(config.seed, config.block, config.frames_per_visit),
        robots,
        Prompts(learner.prompt, views, network.language.pad_id),
        batch=config.batch,
        process=process,
        processes=processes,
        state_noise_rad=config.state_noise_rad,
        reading=Reading(config.workers, config.worker_processes),
    )


def _say(mixture: Mixture, learner: Learner, longest: Longest) -> None:
    network = learner.model.config
    for part, share in zip(mixture.parts, mixture.shares.tolist(), strict=True):
        print(f"{100 * share:5.1f} % {part.entry.name} ({part.robot.name}, weight slot {network.slot(part.tag)})")
    room = network.instruction_tokens or network.language.max_positions
    print(
        f"{longest.sentences} sentences, the longest takes {longest.tokens} of {room} tokens; "
        f"{longest.pieces_per_word:.1f} tokens a word"
    )
