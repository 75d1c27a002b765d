# SPDX-License-Identifier: Apache-2.0
"""What a LeRobot dataset holds, whether its files are whole, and which robots it fits."""

from collections import Counter
from pathlib import Path
from typing import Any

from gr00t_bringup.inspection.checkpoint_facts import STATISTICS, statistics_cells
from gr00t_bringup.inspection.dataset_files import VideoStream, file_problems, first_streams
from gr00t_bringup.inspection.report import Grid, Problem, Report
from gr00t_bringup.inspection.robot_differences import outside_limits, shipped_robots
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.layout import ACTION, STATE
from gr00t_policy.data.meta import read_object
from gr00t_policy.data.statistics import KeyStatistics, key_statistics_from_dict

_TASKS_SHOWN = 8
_TEXT_SHOWN = 90
_OF_ONE_KIND = 5  # damaged files named before the rest is counted


def dataset_report(root: Path, robot: str = "", *, verify: bool = False, details: bool = False) -> Report:
    """Facts of the meta files, cheap checks of all others. robot: embodiment to compare with, '' = the best that fits.

    verify: also read all rows and all video headers. details: every task, states beside actions. Raises EmbodimentError
    for an unknown ``robot``.
    """
    report = Report("dataset", str(root))
    robots = {robot: load_embodiment(robot)} if robot else {name: load_embodiment(name) for name in shipped_robots()}
    try:
        dataset = LeRobotDataset(root)
    except Gr00tError as error:
        report.problems.append(Problem("damage", root.name, str(error)))
        report.judge("")
        return report
    streams, stream_problems = first_streams(dataset)
    damages = [*file_problems(dataset), *stream_problems]
    try:
        stored = _stored_statistics(dataset)
    except Gr00tError as error:
        damages.append(Problem("damage", "meta/stats.json", str(error)))
        stored = {}
    fits = {name: dataset_differences(dataset, config, stored) for name, config in robots.items()}
    report.problems += _shortened(damages)
    if verify and not damages:
        report.problems += _validated(dataset)
    best = _closest(dataset, fits)
    report.problems += fits.get(best, [])
    report.facts = _facts(dataset, streams, fits)
    report.grids = [*_grids(dataset, details=details), *_joint_grids(dataset, stored, details=details)]
    report.data = _data(dataset, streams) | {
        "damages": [vars(problem) for problem in damages],
        "robots": {
            name: {"fits": not _hard(found), "differences": [vars(problem) for problem in found]}
            for name, found in fits.items()
        },
    }
    report.judge(f"robot '{best}'" if best else "")
    return report


def closest_robot(dataset: LeRobotDataset) -> Embodiment:
    """The shipped robot that the dataset names, else the one that it fits best."""
    robots = {name: load_embodiment(name) for name in shipped_robots()}
    return robots[_closest(dataset, {name: dataset_differences(dataset, robot, {}) for name, robot in robots.items()})]


def dataset_differences(
    dataset: LeRobotDataset, robot: Embodiment, stored: dict[str, dict[str, KeyStatistics]]
) -> list[Problem]:
    """What hinders training ``robot`` on this dataset, and what is worth knowing. stored: its statistics, side -> group."""
    found = []
    if abs(dataset.fps - robot.rate_hz) > 1e-6:
        found.append(Problem("difference", "rate", f"dataset {dataset.fps:g} Hz, '{robot.name}' {robot.rate_hz:g} Hz"))
    for side, groups in (("state", dataset.state_groups), ("action", dataset.action_groups)):
        found += _group_differences(dataset, side, groups, robot)
    for camera in robot.cameras:
        if camera.name not in dataset.cameras:
            has = ", ".join(dataset.cameras) or "none"
            found.append(Problem("difference", f"camera {camera.name}", f"not in the dataset, which has: {has}"))
        elif dataset.cameras[camera.name] != (camera.height, camera.width):
            height, width = dataset.cameras[camera.name]
            detail = f"dataset {width}x{height}, '{robot.name}' {camera.width}x{camera.height}; pictures are resized"
            found.append(Problem("note", f"picture of {camera.name}", detail))
    columns = _language_columns(dataset)
    if robot.language_key not in columns:
        detail = f"'{robot.name}' reads {robot.language_key}; the dataset has: {', '.join(columns) or 'none'}"
        found.append(Problem("note", "sentence", detail))
    for side, statistics in stored.items():
        found += outside_limits(side, statistics, robot)
    return found


