# SPDX-License-Identifier: Apache-2.0
"""What a folder as NVIDIA releases it says of itself, and what of it fits a robot: it knows neither robots nor words."""

from pathlib import Path

from gr00t_bringup.inspection.checkpoint_facts import Described
from gr00t_bringup.inspection.released_differences import beside_the_robot, released_differences
from gr00t_bringup.inspection.report import Problem, Report
from gr00t_bringup.inspection.robot_differences import outside_limits
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data.statistics import Statistics, load_metadata, metadata_tags
from gr00t_policy.model.checkpoint import check_parts
from gr00t_policy.model.checkpoint_files import METADATA
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.release import ReleaseReport
from gr00t_policy.model.released_checkpoint import (
    MissingTokenizerError,
    read_released,
    read_released_config,
    released_prompt,
)


def add_released(report: Report, folder: Path, robot: Embodiment, tokenizer: Path | None) -> Described | None:
    """What the folder says for ``robot``, None where it has not all that the robot needs. Problems, data and a table go into
    ``report``. Raises CheckpointError when a file of it is missing or damaged."""
    config, odd = read_released_config(folder)
    metadata = _metadata(report, folder, robot)
    checkpoint = None
    if metadata is not None:
        found = released_differences(metadata, robot)
        report.problems += found
        report.grids.append(beside_the_robot(metadata, robot))
        if all(problem.severity != "difference" for problem in found):
            checkpoint = _served(report, folder, robot)
        for side in ("action", "state"):
            report.problems += outside_limits(side, getattr(metadata, side), robot)
    _add_tokenizer(report, folder, tokenizer, config)
    _add_oddities(report, odd)
    return checkpoint


def _metadata(report: Report, folder: Path, robot: Embodiment) -> Statistics | None:
    """Of all groups and cameras under the robot's tag; None, and a difference, where there is no such tag."""
    tags = metadata_tags(folder / METADATA)
    if robot.tag in tags:
        return load_metadata(folder / METADATA, robot.tag)
    detail = f"the checkpoint's metadata has {', '.join(tags) or 'none'}, '{robot.name}' is '{robot.tag}'"
    report.problems.append(Problem("difference", "embodiment tag", f"{detail}; name its robot with --robot"))
    return None


def _served(report: Report, folder: Path, robot: Embodiment) -> Described | None:
    """As planner and controller will read it."""
    facts = read_released(folder, robot)
    try:
        check_parts(facts.config, facts.embodiment, facts.statistics)
    except CheckpointError as error:
        report.problems.append(Problem("difference", "widths", str(error)))
        return None
    return facts


def _add_tokenizer(report: Report, folder: Path, tokenizer: Path | None, config: ModelConfig) -> None:
    try:
        released_prompt(folder, tokenizer, config)
    except MissingTokenizerError as missing:
        report.problems.append(Problem("warning", "tokenizer", str(missing)))
    except CheckpointError as error:
        report.problems.append(Problem("damage", "tokenizer", str(error)))


def _add_oddities(report: Report, odd: ReleaseReport) -> None:
    """What the configuration does not say, and what it says that is not understood here."""
    report.data["released"] = {"unknown": odd.unknown, "assumed": list(odd.assumed)}
    report.problems += [Problem("note", "assumed", sentence) for sentence in odd.assumed]
    report.problems += [
        Problem("note", f"unknown field {name}", f"{value!r} has no effect here") for name, value in odd.unknown.items()
    ]
