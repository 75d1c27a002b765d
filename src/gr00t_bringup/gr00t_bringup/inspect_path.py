# SPDX-License-Identifier: Apache-2.0
"""``gr00t inspect PATH``: what a checkpoint, a dataset or a bag holds, whether it is whole, and whether it fits the robot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.inspection.recognise import recognise
from gr00t_bringup.inspection.report import Report
from gr00t_bringup.inspection.screen import show
from gr00t_bringup.json_file import write_json


@dataclass(frozen=True)
class InspectConfig:
    """Exit code 0 when it is whole and fits the robot, 1 when something is damaged or differs, 2 for wrong use."""

    path: Annotated[Path, tyro.conf.Positional]
    """checkpoint folder, LeRobot dataset folder, bag folder or .mcap file"""
    robot: str = ""
    """embodiment to compare with: a shipped name or a YAML file; default: the one it was made for"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    verify: bool = False
    """also read every byte: hashes of a checkpoint (of a released one names, shapes and values of all tensors), all rows and
    video headers of a dataset"""
    details: bool = False
    """more tables: weights by module, statistics of the state, every task of a dataset"""
    json: Path | None = None
    """write everything found here"""


def run(config: InspectConfig) -> int:
    """Print the report. Raises ConfigError when the path is none of the three, EmbodimentError for an unknown robot."""
    report = inspect(
        config.path, config.robot, tokenizer=config.tokenizer, verify=config.verify, details=config.details
    )
    show(report)
    if config.json is not None:
        write_json(config.json, report.as_data())
    return 0 if report.ok else 1


def inspect(
    path: Path, robot: str = "", *, tokenizer: Path | None = None, verify: bool = False, details: bool = False
) -> Report:
    """The report on whatever ``path`` is."""
    kind = recognise(path)
    if kind == "checkpoint":
        from gr00t_bringup.inspection.checkpoint_report import checkpoint_report
        from gr00t_bringup.inspection.diffusion_report import diffusion_report
        from gr00t_policy.baseline.checkpoint import is_diffusion_policy

        if is_diffusion_policy(path):
            return diffusion_report(path, robot, verify=verify, details=details)
        return checkpoint_report(path, robot, tokenizer=tokenizer, verify=verify, details=details)
    if kind == "dataset":
        from gr00t_bringup.inspection.dataset_report import dataset_report

        return dataset_report(path, robot, verify=verify, details=details)
    from gr00t_bringup.inspection.bag_report import bag_report

    return bag_report(path, robot)
