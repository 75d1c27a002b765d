# SPDX-License-Identifier: Apache-2.0
"""What the recipes on streamed data have in common: their options, and the way from a mixture to a checkpoint."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.fitting import robot_in_dataset
from gr00t_policy.data.json_file import read_json
from gr00t_policy.data.mixture import Mixture
from gr00t_policy.data.mixture_reader import Chance, MixtureReader
from gr00t_policy.data.mixture_sampler import SamplerConfig
from gr00t_policy.data.mixture_statistics import mixture_statistics
from gr00t_policy.data.published_images import picture_transform
from gr00t_policy.data.row_digest import rows_digest
from gr00t_policy.data.statistics import Statistics, statistics_from_dict
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.model.checkpoint import check_parts, save_checkpoint
from gr00t_policy.model.tokenizer import PromptTokenizer
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.batches import Prompts
from gr00t_policy.training.config import LoopConfig
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import RESUME, TrainingRun
from gr00t_policy.training.mixture_batches import MixtureBatches, Reading, RobotInBatch
from gr00t_policy.training.n1_options import N1Options
from gr00t_policy.training.noted_data import ANEW
from gr00t_policy.training.processes import accelerator, main_first
from gr00t_policy.training.run_claim import claimed
from gr00t_policy.training.run_folder import Saving, save_result, train_with_progress
from gr00t_policy.training.sentences import Longest, check_sentences, room_of, sentences_of
from gr00t_policy.training.statistics import widened

_STATISTICS = "statistics.json"
_LOST = f"the weights of this run are in its units; {ANEW}"
_PLACES = ("out", "mixture", "datasets", "init", "tokenizer", "embodiment")  # of this machine, not of the run


@dataclass(frozen=True, kw_only=True)
class MixtureRunConfig(N1Options):
    """Options of a run on streamed samples."""

    aux_weight: float = 0.0
    """Weight of the localisation loss where datasets have labels (column goal_uv); the network must have a localiser."""
    workers: int = 2
    """Threads of each training process that read and decode ahead."""
    worker_processes: bool = False
    """Processes instead of threads: for many cores."""
    block: int = 256
    """Samples shuffled together, of which two such blocks wait in memory."""
    frames_per_visit: int = 1
    """Samples that share one pass over a video: more where key frames are rare. Divides block."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aux_weight < 0:
            raise ConfigError(f"aux_weight must not be negative, got {self.aux_weight}")

    def loop(self, stage: str, frozen: tuple[str, ...]) -> LoopConfig:
        """One stage of this name."""
        return self.loop_of(stage, frozen, self.aux_weight)


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
    first, *others = ((robot, learner.statistics[tag]) for tag, robot in learner.robots.items())

    def card(training: TrainingRun) -> dict[str, Any]:
        return training_card(config, recipe, mixture, learner, training) | {"frozen": list(frozen), **about}

    saving = Saving(*first, learner.tokenizer, card, partial(save_checkpoint, others=others))
    processes = accelerator(config.device)
    batches = _batches(config, mixture, learner, processes.process_index, processes.num_processes)
    try:
        training = TrainingRun(config.loop(recipe, frozen), learner.model, batches)
        if training.is_main:
            _say(mixture, learner, longest)
        train_with_progress(training, saving)
    finally:
        batches.close()
    save_result(training, saving)
    return 0


def begun(config: MixtureRunConfig, recipe: str) -> AbstractContextManager[None]:
    """Before anything is read: threads, and inside the folder is this run's. Raises ConfigError when it is another's."""
    torch.set_num_threads(config.threads)
    config.loop(recipe, ())  # raises before anything is read
    return claimed(config.out, recipe, config, config.device)


def statistics_by_tag(config: MixtureRunConfig, mixture: Mixture) -> dict[str, Statistics]:
    """Merged statistics of each tag, kept in the run folder by the main process: computed until there is a resume point, whose
    weights are in their units. Raises ConfigError where they were made of other data or options than a resumed run has,
    CheckpointError when there is no room for them."""
    path = config.out / _STATISTICS
    with main_first(config.device) as is_main:
        if is_main:
            made_of = _made_of(config, mixture)
            if (config.out / RESUME).is_file():
                _require_made_of(path, made_of)
            else:
                _, merged = mixture_statistics(mixture)
                tags = {tag: widened(one, config.min_range_rad).to_dict() for tag, one in merged.items()}
                _write(path, {**made_of, "tags": tags})
    kept = read_json(path, ConfigError, _LOST)
    return {tag: statistics_from_dict(entry, tag, f"{path}, {tag}") for tag, entry in kept["tags"].items()}


def _write(path: Path, kept: dict[str, Any]) -> None:
    try:
        write_json(path, kept)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written ({error}); make room and start again") from error


def _made_of(config: MixtureRunConfig, mixture: Mixture) -> dict[str, Any]:
    """What the statistics depend on. Reads every row that is not held out."""
    rows = (part.dataset.episode(int(index)) for part in mixture.parts for index in part.episodes)
    return {
        "mixture": mixture.fingerprint,
        "rows": rows_digest(rows),
        "min_range_rad": config.min_range_rad,
        "percentile_mixing_method": mixture.config.percentile_mixing_method,
    }


def _require_made_of(path: Path, made_of: dict[str, Any]) -> None:
    kept = read_json(path, ConfigError, _LOST)
    before = kept if isinstance(kept, dict) and isinstance(kept.get("tags"), dict) else {}
    # Older versions noted the mixture alone.
    if differing := [key for key in made_of if key == "mixture" or key in before if before.get(key) != made_of[key]]:
        raise ConfigError(
            f"what {path} was made of has changed: {', '.join(differing)} (rows: states, actions, sentences, labels, marks of "
            f"validity); the weights of this run are in its units; {ANEW}"
        )
    if "rows" not in before:
        print(f"{path}: of an older version; whether the datasets were changed since it was made cannot be checked")


def training_card(
    config: MixtureRunConfig, recipe: str, mixture: Mixture, learner: Learner, training: TrainingRun
) -> dict[str, Any]:
    """How the checkpoint was made, for people."""
    parts = zip(mixture.parts, mixture.shares.tolist(), strict=True)
    return {
        "recipe": recipe,
        "datasets": [
            {
                **learnt_entry(part.dataset, part.entry.hold_out, part.entry.name),
                "embodiment": part.robot.name,
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
    return check_sentences(
        sentences_of(part.dataset for part in mixture.parts), learner.prompt, room_of(network), views
    )


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
