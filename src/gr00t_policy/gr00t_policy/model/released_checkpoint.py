# SPDX-License-Identifier: Apache-2.0
"""A GR00T N1 or N1.5 checkpoint folder as NVIDIA released it, or as the public trainer leaves a fine-tune. No torch here.

config.json, model.safetensors or shards with model.safetensors.index.json, experiment_cfg/metadata.json. The robot's joints
and the tokenizer are not in it: the robot is an embodiment of ours by name, whose tag must be in the metadata; the
tokenizer lies in a folder that the caller names, or in the checkpoint folder. Hash: sha256 over the configuration, the
metadata, the embodiment, headers and sizes of the weight files and a sample of half a megabyte per file of their values.
Hashing all of them would take longer than loading them.
"""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gr00t_policy.core.embodiment import Embodiment, embodiment_to_dict
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.core.projectors import PROJECTOR_INDICES
from gr00t_policy.data.statistics import Statistics, load_metadata
from gr00t_policy.model.checkpoint_files import CONFIG, METADATA, data_digest, file_digest, total_digest
from gr00t_policy.model.config import ModelConfig, config_to_dict
from gr00t_policy.model.eagle_tokenizer import has_tokenizer_files, load_eagle_tokenizer, published_tokens
from gr00t_policy.model.json_file import read_json_object
from gr00t_policy.model.release import ReleaseReport, read_release
from gr00t_policy.model.tokenizer import PromptTokenizer, prompt_tokenizer
from gr00t_policy.model.weight_files import WeightFiles, open_weight_files

EAGLE_FOLDER = "eagle2_hg_model"  # of the public code; people copy it into the checkpoint folder

_log = logging.getLogger(__name__)


class MissingTokenizerError(CheckpointError):
    """A folder as released, with which nothing is wrong: the tokenizer is not part of a release."""


@dataclass(frozen=True)
class ReleasedFacts:
    """What a folder says, the robot included; the fields are those of ``Checkpoint``."""

    config: ModelConfig
    embodiment: Embodiment
    statistics: Statistics
    hash: str
    weights: WeightFiles
    report: ReleaseReport
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def robots(self) -> tuple[str, ...]:
        return (self.embodiment.name,)

    @property
    def slot(self) -> int:
        return self.config.slot(self.embodiment.tag)


def read_released(folder: Path, robot: Embodiment, statistics: Statistics | None = None) -> ReleasedFacts:
    """Read everything but the weights' values and the tokenizer. What is odd about the configuration is logged.

    statistics: the robot's where the metadata need not have them, None = those under its tag. Raises CheckpointError.
    """
    config, report = read_released_config(folder)
    config = _with_slot(config, robot)
    weights = open_weight_files(folder)
    if statistics is None:
        statistics = load_metadata(folder / METADATA, robot.tag, robot.policy_groups)
    for sentence in report.assumed:
        _log.info("checkpoint %s: %s", folder, sentence)
    if report.unknown:
        _log.warning("checkpoint %s: fields that are not understood: %s", folder, ", ".join(report.unknown))
    digests = {
        CONFIG: file_digest(folder / CONFIG),
        METADATA: file_digest(folder / METADATA),
        "weights": weights.digest,
        "network": data_digest(config_to_dict(config)),
        "embodiment": data_digest(embodiment_to_dict(robot)),
    }
    return ReleasedFacts(config, robot, statistics, total_digest(digests), weights, report)


def read_released_config(folder: Path) -> tuple[ModelConfig, ReleaseReport]:
    """Our configuration of a released folder, without a slot for any robot. Raises CheckpointError."""
    eagle = folder / EAGLE_FOLDER / CONFIG
    beside = read_json_object(eagle) if eagle.is_file() else None
    try:
        return read_release(read_json_object(folder / CONFIG), beside)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {folder}: {error}") from error


def released_prompt(folder: Path, given: Path | None, config: ModelConfig) -> PromptTokenizer:
    """The prompt builder, of the tokenizer in folder ``given``, or in the checkpoint folder where None.

    Raises MissingTokenizerError when None is given and there is not a file of one, CheckpointError when there is and it
    cannot be used.
    """
    if given is not None and not given.is_dir():
        raise CheckpointError(f"no tokenizer folder {given}; give the folder that holds vocab.json and merges.txt")
    published = published_tokens(config)
    places = [given] if given else [folder, folder / EAGLE_FOLDER]
    for place in places:
        if given or has_tokenizer_files(place):
            return prompt_tokenizer(load_eagle_tokenizer(place, published), config)
    raise MissingTokenizerError(
        f"checkpoint {folder} has no tokenizer, as released; name a folder with vocab.json, merges.txt and "
        f"tokenizer_config.json (eagle2_hg_model of the public GR00T {published.release} code) or with the tokenizer.json of "
        f"{published.language_model}: launch argument tokenizer:=FOLDER, parameter 'tokenizer' of planner and controller, "
        f"option --tokenizer of gr00t; or copy the files to {folder / EAGLE_FOLDER}"
    )


def _with_slot(config: ModelConfig, robot: Embodiment) -> ModelConfig:
    """The slots of the release, and the robot's."""
    tags = PROJECTOR_INDICES[published_tokens(config).release.lower()]
    release = {tag: slot for tag, slot in tags.items() if slot < config.head.embodiments}
    try:
        return replace(config, embodiment_slots={**release, robot.tag: robot.projector_index})
    except ConfigError as error:
        raise CheckpointError(f"projector index of embodiment '{robot.name}': {error}") from error
