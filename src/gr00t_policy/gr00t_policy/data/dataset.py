# SPDX-License-Identifier: Apache-2.0
"""LeRobot v2.0 datasets on disk: ``LeRobotWriter`` writes, ``LeRobotDataset`` reads, ``merge_datasets`` joins."""

from gr00t_policy.data.merge import merge_datasets
from gr00t_policy.data.meta import EpisodeEntry
from gr00t_policy.data.reader import Episode, LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter

__all__ = ["Episode", "EpisodeEntry", "LeRobotDataset", "LeRobotWriter", "merge_datasets"]
