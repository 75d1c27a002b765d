# SPDX-License-Identifier: Apache-2.0
"""A person who does what no one does, through inverse kinematics and command gate, tick by tick without a clock or ROS.

Both wrists swing without rest, leap, ask for what no arm can reach, are lost and come back; now and then nothing at all is
commanded for a while, so that the gate brakes the robot in the midst of a motion.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_safety.config import GateConfig
from gr00t_safety.gate import Gate
from gr00t_safety.ladder import State
from gr00t_teleop.retargeting.command_times import CommandTimes
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.inverse_kinematics import SIDES, WristTarget
from gr00t_teleop.retargeting.robot_pose import RobotPose
from gr00t_teleop.testing import WildMotion

Vector = NDArray[np.float64]

TICKS_OF_A_PERSON = 600  # 5 s; then another one begins, from the rest pose
_LEAP_CHANCE = 0.01  # of a wrist in a tick, up to 0.3 m along each axis
_LOST_CHANCE, _LOST_TICKS = 1 / 200, (2, 60)  # of a hand
_SILENT_CHANCE, _SILENT_TICKS = 1 / 600, (2, 60)  # of the retargeter
_GATE_LATER_NS = 1_500_000  # its ticks begin after the retargeter's, as in the running stack
_BEGAN_NS = 5_000_000_000
_ROBOT_CLOCK_NS = 1_700_000_000 * 10**9  # stamps are of another clock


@dataclass(frozen=True)
class Tick:
    """One tick: poses (J,) [rad] of all driven joints. commanded: None while nothing is; given: by the gate to the robot.

    is_driven: the gate passes commands on. step_s: what the command took to compute.
    """

    commanded: Vector | None
    given: Vector
    is_driven: bool
    step_s: float


class WildOperator:
    """One person and one robot that is at once where it is told to be. ``pose`` has the counters of the arms."""

    def __init__(
        self, embodiment: Embodiment, retargeter: RetargeterConfig, gate: GateConfig, rng: np.random.Generator
    ) -> None:
        self._rng, self._names = rng, embodiment.joint_names
        self.pose = RobotPose(embodiment, retargeter, time.perf_counter_ns)
        self._gate = Gate(embodiment, gate)
        self._times = CommandTimes(self._gate.tick_ns)
        groups = embodiment.policy_groups
        self._columns = [i for i, joint in enumerate(embodiment.joints) if joint.group in groups]
        self._command_names = tuple(self._names[column] for column in self._columns)
        self._robot = embodiment.positions_by_name(embodiment.home)
        self.pose.reset(self._robot)
        self._people = {side: WildMotion(self.pose.arms.wrist(side), rng, leap_chance=_LEAP_CHANCE) for side in SIDES}
        self._lost_until = dict.fromkeys(SIDES, 0)
        self._silent_until = self._gentle_until_ns = 0
        self._config = retargeter

    def ticks(self, count: int) -> Iterator[Tick]:
        """The next ``count`` ticks."""
        self._gate.activate()
        for number in range(count):
            yield self._tick(number, _BEGAN_NS + number * self._gate.tick_ns)

    def _tick(self, number: int, now_ns: int) -> Tick:
        stamp_ns = now_ns + _ROBOT_CLOCK_NS
        self._gate.joint_state(now_ns, self._names, self._robot, stamp_ns)
        targets = self._targets(number, now_ns / 1e9)
        commanded, step_s = None, 0.0
        if number >= self._silent_until:
            if self._rng.random() < _SILENT_CHANCE:
                self._silent_until = number + int(self._rng.integers(*_SILENT_TICKS))
            commanded, step_s = self._command(targets, now_ns, stamp_ns)
        given = self._gate.tick(now_ns + _GATE_LATER_NS)
        self._robot = self._robot if given is None else given.positions
        return Tick(commanded, self._robot, self._gate.state is State.ACTIVE, step_s)

    def _command(self, targets: dict[str, WristTarget], now_ns: int, stamp_ns: int) -> tuple[Vector, float]:
        """As the retargeter does it: until the gate passes its commands on, what the gate gives is commanded; then gently."""
        if self._gate.state is not State.ACTIVE:
            self.pose.reset(self._robot)
            targets = {}
            self._gentle_until_ns = now_ns + round(1e9 * self._config.gentle_s)
        pace = self._config.gentle_scale if now_ns < self._gentle_until_ns else 1.0
        began_s = time.perf_counter()
        self.pose.tick(targets, pace)
        self.pose.prepare()
        step_s = time.perf_counter() - began_s
        commanded = self.pose.positions
        reach_ns = self._times.next_ns(stamp_ns, 0)
        command = JointCommand(reach_ns, self._command_names, commanded[self._columns])
        self._gate.command(now_ns, "teleop", command, stamp_ns)
        return commanded, step_s

    def _targets(self, number: int, time_s: float) -> dict[str, WristTarget]:
        for side in SIDES:
            if self._rng.random() < _LOST_CHANCE:
                self._lost_until[side] = number + int(self._rng.integers(*_LOST_TICKS))
        poses = {side: person.at(time_s) for side, person in self._people.items()}
        return {side: WristTarget(pose) for side, pose in poses.items() if number >= self._lost_until[side]}
