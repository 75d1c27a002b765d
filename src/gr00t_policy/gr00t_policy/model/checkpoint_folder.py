# SPDX-License-Identifier: Apache-2.0
"""The folder of a checkpoint of ours, whatever network it holds: written whole or not at all, read against its manifest.

model.safetensors, config.json (the network's configuration in full), embodiment.json, experiment_cfg/metadata.json
(statistics), tokenizer.json, manifest.json (sha256 of the files above), training_card.json (for people: not part of the
hash). A network of several robots has the others in embodiments/<name>.json, also in the manifest, and their statistics in
metadata.json. What kind of network it is stands in config.json under ``model_type``; GR00T networks of ours have no such entry.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment, embodiment_from_dict, embodiment_to_dict
from gr00t_policy.core.errors import CheckpointError, ConfigError, EmbodimentError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.durable_folder import begin_aside, put_in_place, remove, restore
from gr00t_policy.data.statistics import Statistics, load_metadata, save_metadata
from gr00t_policy.model.checkpoint_files import CONFIG, METADATA, file_digest, total_digest
from gr00t_policy.model.json_file import read_json
from gr00t_policy.model.tokenizer import load_tokenizer
from gr00t_policy.model.weight_files import WEIGHTS, WeightFiles, open_weight_file

EMBODIMENT = "embodiment.json"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"
CARD = "training_card.json"
HASHED = (CONFIG, EMBODIMENT, METADATA, WEIGHTS, TOKENIZER)
MODEL_TYPE = "model_type"
DIFFUSION_POLICY = "diffusion_policy"
Config = TypeVar("Config")
Robot = tuple[Embodiment, Statistics]
_OTHER = re.compile(r"embodiments/([\w.-]+)\.json")


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds, checked but for whether the parts belong together.

    config: of the network, as it was parsed. robots: names of all that it was trained for, the one it was saved for first.
    """

    config: Any
    embodiment: Embodiment
    statistics: Statistics
    tokenizer: Tokenizer
    card: dict[str, Any]
    hash: str
    weights: WeightFiles
    robots: tuple[str, ...]


def model_type(folder: Path) -> str:
    """What config.json calls its kind of network; '' where it says nothing or cannot be read."""
    restore(folder)
    try:
        data = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    except CheckpointError:
        return ""
    return str(data.get(MODEL_TYPE, "")) if isinstance(data, dict) else ""


def write_folder(
    folder: Path,
    config: dict[str, Any],
    robots: Sequence[Robot],
    tokenizer: Tokenizer,
    card: dict[str, Any],
    write_weights: Callable[[Path], None],
) -> str:
    """Write a checkpoint beside ``folder`` and put it in its place when it is whole and on the disk. Returns its hash.

    robots: the one it is saved for, then others, each under a name and a tag of its own. Raises CheckpointError when they
    have not, when there is no room, and what ``write_weights`` raises; then what was in ``folder`` stays.
    """
    first, *others = [robot for robot, _ in robots]
    _check_names([first, *others])
    aside: Path | None = None
    try:
        aside = begin_aside(folder)
        write_json(aside / CONFIG, config)
        write_json(aside / EMBODIMENT, embodiment_to_dict(first))
        for robot in others:
            write_json(aside / _other_file(robot.name), embodiment_to_dict(robot))
        for _, statistics in robots:
            save_metadata(aside / METADATA, statistics)
        (aside / TOKENIZER).write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        write_weights(aside / WEIGHTS)
        write_json(aside / CARD, card)
        hashed = (*HASHED, *(_other_file(robot.name) for robot in others))
        digests = {name: file_digest(aside / name) for name in hashed}
        write_json(aside / MANIFEST, {"sha256": digests})
        put_in_place(folder)
    except CheckpointError:
        if aside is not None:
            remove(aside)
        raise
    except (OSError, SafetensorError) as error:
        if aside is not None:
            remove(aside)
        raise CheckpointError(
            f"checkpoint {folder} could not be written ({error}); what was there stays: make room and save again"
        ) from error
    return total_digest(digests)


