# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint and recordings of a robot to a checkpoint for that robot: ``gr00t train --recipe finetune``.

Defaults are those of the public fine-tuning script of GR00T N1: the language model stays, all else learns.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.fitting import open_for, require_same_robot, robot_in_dataset
from gr00t_policy.data.published_images import picture_transform
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.model.checkpoint import Checkpoint, check_parts, load_initial
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.tokenizer import default_instruction
from gr00t_policy.training.batches import DemonstrationBatches, Prompts
from gr00t_policy.training.config import LoopConfig
from gr00t_policy.training.embodiment_slots import with_slot
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.n1_options import N1Options
from gr00t_policy.training.processes import main_first
from gr00t_policy.training.run_claim import claimed
from gr00t_policy.training.run_folder import Saving, cached_frames, save_result, train_with_progress
from gr00t_policy.training.sentences import check_sentences, room_of, sentences_of
from gr00t_policy.training.statistics import widened


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(N1Options):
    """What to fine-tune on what."""

    dataset: Path
    """LeRobot v2 folder with modality.json."""
    init: Path
    """Checkpoint to start from: ours, or one as NVIDIA released it."""
    recipe: Literal["finetune"] = "finetune"
    """This recipe."""
    hold_out: tuple[int, ...] = ()
    """Episodes that are never learnt from, also not by the statistics; for `gr00t eval --open-loop`. Their loss is in the
    first line of the log of every 100 steps, and in the last."""
    embodiment: str = ""
    """Robot: name or YAML file; default: the robot of the checkpoint, of a released one gr1."""
    tokenizer: Path | None = None
    """Folder of the tokenizer, for a released checkpoint that has none."""
    groups: tuple[str, ...] = ()
    """Joint groups to move, in order; default: the robot's own choice."""
    slot: str = ""
    """Embodiment whose weights in the head are used; default: the robot's own, or new_embodiment where it has none."""
    steps: int = 10000
    """Optimiser steps."""
    batch: int = 16
    """Pictures per step, of all processes together."""
    tune_llm: bool = False
    """Language model."""
    tune_visual: bool = True
    """Vision tower and connector."""
    tune_projector: bool = True
    """State and action encoders, action decoder, positions."""
    tune_diffusion_model: bool = True
    """DiT."""
    offset_share: float = 0.0
    """Standard deviation of an offset added to a sample's joint state and actions alike, as a share of each joint's
    recorded range: for a handful of recordings, which otherwise teach their own places by heart."""
    offset_groups: tuple[str, ...] = ()
    """Joint groups to offset: those whose actions are in the units of their states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offset_share and not self.offset_groups:
            raise ConfigError(
                "offset_share needs offset_groups: the joint groups whose actions are in the units of their states"
            )

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of ``tuning.PARTS``; there are no labels here for the auxiliary localiser."""
        tuned = {
            "language": self.tune_llm,
            "vision": self.tune_visual,
            "projector": self.tune_projector,
            "diffusion": self.tune_diffusion_model,
        }
        return tuple(part for part, learns in tuned.items() if not learns)

    def loop(self) -> LoopConfig:
        return self.loop_of("finetune", self.frozen)


def run(config: FinetuneConfig) -> int:
    """Fine-tune, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code."""
    torch.set_num_threads(config.threads)
    init = load_initial(config.init, config.embodiment, tokenizer=config.tokenizer)
    robot = load_embodiment(config.embodiment) if config.embodiment else init.embodiment
    unsaid = default_instruction(init.config)
    robot = robot_in_dataset(robot, config.dataset, config.groups, unsaid)
    dataset = open_for(robot, config.dataset, unsaid)
    require_same_robot(f"dataset {config.dataset}", robot, dataset)
    learnt = _learnt_from(dataset, config.hold_out)
    network = with_slot(init.config, robot.tag, config.slot)
    check_sentences(sentences_of([dataset]), init.prompt, room_of(network), len(robot.cameras))
    statistics = widened(statistics_of([dataset], robot.tag, held_out=config.hold_out), config.min_range_rad)
    check_parts(network, robot, statistics)
    with claimed(config.out, config.recipe, config, config.device):
        with main_first(config.device):
            batches = _batches(config, init, network, robot, statistics, dataset, learnt)
        model = init.load_weights()
        model.config = network
        training = TrainingRun(config.loop(), model, *batches)
        card = partial(training_card, config, init, dataset=dataset, learnt=learnt)
        saving = Saving(robot, statistics, init.prompt.tokenizer, card)
        train_with_progress(training, saving)
        checkpoint = save_result(training, saving)
    if training.is_main:
        held_out = f" --episodes {' '.join(map(str, config.hold_out))}" if config.hold_out else ""
        print(f"see what it does: gr00t eval --open-loop {config.dataset} --checkpoint {checkpoint}{held_out}")
    return 0


