# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint holds and whether it fits a robot. Weights are not read, only their headers."""

from pathlib import Path

from gr00t_bringup.inspection.checkpoint_facts import Described, add_weights, joint_grid, network_data, network_facts
from gr00t_bringup.inspection.released_report import add_released
from gr00t_bringup.inspection.report import Problem, Report
from gr00t_bringup.inspection.robot_differences import outside_limits, robot_differences, shipped_robots
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.model.checkpoint import RELEASED_ROBOT, is_released, load_checkpoint, verify_released
from gr00t_policy.runtime.served_checkpoint import ServedCheckpoint

_OF_A_RELEASE = "configuration, metadata, headers and samples of the weights; --verify reads all tensors"
_VERIFIED_RELEASE = "every tensor is there, of its shape and finite; a release lists no hashes"


def checkpoint_report(
    folder: Path, robot: str = "", *, tokenizer: Path | None = None, verify: bool = False, details: bool = False
) -> Report:
    """Everything but the weights' values. robot: embodiment to compare with, '' = of the checkpoint's own name, for a
    released one gr1.

    tokenizer: folder of the tokenizer of a released checkpoint that has none. verify: read every byte and compare it with
    the manifest, or with the configuration of a released one. details: more tables.

    Raises EmbodimentError when ``robot`` is not known.
    """
    report = Report("checkpoint", str(folder))
    config = load_embodiment(robot) if robot else None
    checkpoint: Described | None
    try:
        if released := is_released(folder):
            config = config or load_embodiment(RELEASED_ROBOT)
            checkpoint = add_released(report, folder, config, tokenizer)
            if verify:
                verify_released(folder)
        else:
            checkpoint = load_checkpoint(folder, verify=verify)
            if config is not None and config.name in checkpoint.robots[1:]:
                checkpoint = load_checkpoint(folder, config.name, verify=False)
            config = config or own_robot(report, checkpoint.embodiment)
            if config is not None:
                report.problems += compare(checkpoint, config)
    except Gr00tError as error:
        report.problems.append(Problem("damage", folder.name, str(error)))
        add_weights(report, folder, details=details)
        report.judge("")
        return report
    add_weights(report, folder, details=details)
    if checkpoint is not None:
        covers = ("every byte checked", "as listed; --verify reads all bytes")
        if released:
            covers = _VERIFIED_RELEASE, _OF_A_RELEASE
        report.facts = [*network_facts(checkpoint, covers[0] if verify else covers[1]), *report.facts]
        sides = ("action", "state") if details else ("action",)
        joints = [joint_grid(checkpoint.embodiment, side, getattr(checkpoint.statistics, side)) for side in sides]
        report.grids[:0] = joints
        report.data |= network_data(checkpoint)
    report.data |= {"compared_with": config.name if config else None, "verified": verify}
    report.judge(f"robot '{config.name}'" if config else "")
    return report


def compare(checkpoint: ServedCheckpoint, robot: Embodiment) -> list[Problem]:
    """All that hinders running this checkpoint on that robot, and what is worth knowing about it."""
    return [
        *robot_differences(checkpoint.embodiment, robot),
        *outside_limits("action", checkpoint.statistics.action, robot),
        *outside_limits("state", checkpoint.statistics.state, robot),
    ]


def own_robot(report: Report, trained: Embodiment) -> Embodiment | None:
    """The config of the robot it was trained for; None, and a problem in the report, where there is none."""
    try:
        return load_embodiment(trained.name)
    except Gr00tError:
        known = ", ".join(shipped_robots())
        detail = f"there is no robot config of this name; name one with --robot (shipped: {known})"
        report.problems.append(Problem("difference", f"robot '{trained.name}'", detail))
        return None