def read_folder(
    folder: Path, parse_config: Callable[[Any], Any], embodiment: str | None = None, *, verify: bool = True
) -> FolderContent:
    """Everything but the weights' values. embodiment: name the caller needs, None = whichever it is.

    verify: compare the weights with the manifest too. Raises CheckpointError: no folder, a file missing or damaged (named),
    another embodiment.
    """
    require_folder(folder)
    if missing := [name for name in (*HASHED, MANIFEST) if not (folder / name).is_file()]:
        raise CheckpointError(f"checkpoint {folder} lacks {', '.join(missing)}; copy or download it again")
    digests = _check_manifest(folder, verify)
    config = _parse(folder / CONFIG, parse_config)
    robot = _parse(folder / EMBODIMENT, embodiment_from_dict)
    others = [match[1] for name in digests if (match := _OTHER.fullmatch(name))]
    robots = (robot.name, *others)
    if embodiment is not None and embodiment not in robots:
        trained = ", ".join(f"'{name}'" for name in robots)
        raise CheckpointError(f"checkpoint {folder} was trained for embodiment {trained}, not '{embodiment}'")
    if embodiment in others:
        robot = _parse(folder / _other_file(embodiment), embodiment_from_dict)
    return FolderContent(
        config=config,
        embodiment=robot,
        statistics=load_metadata(folder / METADATA, robot.tag),
        tokenizer=load_tokenizer(folder / TOKENIZER),
        card=read_json(folder / CARD) if (folder / CARD).is_file() else {},
        hash=total_digest(digests),
        weights=open_weight_file(folder / WEIGHTS),
        robots=robots,
    )


def require_folder(folder: Path) -> None:
    """Raises CheckpointError unless it is there. One whose replacement was cut off is put in its place first."""
    restore(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}; give the folder that holds {WEIGHTS} and {CONFIG}")


def check_statistics(embodiment: Embodiment, statistics: Statistics) -> None:
    """Raises CheckpointError unless there are statistics for the robot's joint groups."""
    expected = {name: part.stop - part.start for name, part in embodiment.policy_slices.items()}
    for side, keys in (("state", statistics.state), ("action", statistics.action)):
        given = {name: len(item.min) for name, item in keys.items()}
        if given != expected:
            raise CheckpointError(f"{side} statistics are for joint groups {given}; '{embodiment.name}' has {expected}")


def _check_manifest(folder: Path, verify: bool) -> dict[str, str]:
    manifest = read_json(folder / MANIFEST)
    recorded = manifest.get("sha256") if isinstance(manifest, dict) else None
    others = sorted(set(recorded) - set(HASHED)) if isinstance(recorded, dict) else []
    if not isinstance(recorded, dict) or not set(HASHED) <= set(recorded) or not all(map(_OTHER.fullmatch, others)):
        raise CheckpointError(
            f"{folder / MANIFEST} does not list the sha256 of {', '.join(HASHED)} and of robots alone"
        )
    if missing := [name for name in others if not (folder / name).is_file()]:
        raise CheckpointError(f"checkpoint {folder} lacks {', '.join(missing)}; copy or download it again")
    digests = {
        name: file_digest(folder / name) if verify or name != WEIGHTS else str(recorded[name]) for name in recorded
    }
    if damaged := [name for name in recorded if digests[name] != recorded[name]]:
        raise CheckpointError(
            f"checkpoint {folder} is damaged: {', '.join(damaged)} differs from its manifest; copy or download it again"
        )
    return digests


def _check_names(robots: Sequence[Embodiment]) -> None:
    for what, names in (("names", [robot.name for robot in robots]), ("tags", [robot.tag for robot in robots])):
        if len(set(names)) != len(names):
            raise CheckpointError(f"robots of one checkpoint need {what} of their own, got {', '.join(names)}")
    for robot in robots[1:]:
        if not _OTHER.fullmatch(_other_file(robot.name)):
            raise CheckpointError(f"'{robot.name}' cannot be the name of a file; use letters, digits, '_', '-' and '.'")


def _other_file(name: str | None) -> str:
    return f"embodiments/{name}.json"


def _parse(path: Path, build: Callable[[Any], Config]) -> Config:
    try:
        return build(read_json(path))
    except (ConfigError, EmbodimentError) as error:
        raise CheckpointError(f"{path}: {error}") from error
