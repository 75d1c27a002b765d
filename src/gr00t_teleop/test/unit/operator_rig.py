# SPDX-License-Identifier: Apache-2.0
"""A retargeter on a fake clock, a person made of numbers, and a robot that follows late and sags a little."""

from typing import Any

import numpy as np

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.engagement import State
from gr00t_teleop.retargeting.pose import Pose
from gr00t_teleop.retargeting.retargeter import Retargeter
from gr00t_teleop.testing import RobotShapedHand, quaternion
from gr00t_teleop.types import KEYPOINTS, OperatorState, untracked

GR1 = load_embodiment("gr1")
HOME = GR1.positions_by_name(GR1.home)
_EPOCH_NS = 1_700_000_000 * 10**9  # stamps never come from the steady clock


def numbers(pose: Pose | None) -> np.ndarray:
    return untracked() if pose is None else np.concatenate([pose.position, quaternion(pose.rotation)])


class OperatorRig:
    """One step is one tick at 120 Hz; a sample is sent with every one unless told otherwise. Without fingers by default."""

    def __init__(self, **settings: Any) -> None:
        self.retargeter = Retargeter(GR1, RetargeterConfig(**{"use_fingers": False, **settings}))
        self.now_ns = 10**9
        self.robot = HOME.copy()
        self.reads_at_once = True  # as the node does; else the tick reads the sample
        self.gain = 0.5  # share of the way to its command that the robot goes in a tick
        self.sag = np.zeros(len(HOME))
        self.rng = np.random.default_rng(0)
        self.wrists: dict[str, Pose | None] = {
            "left": Pose(np.array([0.4, 0.2, 1.1]), np.eye(3)),
            "right": Pose(np.array([0.4, -0.2, 1.1]), np.eye(3)),
        }
        self.head: Pose | None = Pose(np.array([0.0, 0.0, 1.6]), np.eye(3))
        self.fingers = {side: np.full(6, 0.2) for side in ("left", "right")}
        self.commands: list[JointCommand] = []
        self._people = {side: RobotShapedHand(GR1, side) for side in ("left", "right")}
        self._sequence = 0
        self.retargeter.activate()

    @property
    def state(self) -> State:
        return self.retargeter.engagement.state

    @property
    def reason(self) -> str:
        return self.retargeter.engagement.reason

    @property
    def stamp_ns(self) -> int:
        return _EPOCH_NS + self.now_ns

    def sample(self, *, engaged: bool, age_s: float = 0.0) -> OperatorState:
        """What the device says now; a real tracker never gives the same numbers twice."""
        self._sequence += 1
        noise = Pose(self.rng.normal(0, 1e-6, 3), np.eye(3))
        poses = {
            side: None if pose is None else Pose(pose.position + noise.position, pose.rotation)
            for side, pose in self.wrists.items()
        }
        hands = {
            side: untracked(len(KEYPOINTS))
            if pose is None
            else self._people[side].keypoints(self.fingers[side], 1.0, pose)
            for side, pose in poses.items()
        }
        return OperatorState(
            stamp_ns=self.stamp_ns - round(1e9 * age_s),
            frame="operator",
            source="rig",
            sequence=self._sequence,
            engaged=engaged,
            head=numbers(self.head),
            left_wrist=numbers(poses["left"]),
            right_wrist=numbers(poses["right"]),
            left_hand=hands["left"],
            right_hand=hands["right"],
        )

    def step(
        self, *, engaged: bool = True, send: bool = True, measure: bool = True, age_s: float = 0.0
    ) -> JointCommand | None:
        self.now_ns += self.retargeter.tick_ns
        if measure:
            self.retargeter.measured(self.robot + self.sag, self.stamp_ns, self.now_ns)
        if send:
            self.retargeter.operator(self.sample(engaged=engaged, age_s=age_s), self.now_ns)
            if self.reads_at_once:
                self.retargeter.take_in(self.now_ns, self.stamp_ns)
        command = self.retargeter.tick(self.now_ns, self.stamp_ns)
        if command is not None:
            self.commands.append(command)
            columns = [GR1.joint_names.index(name) for name in command.joint_names]
            self.robot[columns] += self.gain * (command.positions - self.robot[columns])
        return command

    def run(self, ticks: int, **how: Any) -> None:
        for _ in range(ticks):
            self.step(**how)

    def engage(self) -> None:
        """Open, close, and wait until the robot follows."""
        self.step(engaged=False)
        self.run(round(120 * self.retargeter.config.settle_s) + 3)
        assert self.state is State.ENGAGED, self.reason