def training_card(
    config: FinetuneConfig, init: Checkpoint, training: TrainingRun, dataset: LeRobotDataset, learnt: list[int]
) -> dict[str, Any]:
    """How the checkpoint was made, for people."""
    chosen = {key: value for key, value in asdict(config).items() if key not in ("dataset", "init", "out")}
    return {
        "init": {"name": config.init.name, "hash": init.hash},
        "datasets": [learnt_entry(dataset, config.hold_out)],
        "dataset": config.dataset.name,
        "episodes": learnt,
        "held_out": list(config.hold_out),
        "frames": sum(dataset.episodes[index].length for index in learnt),
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "trained_parameters": sum(p.numel() for p in training.model.parameters() if p.requires_grad),
        "minutes": round(training.seconds / 60, 1),
        "config": chosen,
    }


def _learnt_from(dataset: LeRobotDataset, held_out: tuple[int, ...]) -> list[int]:
    numbers = [entry.index for entry in dataset.episodes]
    if unknown := [index for index in held_out if index not in numbers]:
        raise DatasetError(f"{dataset.layout.root} has no episode {unknown[0]} to hold out; it has {len(numbers)}")
    learnt = [index for index in numbers if index not in held_out]
    if not learnt:
        raise ConfigError(f"all {len(numbers)} episodes are held out; leave at least one to learn from")
    return learnt


def _batches(
    config: FinetuneConfig,
    init: Checkpoint,
    network: ModelConfig,
    robot: Embodiment,
    statistics: Statistics,
    dataset: LeRobotDataset,
    learnt: list[int],
) -> tuple[DemonstrationBatches, None, DemonstrationBatches | None]:
    """What is learnt from, no scenes, and what is held out."""
    image = picture_transform(network.vision.image_size, network.crop_fraction, published=network.published)
    caches = [cached_frames([dataset], camera.name, image, config.out, every=1) for camera in robot.cameras]
    prompts = Prompts(init.prompt, len(robot.cameras), network.language.pad_id)
    transform = StateActionTransform(robot, statistics, network.head.state_dim, network.head.action_dim)
    episodes = [dataset.episode(entry.index) for entry in dataset.episodes]

    def draw_from(
        numbers: list[int], jitter: float, noise_rad: float, offset_rad: NDArray[np.float64] | None
    ) -> DemonstrationBatches:
        return DemonstrationBatches(
            episodes,
            caches,
            transform,
            image,
            prompts,
            jitter=jitter,
            slot=network.slot(robot.tag),
            horizon=network.head.horizon,
            max_image_age_frames=config.max_image_age_frames,
            state_noise_rad=noise_rad,
            learnt_from=numbers,
            offset_rad=offset_rad,
        )

    held_out = draw_from(list(config.hold_out), 0.0, 0.0, None) if config.hold_out else None
    offset_rad = _offset_rad(config, robot, statistics)
    return draw_from(learnt, config.jitter, config.state_noise_rad, offset_rad), None, held_out


def _offset_rad(config: FinetuneConfig, robot: Embodiment, statistics: Statistics) -> NDArray[np.float64]:
    """(J,) standard deviations. Raises ConfigError naming a group that the robot's policy does not move."""
    offset_rad = np.zeros(len(robot.policy_joints))
    for group in config.offset_groups:
        if group not in robot.policy_slices:
            raise ConfigError(f"offset_groups names '{group}'; the policy moves: {', '.join(robot.policy_groups)}")
        recorded = statistics.action[group]
        offset_rad[robot.policy_slices[group]] = config.offset_share * (recorded.max - recorded.min)
    return offset_rad
