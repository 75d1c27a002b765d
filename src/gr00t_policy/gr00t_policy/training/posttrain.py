# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint of ours, pre-trained on many robots, to one for a single robot: ``gr00t train --recipe posttrain``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture import open_mixture
from gr00t_policy.data.mixture_config import MixtureConfig, MixtureEntry
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.training.embodiment_slots import with_slot
from gr00t_policy.training.mixture_run import (
    Learner,
    MixtureRunConfig,
    begun,
    mixture_run,
    robots_of,
    statistics_by_tag,
)


@dataclass(frozen=True, kw_only=True)
class PosttrainConfig(MixtureRunConfig):
    """From which checkpoint, on which datasets of which robot. GR00T N1: 20,000 to 60,000 steps of 128 or 1,024 pictures."""

    datasets: tuple[Path, ...]
    """LeRobot v2 folders with modality.json, all of one robot; larger ones are drawn more often."""
    init: Path
    """Checkpoint to start from."""
    recipe: Literal["posttrain"] = "posttrain"
    """This recipe."""
    embodiment: str = ""
    """Robot: name or YAML file; default: the robot that the checkpoint was saved for."""
    slot: str = ""
    """Embodiment whose weights in the head are used; default: the robot's own, or new_embodiment where it has none."""
    statistics: Literal["new", "kept"] = "new"
    """By which the joints are normalised: those of the datasets, or the checkpoint's for this robot."""
    frozen: tuple[str, ...] = ("language",)
    """Parts that stay: language, vision, projector, diffusion, localiser."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.datasets:
            raise ConfigError("posttrain needs at least one dataset (--datasets)")


def run(config: PosttrainConfig) -> int:
    """Train, or continue an interrupted run of the same folder; leaves ``<out>/checkpoint``. Returns the exit code."""
    init = load_checkpoint(config.init)
    mixture = open_mixture(_one_robot(config, config.embodiment or init.embodiment.name))
    robots = robots_of(mixture)
    with begun(config, config.recipe):
        (tag,) = robots
        statistics = _kept(config, init, robots[tag].name) if config.statistics == "kept" else None
        model = init.load_weights()
        model.config = with_slot(init.config, tag, config.slot)
        learner = Learner(
            model,
            init.prompt.tokenizer,
            init.prompt,
            robots,
            statistics_by_tag(config, mixture) if statistics is None else {tag: statistics},
        )
        about = {"init": {"name": config.init.name, "hash": init.hash}, "statistics": config.statistics}
        return mixture_run(config, config.recipe, mixture, learner, config.frozen, about)


def _one_robot(config: PosttrainConfig, robot: str) -> MixtureConfig:
    names = [folder.resolve().name for folder in config.datasets]
    entries = [
        MixtureEntry(name if names.count(name) == 1 else f"{name}_{number}", folder, robot)
        for number, (name, folder) in enumerate(zip(names, config.datasets, strict=True))
    ]
    return MixtureConfig(tuple(entries))


def _kept(config: PosttrainConfig, init: Checkpoint, robot: str) -> Statistics:
    if robot not in init.robots:
        raise ConfigError(
            f"{config.init} has no statistics of '{robot}' to keep; it has those of {', '.join(init.robots)}: use "
            "--statistics new"
        )
    return load_checkpoint(config.init, robot, verify=False).statistics