def _group_differences(
    dataset: LeRobotDataset, side: str, groups: dict[str, slice], robot: Embodiment
) -> list[Problem]:
    found = []
    names = _column_names(dataset, STATE if side == "state" else ACTION)
    for group, part in robot.policy_slices.items():
        joints = [joint.name for joint in robot.policy_joints[part]]
        if group not in groups:
            has = ", ".join(groups)
            found.append(Problem("difference", f"{side} group {group}", f"not in the dataset, which has: {has}"))
            continue
        given = names[groups[group]]
        width = groups[group].stop - groups[group].start
        if width != len(joints):
            detail = f"{width} values in the dataset, {len(joints)} joints of '{robot.name}'"
            found.append(Problem("difference", f"{side} group {group}", detail))
        elif given != joints and set(given) & set(joints):
            detail = f"dataset {', '.join(given)}; '{robot.name}' {', '.join(joints)}"
            found.append(Problem("difference", f"order of joints in {side} {group}", detail))
    if side == "state" and not set(names) & set(robot.joint_names):
        shown = f"{names[0]} to {names[-1]}" if names else "nothing"
        found.append(Problem("note", "names of joints", f"the dataset says {shown}; their order cannot be compared"))
    return found


def _closest(dataset: LeRobotDataset, fits: dict[str, list[Problem]]) -> str:
    """The robot that the dataset names, else the one with the fewest differences."""
    named = str(dataset.info.get("robot_type"))
    return named if named in fits else min(fits, key=lambda name: (_hard(fits[name]), name), default="")


def _stored_statistics(dataset: LeRobotDataset) -> dict[str, dict[str, KeyStatistics]]:
    """side -> group -> statistics of meta/stats.json; empty where there are none. Raises DatasetError."""
    if not dataset.layout.stats.is_file():
        return {}
    stored = read_object(dataset.layout.stats)
    found: dict[str, dict[str, KeyStatistics]] = {}
    for side, column, groups in (("state", STATE, dataset.state_groups), ("action", ACTION, dataset.action_groups)):
        if isinstance(stored.get(column), dict):
            whole = key_statistics_from_dict(stored[column], f"{dataset.layout.stats}, {column}")
            found[side] = {name: whole[part] for name, part in groups.items()}
    return found


def _validated(dataset: LeRobotDataset) -> list[Problem]:
    try:
        dataset.validate()
    except Gr00tError as error:
        return [Problem("damage", "content", str(error))]
    return []


def _shortened(damages: list[Problem]) -> list[Problem]:
    """The first few, and how many more."""
    if len(damages) <= _OF_ONE_KIND + 1:
        return damages
    rest = len(damages) - _OF_ONE_KIND
    return [*damages[:_OF_ONE_KIND], Problem("damage", f"{rest} more files", "--json FILE lists them all")]


def _hard(problems: list[Problem]) -> int:
    return sum(problem.severity == "difference" for problem in problems)


