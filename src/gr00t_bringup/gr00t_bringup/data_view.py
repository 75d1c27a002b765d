# SPDX-License-Identifier: Apache-2.0
"""``gr00t data view DATASET``: an HTML page for each episode, with pictures and joint curves, that needs nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.episode_page import episode_page
from gr00t_bringup.inspection.dataset_report import closest_robot
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.dataset import LeRobotDataset


@dataclass(frozen=True)
class DataViewConfig:
    """Exit code 0 when every page is written."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """LeRobot dataset folder"""
    episodes: tuple[int, ...] = (0,)
    """which episodes"""
    pictures: int = 12
    """pictures of each camera, evenly over the episode"""
    robot: str = ""
    """whose joint names are shown: a shipped name or a YAML file; default: the shipped one that fits best"""
    out: Path = Path("out/view")
    """folder of the pages"""

    def __post_init__(self) -> None:
        if not self.episodes or not 1 <= self.pictures <= 200:
            raise ConfigError(
                f"at least one episode and 1 to 200 pictures are needed: {self.episodes}, {self.pictures}"
            )


def run(config: DataViewConfig) -> int:
    """Write a page after the other. Raises DatasetError for an episode that is not there or cannot be read."""
    dataset = LeRobotDataset(config.dataset)
    robot = load_embodiment(config.robot) if config.robot else closest_robot(dataset)
    config.out.mkdir(parents=True, exist_ok=True)
    for index in config.episodes:
        page = config.out / f"{config.dataset.resolve().name}_{index:06d}.html"
        page.write_text(episode_page(dataset, robot, index, config.pictures), encoding="utf-8")
        print(page)
    return 0
