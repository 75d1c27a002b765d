# SPDX-License-Identifier: Apache-2.0
"""Datasets and a robot brought together by name: joint groups, cameras, sentence, rate. Says what does not fit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import DatasetError, EmbodimentError
from gr00t_policy.data.layout import ACTION, ANNOTATION, STATE
from gr00t_policy.data.reader import LeRobotDataset

SAME_HZ = 1e-6


def open_for(robot: Embodiment, root: Path, default_task: str | None = None) -> LeRobotDataset:
    """The dataset with the columns of the robot's policy groups, in the robot's order.

    The sentence is the robot's annotation, or the dataset's first where that is not recorded; ``default_task`` where it has
    none, see ``LeRobotDataset``. Raises DatasetError naming every group and camera that the dataset lacks, and groups of
    another width.
    """
    plain = LeRobotDataset(root, default_task=default_task)
    if faults := [*_group_faults(robot, plain), *_camera_faults(robot, plain)]:
        raise DatasetError(f"{root} does not fit robot '{robot.name}': {'; '.join(faults)}")
    return LeRobotDataset(root, robot.policy_groups, _language_key(robot, plain), default_task)


def open_alike(robot: Embodiment, roots: Sequence[Path]) -> list[LeRobotDataset]:
    """Datasets that one network for ``robot`` is to learn from together, each with the columns of ``open_for``.

    Raises DatasetError when there is none, one is empty or does not fit, was recorded by another robot or by another one
    than the rest, or at another rate than the robot's, at which a network's chunks are driven.
    """
    if not roots:
        raise DatasetError("there is no dataset to learn from; give at least one folder")
    datasets = [open_for(robot, root) for root in roots]
    for root, dataset in zip(roots, datasets, strict=True):
        require_same_robot(f"dataset {root}", robot, dataset)
        if abs(dataset.fps - robot.rate_hz) > SAME_HZ:
            raise DatasetError(
                f"dataset {root} was recorded at {dataset.fps:g} Hz, robot '{robot.name}' is driven at {robot.rate_hz:g} Hz "
                "and would move at another speed than it was shown; record it at that rate, or train with --recipe "
                "pretrain, posttrain or finetune, which take a dataset's rate over"
            )
    first, *others = ((root, _recorded_by(robot, dataset)) for root, dataset in zip(roots, datasets, strict=True))
    for root, name in others:
        if name != first[1]:
            raise DatasetError(
                f"dataset {root} was recorded by '{name}', {first[0]} by '{first[1]}'; one network learns from one robot here: "
                "leave one out, correct robot_type in its meta/info.json, or train with --recipe pretrain"
            )
    return datasets


def require_same_robot(where: str, robot: Embodiment, dataset: LeRobotDataset) -> None:
    """What can be told: the name of the robot where it is one we know, and the names of the joints where they are said.

    where: what the error calls the dataset. Raises DatasetError.
    """
    named = _recorded_by(robot, dataset)
    if named != robot.name and (other := _known(named)) is not None:
        raise DatasetError(
            f"{where} was recorded by '{named}' (embodiment tag '{other.tag}'), not by '{robot.name}' ('{robot.tag}'); "
            "name the robot that recorded it (embodiment), or leave it out"
        )
    for column, groups in ((STATE, dataset.state_groups), (ACTION, dataset.action_groups)):
        names = dataset.info["features"][column].get("names")
        for group, part in groups.items():
            joints = [joint.name for joint in robot.policy_joints[robot.policy_slices[group]]]
            given = list(map(str, names[part])) if isinstance(names, list) else []
            if given != joints and set(given) & set(joints):
                raise DatasetError(
                    f"{where}: '{column}' has in {group} {', '.join(given)}, '{robot.name}' {', '.join(joints)}; "
                    "this is another robot or another order of joints"
                )


def _recorded_by(robot: Embodiment, dataset: LeRobotDataset) -> str:
    """The name that the dataset gives its robot; ``robot``'s own where it gives none, or one of the same tag."""
    named = str(dataset.info.get("robot_type") or robot.name)
    known = _known(named)
    return robot.name if named == robot.tag or (known is not None and known.tag == robot.tag) else named


def _known(name: str) -> Embodiment | None:
    """The robot of this name, unless it is one of others, as GR1ArmsOnly."""
    if not name.isidentifier():
        return None  # neither a path nor a name of ours
    try:
        return load_embodiment(name)
    except EmbodimentError:
        return None


def robot_in_dataset(
    robot: Embodiment, root: Path, groups: Sequence[str] = (), default_task: str | None = None
) -> Embodiment:
    """The robot as the dataset recorded it: rate, camera sizes, name of the sentence; ``groups``: those to be moved.

    Raises DatasetError when the dataset lacks something, EmbodimentError when the robot has no such group.
    """
    moved = replace(robot, policy_groups=tuple(groups) or robot.policy_groups)
    dataset = open_for(moved, root, default_task)
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
