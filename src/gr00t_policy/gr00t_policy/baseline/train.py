# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to a Diffusion Policy: ``gr00t train --recipe diffusion_policy``.

Data, random draws of pictures and samples, loop, averaging and schedule of the learning rate are those of our own network.
Optimiser as in the paper (AdamW, betas 0.95 and 0.999, weight decay 1e-6); the learning rate is for runs of some thousand
steps, as ours are, where the paper's 1e-4 is for hundreds of thousands.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from gr00t_policy.baseline.checkpoint import save_diffusion_checkpoint
from gr00t_policy.baseline.config import DiffusionConfig, ScheduleConfig, diffusion_config
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.baseline.objective import NoiseObjective
from gr00t_policy.baseline.sentence_prompt import SentencePrompt
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.fitting import open_alike
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform, check_picture
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.training.batches import DemonstrationBatches, Prompts
from gr00t_policy.training.config import LoopConfig, StageConfig
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.processes import main_first
from gr00t_policy.training.run_claim import claimed
from gr00t_policy.training.run_folder import Saving, cached_frames, save_result, train_with_progress
from gr00t_policy.training.sentences import check_sentences, sentences_of
from gr00t_policy.training.statistics import widened


@dataclass(frozen=True)
class DiffusionTrainConfig:
    """What to train on what. What has no source in the paper has the value that our own network is trained with."""

    datasets: tuple[Path, ...]
    """LeRobot v2 folders of demonstrations."""
    out: Path
    """Run folder. An interrupted run is continued."""
    recipe: Literal["diffusion_policy"] = "diffusion_policy"
    """This recipe."""
    embodiment: str = "gr1"
    """Robot: name or YAML file."""
    steps: int = 6000
    """Optimiser steps."""
    images_per_step: int = 24
    """Pictures per step, of all processes together."""
    samples_per_image: int = 8
    """Action samples (joint state, noise, diffusion step) that share one encoded picture."""
    lr: float = 1e-3
    """Peak learning rate; half a cosine to 2 % after the warm-up."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    ema_decay: float = 0.998
    """Decay of the averaged weights that are saved; 0: the last weights."""
    image_size: int = 112
    """Side of the network's square picture, a multiple of 8."""
    crop_fraction: float = 0.9
    """Share of the picture's side that is seen: cut at random places in training, from the middle when it acts; 0.5 to 1."""
    sample_steps: int = 10
    """Steps of DDIM in which a chunk is sampled, of the 100 of training; a divisor of 100."""
    jitter: float = 0.3
    """Strength of colour jitter relative to GR00T N1's."""
    max_image_age_frames: int = 4
    """Pictures are up to this many frames older than the joint state they are used with, as at run time."""
    state_noise_rad: float = 0.008
    """Standard deviation of the noise on joint states."""
    recovery_weight: int = 3
    """Pictures shortly after a disturbance are drawn this many times as often as others."""
    min_range_rad: float = 0.1
    """Joints that move less are normalised as if they moved this much."""
    seed: int = 0
    save_every: int = 500
    """Steps between resume points."""
    log_every: int = 20
    """Steps between lines of the log, which are means over them."""
    accumulate: int = 1
    """Parts in which a process takes its share of a step: less memory, the same pictures."""
    threads: int = 2
    """Threads that train."""
    device: str = "cpu"
    """cpu or cuda."""
    mixed_precision: bool = False
    """Compute in bfloat16 where torch's autocast does; weights stay float32."""
    tensorboard: bool = False
    """Write the log for TensorBoard too, to <out>/tensorboard."""
    checkpoint_every: int = 0
    """Steps between checkpoints to evaluate while it trains, <out>/checkpoint-<step>; 0: the last step's alone."""
    keep: int = 5
    """How many of those stay; the oldest are removed."""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ConfigError("training needs at least one dataset: --datasets DIR ...")
        if min(self.images_per_step, self.samples_per_image, self.warmup_steps, self.recovery_weight) < 1:
            raise ConfigError(
                f"images_per_step, samples_per_image, warmup_steps and recovery_weight must be at least 1: {self}"
            )
        ScheduleConfig(sample_steps=self.sample_steps)  # raises
        check_picture(self.image_size, self.crop_fraction)
        self.loop()  # raises what it finds wrong with the rest

    def loop(self) -> LoopConfig:
        stage = StageConfig(
            steps=self.steps,
            learning_rate=self.lr,
            images_per_step=self.images_per_step,
            samples_per_image=self.samples_per_image,
            aux_weight=0.0,
            warmup_steps=self.warmup_steps,
        )
        return LoopConfig(
            out=self.out,
            stages={"demonstrations": stage},
            betas=(0.95, 0.999),
            weight_decay=1e-6,
            ema_decay=self.ema_decay,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            mixed_precision=self.mixed_precision,
            accumulate=self.accumulate,
            save_every=self.save_every,
            log_every=self.log_every,
            tensorboard=self.tensorboard,
            checkpoint_every=self.checkpoint_every,
            keep=self.keep,
        )


