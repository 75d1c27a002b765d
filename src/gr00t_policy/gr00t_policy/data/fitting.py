# SPDX-License-Identifier: Apache-2.0
"""A dataset and a robot brought together by name: joint groups, cameras, sentence, rate. Says all that does not fit at once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.layout import ANNOTATION
from gr00t_policy.data.reader import LeRobotDataset


def open_for(robot: Embodiment, root: Path) -> LeRobotDataset:
    """The dataset with the columns of the robot's policy groups, in the robot's order.

    The sentence is the robot's annotation, or the dataset's first where that is not recorded. Raises DatasetError naming
    every group and camera that the dataset lacks, and groups of another width.
    """
    plain = LeRobotDataset(root)
    if faults := [*_group_faults(robot, plain), *_camera_faults(robot, plain)]:
        raise DatasetError(f"{root} does not fit robot '{robot.name}': {'; '.join(faults)}")
    return LeRobotDataset(root, robot.policy_groups, _language_key(robot, plain))


def robot_in_dataset(robot: Embodiment, root: Path, groups: Sequence[str] = ()) -> Embodiment:
    """The robot as the dataset recorded it: rate, camera sizes, name of the sentence; ``groups``: those to be moved.

    Raises DatasetError when the dataset lacks something, EmbodimentError when the robot has no such group.
    """
    moved = replace(robot, policy_groups=tuple(groups) or robot.policy_groups)
    dataset = open_for(moved, root)
    cameras = tuple(
        replace(
            camera, height=dataset.cameras[camera.name][0], width=dataset.cameras[camera.name][1], rate_hz=dataset.fps
        )
        for camera in moved.cameras
    )
    return replace(moved, cameras=cameras, rate_hz=dataset.fps, language_key=_language_key(moved, dataset))


def _group_faults(robot: Embodiment, dataset: LeRobotDataset) -> list[str]:
    faults = []
    for side, recorded in (("state", dataset.state_groups), ("action", dataset.action_groups)):
        widths = {group: part.stop - part.start for group, part in recorded.items()}
        if missing := [group for group in robot.policy_groups if group not in widths]:
            faults.append(f"no {side} group {', '.join(missing)} (it has: {', '.join(widths)})")
        for group, part in robot.policy_slices.items():
            joints = part.stop - part.start
            if widths.get(group, joints) != joints:
                faults.append(f"{side}.{group} has {widths[group]} values, the robot {joints} joints")
    return faults


def _camera_faults(robot: Embodiment, dataset: LeRobotDataset) -> list[str]:
    missing = [camera.name for camera in robot.cameras if camera.name not in dataset.cameras]
    return [f"no camera {', '.join(missing)} (it has: {', '.join(dataset.cameras) or 'none'})"] if missing else []


def _language_key(robot: Embodiment, dataset: LeRobotDataset) -> str:
    recorded = [ANNOTATION + key for key in dataset.modality.get("annotation", {})]
    return robot.language_key if robot.language_key in recorded or not recorded else recorded[0]