def _facts(
    dataset: LeRobotDataset, streams: dict[str, VideoStream], fits: dict[str, list[Problem]]
) -> list[tuple[str, str]]:
    episodes, frames = len(dataset.episodes), dataset.num_frames
    lengths = sorted(entry.length for entry in dataset.episodes)
    middle_s = lengths[episodes // 2] / dataset.fps
    cameras = [
        f"{name} {width}x{height} {streams[name].codec if name in streams else 'no video'}"
        for name, (height, width) in dataset.cameras.items()
    ]
    judged = [f"{name} {'yes' if not _hard(found) else f'no ({_hard(found)})'}" for name, found in fits.items()]
    return [
        ("holds", f"{episodes} episodes, {frames} frames at {dataset.fps:g} Hz, {_duration(frames / dataset.fps)}"),
        ("episodes", f"{lengths[0]} to {lengths[-1]} frames, half are longer than {middle_s:.1f} s"),
        ("robot type", str(dataset.info.get("robot_type", "not said"))),
        ("cameras", ", ".join(cameras) or "none"),
        ("sentences", f"column {dataset.language_column}, {len(_task_counts(dataset))} different"),
        ("statistics", "meta/stats.json" if dataset.layout.stats.is_file() else "none stored; training computes them"),
        ("fits", ", ".join(judged)),
    ]


def _grids(dataset: LeRobotDataset, *, details: bool) -> list[Grid]:
    groups = dict.fromkeys([*dataset.state_groups, *dataset.action_groups])
    rows = [
        (name, *(_range(side.get(name)) for side in (dataset.state_groups, dataset.action_groups))) for name in groups
    ]
    counts = _task_counts(dataset)
    shown = counts if details else counts[:_TASKS_SHOWN]
    title = "sentences" if len(shown) == len(counts) else f"sentences, the commonest {len(shown)} (--details: all)"
    return [
        Grid("groups: which numbers of the stored vectors [rad]", ("group", "state", "action"), rows),
        Grid(title, ("episodes", "sentence"), [(str(count), text[:_TEXT_SHOWN]) for text, count in shown]),
    ]


def _joint_grids(dataset: LeRobotDataset, stored: dict[str, dict[str, KeyStatistics]], *, details: bool) -> list[Grid]:
    """Each number of the stored vectors with its name and what the recordings say of it."""
    grids = []
    sides = {"action": (ACTION, dataset.action_groups), "state": (STATE, dataset.state_groups)}
    for side, (column, groups) in sides.items() if details else list(sides.items())[:1]:
        names, rows = _column_names(dataset, column), []
        for group, part in groups.items():
            for index in range(part.start, part.stop):
                name = names[index] if index < len(names) else "-"
                known = stored.get(side, {}).get(group)
                cells = statistics_cells(known, index - part.start) if known else ["-"] * len(STATISTICS)
                rows.append((str(index), group if index == part.start else "", name, *cells))
        title = f"{side}s: which number is which joint, and its statistics [rad]"
        title += "" if details else " (--details: states too)"
        grids.append(Grid(title, ("number", "group", "joint", *STATISTICS), rows))
    return grids


def _range(part: slice | None) -> str:
    return "-" if part is None else f"{part.start} .. {part.stop - 1} ({part.stop - part.start})"


def _task_counts(dataset: LeRobotDataset) -> list[tuple[str, int]]:
    """Sentence -> episodes, commonest first; published datasets list annotations beside the sentence, which comes first."""
    return Counter(entry.tasks[0] for entry in dataset.episodes if entry.tasks).most_common()


def _column_names(dataset: LeRobotDataset, column: str) -> list[str]:
    names = dataset.info["features"][column].get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _language_columns(dataset: LeRobotDataset) -> list[str]:
    return [f"annotation.{key}" for key in dataset.modality.get("annotation", {})]


def _data(dataset: LeRobotDataset, streams: dict[str, VideoStream]) -> dict[str, Any]:
    sides = {"state": dataset.state_groups, "action": dataset.action_groups}
    return {
        "episodes": len(dataset.episodes),
        "frames": dataset.num_frames,
        "hours": dataset.num_frames / dataset.fps / 3600,
        "fps": dataset.fps,
        "robot_type": dataset.info.get("robot_type"),
        "version": dataset.info.get("codebase_version"),
        "tasks": dict(_task_counts(dataset)),
        "language_column": dataset.language_column,
        "cameras": {
            name: {"height": height, "width": width, "codec": streams[name].codec if name in streams else None}
            for name, (height, width) in dataset.cameras.items()
        },
        "groups": {
            side: {name: [part.start, part.stop] for name, part in parts.items()} for side, parts in sides.items()
        },
        "joint_names": {
            "state": _column_names(dataset, STATE),
            "action": _column_names(dataset, ACTION),
        },
        "statistics_stored": dataset.layout.stats.is_file(),
    }


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.2f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.1f} s"