def run(config: DiffusionTrainConfig) -> int:
    """Train, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code."""
    torch.set_num_threads(config.threads)
    robot = load_embodiment(config.embodiment)
    datasets = open_alike(robot, config.datasets)
    statistics = widened(statistics_of(datasets, robot.tag), config.min_range_rad)
    network = network_for(config, robot)
    sentences = sentences_of(datasets)
    tokenizer = train_tokenizer(sentences, network.sentence.vocab)
    prompt = SentencePrompt(tokenizer, network.sentence)
    check_sentences(sentences, prompt, network.sentence.window, network.views)
    with claimed(config.out, config.recipe, config, config.device):
        with main_first(config.device):
            batches = _batches(config, network, robot, statistics, prompt, datasets)
        model = build_diffusion_policy(network, config.seed)
        training = TrainingRun(config.loop(), model, batches, objective=NoiseObjective)
        card = partial(training_card, config, datasets=datasets)
        saving = Saving(robot, statistics, tokenizer, card, save_diffusion_checkpoint)
        train_with_progress(training, saving)
        save_result(training, saving)
    return 0


def network_for(config: DiffusionTrainConfig, robot: Embodiment) -> DiffusionConfig:
    """Sized for the robot's joints and cameras. Raises ConfigError."""
    return diffusion_config(
        robot.encoded_width("state"),
        robot.encoded_width("action"),
        views=len(robot.cameras),
        image_size=config.image_size,
        crop_fraction=config.crop_fraction,
        sample_steps=config.sample_steps,
    )


def training_card(
    config: DiffusionTrainConfig, training: TrainingRun, datasets: list[LeRobotDataset]
) -> dict[str, Any]:
    """How the checkpoint was made, for people."""
    chosen = {key: value for key, value in asdict(config).items() if key not in ("datasets", "out", "recipe")}
    return {
        "recipe": config.recipe,
        "datasets": [learnt_entry(dataset) for dataset in datasets],
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "steps": training.step,
        "minutes": round(training.seconds / 60, 1),
        "config": chosen,
    }


def _batches(
    config: DiffusionTrainConfig,
    network: DiffusionConfig,
    robot: Embodiment,
    statistics: Statistics,
    prompt: SentencePrompt,
    datasets: list[LeRobotDataset],
) -> DemonstrationBatches:
    image = ImageTransform(network.vision.image_size, network.crop_fraction)
    caches = [cached_frames(datasets, camera.name, image, config.out, every=2) for camera in robot.cameras]
    return DemonstrationBatches(
        [datasets[number].episode(index) for number, index in caches[0].episodes],
        caches,
        StateActionTransform(robot, statistics, network.head.state_dim, network.head.action_dim),
        image,
        Prompts(prompt, network.views),
        jitter=config.jitter,
        slot=0,  # the network is for one robot
        horizon=network.head.horizon,
        max_image_age_frames=config.max_image_age_frames,
        state_noise_rad=config.state_noise_rad,
        recovery_weight=config.recovery_weight,
    )
