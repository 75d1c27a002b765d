# SPDX-License-Identifier: Apache-2.0
"""The joints over all episodes: which never move, how far the state follows the action, which leave the robot's limits."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.dataset_check.data_finding import DataFinding
from gr00t_bringup.dataset_check.joint_labels import joint_labels
from gr00t_bringup.inspection.report import few
from gr00t_bringup.inspection.robot_differences import TOUCH_RAD
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.action_lag import ActionLag, action_lag
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.layout import ACTION, STATE

UNUSED_RAD = 1e-4  # a joint with a smaller range over the whole dataset is not used
_REACH_S = 0.5  # shifts tried on either side
_LARGE_S = 0.3  # position-controlled arms follow within 0.05 to 0.25 s
_DIFFER_S = 0.15
_LEAST_MATCH = 0.9  # lags of a poorer match differ by chance
_DEGREES = 4 * np.pi  # no joint turns so far; the same number of degrees is a common angle
_SIDES = {"state": STATE, "action": ACTION}


@dataclass
class JointRecord:
    """What has been seen of the joints of one dataset so far; its size grows with episodes by a few numbers each."""

    dataset: LeRobotDataset
    robot: Embodiment
    low: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    high: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    lags: dict[str, dict[int, ActionLag]] = field(default_factory=dict)
    frames: int = 0
    outside: dict[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)
    episodes_outside: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def add(self, episode: int, columns: dict[str, NDArray[Any]]) -> None:
        """Take in one episode; columns that are missing or of another width are left out."""
        values = {}
        for side, column in _SIDES.items():
            width = max(part.stop for part in self._groups(side).values())
            rows = columns.get(column)
            if rows is None or rows.size == 0 or rows.reshape(len(rows), -1).shape[1] < width:
                return
            values[side] = rows.reshape(len(rows), -1).astype(np.float64)
        if not all(np.isfinite(rows).all() for rows in values.values()):
            return
        self.frames += len(values["state"])
        for side, rows in values.items():
            self.low[side] = np.minimum(self.low.get(side, np.inf), rows.min(axis=0))
            self.high[side] = np.maximum(self.high.get(side, -np.inf), rows.max(axis=0))
            self._add_outside(episode, side, rows)
        self._add_lags(episode, values)

    def findings(self) -> Iterator[DataFinding]:
        yield from self._unused()
        for group, lags in self.lags.items():
            yield from lag_findings(group, lags, self.dataset.fps)
        yield from self._outside()

    def _groups(self, side: str) -> dict[str, slice]:
        return self.dataset.state_groups if side == "state" else self.dataset.action_groups

    def _add_lags(self, episode: int, values: dict[str, NDArray[np.float64]]) -> None:
        reach = max(round(_REACH_S * self.dataset.fps), 2)
        kinds = self.dataset.kinds("action")
        for group, part in self.dataset.action_groups.items():
            if group in self.dataset.state_groups:
                state = values["state"][:, self.dataset.state_groups[group]]
                lag = action_lag(values["action"][:, part], state, reach, absolute=kinds[group].absolute)
                if lag is not None:
                    self.lags.setdefault(group, {})[episode] = lag

    def _add_outside(self, episode: int, side: str, rows: NDArray[np.float64]) -> None:
        for group, part in self._comparable(side):
            joints = self.robot.policy_joints[self.robot.policy_slices[group]]
            lower = np.array([joint.lower_rad for joint in joints])
            upper = np.array([joint.upper_rad for joint in joints])
            beyond = np.maximum(lower - rows[:, part], rows[:, part] - upper) > TOUCH_RAD
            key = side, group
            self.outside[key] = self.outside.get(key, 0) + beyond.sum(axis=0)
            if beyond.any():
                self.episodes_outside.setdefault(key, set()).add(episode)

    def _comparable(self, side: str) -> Iterator[tuple[str, slice]]:
        """Groups of the robot that the dataset has with as many joints, as angles."""
        for group, own in self.robot.policy_slices.items():
            part = self._groups(side).get(group)
            fits = part is not None and part.stop - part.start == own.stop - own.start
            if part is not None and fits and not self.robot.encoding(side, group).rotation_source:
                yield group, part

    def _name(self, side: str, group: str, index: int) -> str:
        part = self._groups(side)[group]
        return joint_labels(self.robot, group, part.stop - part.start)[index]

    def _unused(self) -> Iterator[DataFinding]:
        for side in self.low:
            for group, part in self._groups(side).items():
                span = self.high[side][part] - self.low[side][part]
                still = [self._name(side, group, int(index)) for index in np.flatnonzero(span < UNUSED_RAD)]
                if not still:
                    continue
                whole = len(still) == part.stop - part.start
                driven = group in self.robot.policy_groups
                numbers: dict[str, float] = {"joints": len(still), "of": part.stop - part.start}
                found = f"all {len(still)} joints never move" if whole else f"{few(still)} never move"
                if not driven:
                    yield DataFinding(
                        "ok", "unused joints", f"{found}; '{self.robot.name}' does not drive this group",
                        column=f"{side}.{group}", numbers=numbers,
                    )  # fmt: skip
                    continue
                yield DataFinding(
                    "warning", "unused joints", found,
                    "leave the group out of policy_groups, or add data that move it"
                    if whole
                    else "they are learnt as constants: add data that move them if a task needs them",
                    column=f"{side}.{group}", numbers=numbers,
                )  # fmt: skip

    def _outside(self) -> Iterator[DataFinding]:
        for (side, group), counts in self.outside.items():
            if not counts.any():
                continue
            part = self._groups(side)[group]
            names = [self._name(side, group, int(index)) for index in np.flatnonzero(counts)]
            reached = float(max(-self.low[side][part].min(), self.high[side][part].max()))
            share = float(counts.max()) / self.frames
            degrees = reached > _DEGREES
            fix = (
                "these look like degrees: convert to radians"
                if degrees
                else "the gate clamps such commands: check names, signs and units against the robot's YAML"
                if side == "action"
                else "check zero positions and signs against the robot's YAML"
            )
            among = sorted(self.episodes_outside[side, group])
            yield DataFinding(
                "error" if degrees else "warning", "joint limits",
                f"{few(names)} beyond the limits of '{self.robot.name}', the worst in {share:.1%} of the frames, "
                f"in {len(among)} episode(s) from {among[0]} on; largest value {reached:.3f} rad",
                fix, column=f"{side}.{group}", numbers={"share": share, "largest_rad": reached, "joints": len(names)},
            )  # fmt: skip


def lag_findings(group: str, lags: dict[int, ActionLag], fps: float) -> Iterator[DataFinding]:
    """lags: episode -> lag of one group. The middle one is judged; those that match well must agree."""
    frames = np.array([lag.frames for lag in lags.values()])
    middle = float(np.median(frames))
    numbers = {"frames": middle, "seconds": middle / fps, "least": float(frames.min()), "most": float(frames.max())}
    said = f"the state follows the action by {middle:g} frames ({middle / fps:.2f} s)"
    column = f"action.{group}"
    if middle <= 0:
        fix = (
            "actions and states are the same moment: the policy would learn to stand still; store the command, not the state"
            if middle == 0
            else "actions were recorded after their effect: shift the column"
        )
        yield DataFinding("warning", "action lag", said, fix, column=column, numbers=numbers)
    elif middle / fps > _LARGE_S:
        fix = "check that both columns have stamps of one clock; the robot would answer late"
        yield DataFinding("warning", "action lag", said, fix, column=column, numbers=numbers)
    else:
        yield DataFinding("ok", "action lag", said, column=column, numbers=numbers)
    sure = {episode: lag.frames for episode, lag in lags.items() if lag.match >= _LEAST_MATCH}
    usual = float(np.median(list(sure.values()))) if sure else 0.0
    apart = [episode for episode, lag in sure.items() if abs(lag - usual) > max(2.0, _DIFFER_S * fps)]
    for episode in apart:
        yield DataFinding(
            "warning", "action lag", f"{sure[episode]} frames here, {usual:g} in most episodes",
            "recorded with another delay: shift or remove it", episode, column,
            {"frames": sure[episode], "usual_frames": usual},
        )  # fmt: skip
