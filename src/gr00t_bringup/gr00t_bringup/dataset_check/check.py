# SPDX-License-Identifier: Apache-2.0
"""All checks over one dataset, an episode at a time: memory does not grow with its length."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.dataset_check.camera_checks import camera_findings
from gr00t_bringup.dataset_check.data_finding import DataFinding, count
from gr00t_bringup.dataset_check.joint_checks import JointRecord
from gr00t_bringup.dataset_check.row_checks import row_findings
from gr00t_bringup.dataset_check.statistics_check import statistics_findings
from gr00t_bringup.dataset_check.totals_check import totals_findings
from gr00t_bringup.inspection.dataset_report import closest_robot
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.convert_scene import SEED, SIM_TASK
from gr00t_policy.data.dataset import EpisodeEntry, LeRobotDataset
from gr00t_policy.data.layout import STATE
from gr00t_sim.evaluation.seeds import EVALUATION_SEEDS

_MOVING_RAD = 0.01  # a step that a camera which sees the robot should show
# name -> what is said of it when nothing was found
_CHECKS = {
    "files": "all parquet files are there, whole and as long as said",
    "totals": "info.json counts what is there",
    "rate": "timestamps follow fps",
    "gap": "no rows are missing",
    "repeated rows": "no rows repeat in motion",
    "finite": "no NaN, no infinity",
    "index": "indices count up",
    "sentence": "every episode has one",
    "action lag": "no group moves enough to tell",
    "joint limits": "nothing beyond",
    "unused joints": "every joint moves",
    "video": "all are there and fit their rows",
    "camera": "pictures show something, and something new",
    "statistics": "meta/stats.json says what the data do",
    "evaluation": "no scene that policies are judged in",
}


@dataclass(frozen=True)
class DatasetCheck:
    """robot: whose limits were taken, '' = the dataset could not be opened. findings: in the order of the checks."""

    path: str
    robot: str
    episodes: int
    frames: int
    fps: float
    findings: tuple[DataFinding, ...]

    @property
    def ok(self) -> bool:
        return not count(self.findings)["error"]

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        findings = [asdict(finding) for finding in self.findings]
        own = {name: getattr(self, name) for name in ("path", "robot", "episodes", "frames", "fps")}
        return {"ok": self.ok, **own, "counts": count(self.findings), "findings": findings}


def check_dataset(root: Path, robot: Embodiment | None = None, *, all_frames: bool = False) -> DatasetCheck:
    """robot: whose joints these are, None = the shipped one that fits best. all_frames: decode every picture."""
    try:
        dataset = LeRobotDataset(root)
    except DatasetError as error:
        finding = DataFinding("error", "files", str(error), "mend the file or copy the dataset again", column="meta")
        return DatasetCheck(str(root), "", 0, 0, 0.0, (finding,))
    robot = robot or closest_robot(dataset)
    found = list(_findings(dataset, robot, all_frames=all_frames))
    unseen = _unseen(dataset, found)
    silent = [
        DataFinding("ok", name, said)
        for name, said in _CHECKS.items()
        if all(each.name != name for each in found) and name not in unseen
    ]
    order = list(_CHECKS)
    ordered = sorted([*found, *silent], key=lambda finding: order.index(finding.name))
    return DatasetCheck(str(root), robot.name, len(dataset.episodes), dataset.num_frames, dataset.fps, tuple(ordered))


def _unseen(dataset: LeRobotDataset, found: list[DataFinding]) -> set[str]:
    """Checks that had nothing to look at, so that nothing can be said of them."""
    unread = {each.episode for each in found if each.name == "files" and each.level == "error"}
    of_rows = set(_CHECKS) - {"files", "totals", "video", "camera", "statistics", "evaluation"}
    return (of_rows if len(unread) >= len(dataset.episodes) else set()) | (
        set() if dataset.cameras else {"video", "camera"}
    )


def _findings(dataset: LeRobotDataset, robot: Embodiment, *, all_frames: bool) -> Iterator[DataFinding]:
    joints = JointRecord(dataset, robot)
    whole = True
    yield from totals_findings(dataset)
    for entry in dataset.episodes:
        try:
            columns = dataset.stored_columns(entry.index)
        except DatasetError as error:
            columns, whole = {}, False
            yield DataFinding(
                "error", "files", str(error), "copy the file back, or remove the episode", entry.index, "data"
            )
        else:
            of_rows = list(row_findings(dataset, entry, columns))
            whole = whole and not any(each.level == "error" and each.name in ("files", "finite") for each in of_rows)
            yield from of_rows
            if all(each.level != "error" for each in of_rows):
                yield from _refused(dataset, entry)
            joints.add(entry.index, columns)
        moving = _moving(columns.get(STATE), entry.length)
        for camera in dataset.cameras:
            yield from camera_findings(dataset, entry, camera, moving, all_frames=all_frames)
        yield from _evaluation_scene(entry)
    yield from joints.findings()
    yield from statistics_findings(dataset, readable=whole)


def _refused(dataset: LeRobotDataset, entry: EpisodeEntry) -> Iterator[DataFinding]:
    """What the reader of training does not take, for reasons that no check has named."""
    try:
        dataset.episode(entry.index)
    except DatasetError as error:
        yield DataFinding("error", "files", str(error), "write the episode again, or remove it", entry.index, "data")


def _evaluation_scene(entry: EpisodeEntry) -> Iterator[DataFinding]:
    seed = entry.info.get(SEED)
    if SIM_TASK in entry.info and seed in EVALUATION_SEEDS:
        yield DataFinding(
            "warning",
            "evaluation",
            f"scene {seed}, one of {EVALUATION_SEEDS.start} to {EVALUATION_SEEDS.stop - 1}, in which policies are judged",
            "leave the episode out: a policy that has seen the scene is not judged by it",
            entry.index,
            "episodes.jsonl",
            {"seed": float(entry.info[SEED])},
        )


def _moving(states: NDArray[Any] | None, length: int) -> NDArray[np.bool_]:
    """(length - 1,) where any joint moves enough to be seen; nowhere without states."""
    if states is None or len(states) != length:
        return np.zeros(max(length - 1, 0), bool)
    steps = np.abs(np.diff(states.reshape(length, -1).astype(np.float64), axis=0))
    return np.asarray((steps > _MOVING_RAD).any(axis=1))
