# SPDX-License-Identifier: Apache-2.0
"""From a person's samples and the robot's measured pose to one joint command per tick.

What is lost holds: a hand out of sight its arm, a silent device both, a silent robot everything; nothing is extrapolated
and nothing goes back to a rest pose. Time comes in as ``now_ns`` of the steady clock and ``now_ros_ns`` of the clock that
stamps messages. One owner: methods must not run at the same time (the node holds a lock).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.core.types import JointCommand
from gr00t_policy.runtime.latency import DurationRing, Percentiles
from gr00t_teleop.retargeting.calibration import ArmSpan, heading, robot_span_m
from gr00t_teleop.retargeting.clutch import Clutch
from gr00t_teleop.retargeting.command_times import CommandTimes
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.engagement import Engagement, State
from gr00t_teleop.retargeting.fingers import HandRetargeting
from gr00t_teleop.retargeting.inverse_kinematics import SIDES
from gr00t_teleop.retargeting.neck import neck_angles, neck_rotation
from gr00t_teleop.retargeting.pose import Pose, pose_from_numbers
from gr00t_teleop.retargeting.robot_pose import RobotPose
from gr00t_teleop.retargeting.samples import SampleStream
from gr00t_teleop.retargeting.wrist_path import WristPath
from gr00t_teleop.types import OperatorState, tracked

Vector = NDArray[np.float64]

_NS = 1_000_000_000
_LEAD_S = 0.5  # a command may lead the arm this long: braking, a gate that begins gently
_GIVEN_S = 0.1  # age of what the gate gave the robot from which nobody knows where it is held


@dataclass(frozen=True)
class RetargeterReport:
    """What the retargeter does, for the state topic. Ages [s] are infinite before the first sample."""

    state: State
    reason: str
    source: str
    device_rate_hz: float
    operator_age_s: float
    solve: Percentiles  # a whole tick
    arms: Percentiles  # of it the inverse kinematics of the arms
    samples: int
    lost: int
    rejected: int
    scale: float
    delay_s: float  # of the wrists' targets behind the samples
    vetoed: int
    unsolved: int


class Retargeter:
    """Call ``operator`` and ``measured`` when messages come, ``tick`` at ``config.rate_hz``."""

    def __init__(
        self, embodiment: Embodiment, config: RetargeterConfig, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """clock_ns: only used to measure durations."""
        self.embodiment, self.config = embodiment, config
        self.engagement, self.samples, self.solve = Engagement(), SampleStream(), DurationRing()
        self.pose = RobotPose(embodiment, config, clock_ns)
        self.scale = config.arm_scale
        self.tick_ns = round(_NS / config.rate_hz)
        groups = {*embodiment.policy_groups, *(("neck",) if config.use_head else ())}
        self._columns = np.array([i for i, joint in enumerate(embodiment.joints) if joint.group in groups], np.intp)
        self.names = tuple(embodiment.joint_names[column] for column in self._columns)
        self._wrists = {side: WristPath(1.0 / config.rate_hz) for side in SIDES}
        self._hands = {side: HandRetargeting(embodiment, side) for side in SIDES}
        self._head = Clutch()
        self._heading, self._owes_heading = np.eye(3), True
        self._robot_span_m = robot_span_m(embodiment)
        self._span: tuple[int, ArmSpan] | None = None
        self._measured: tuple[Vector, int, int] | None = None  # positions, stamp, arrival
        self._last_command: Vector | None = None
        self._times = CommandTimes(self.tick_ns)
        self._began_ns = self._commanded_ns = 0
        self._led_since_ns: int | None = None
        self._gate_trouble = ""
        self._given: tuple[Vector, int] | None = None  # what the gate gave the robot, arrival

    @property
    def answers_ns(self) -> int:
        """Stamp of the newest joint state: what a command answers."""
        return self._measured[1] if self._measured is not None else 0

    def activate(self) -> None:
        """Nothing moves before a person closes the clutch."""
        self.samples.forget()
        self.samples.clear_counters()
        self._measured = self._last_command = self._given = None
        self.engagement.activate()

    def deactivate(self) -> None:
        self.engagement.deactivate()
        self._span = None

    def stop(self, why: str) -> None:
        """No commands until ``engagement.release``."""
        self._span = None
        self.engagement.stop(why)

    def calibrate(self, now_ns: int) -> str:
        """Begin to take the person's arm span; '' or why not. The result is in the report's reason."""
        refusal = self.engagement.begin_calibration()
        if not refusal:
            self._span = (now_ns + round(_NS * self.config.calibration_s), ArmSpan())
        return refusal

    def operator(self, state: OperatorState, now_ns: int) -> None:
        """A sample has arrived; the next tick uses it."""
        self.samples.offer(state, now_ns)

    def take_in(self, now_ns: int, now_ros_ns: int) -> None:
        """Read the newest sample now, so that the next tick, which would do it otherwise, has half as much to do."""
        sample = self.samples.take()
        if sample is not None:
            self._read(sample, now_ns, now_ros_ns)

    def measured(self, positions: Vector, stamp_ns: int, now_ns: int) -> None:
        """A joint state has arrived: (J,) of all driven joints."""
        self._measured = (positions, stamp_ns, now_ns)

    @property
    def waits_for_gate(self) -> bool:
        """Whether the gate does not pass these commands on, so that what it gives the robot counts."""
        return bool(self._gate_trouble)

    def gate(self, trouble: str, now_ns: int) -> None:
        """Whether the command gate passes these commands on: '' or why not. Never called: only ``settle_s`` counts.

        Until it does, what it gives the robot is commanded (``given``), be it held or driven by the policy: the person
        takes over from there. Where that is not known the pose is commanded unchanged.
        """
        if self._gate_trouble and not trouble:
            self._began_ns = now_ns - round(_NS * self.config.settle_s)  # motion begins gently from here
            self._rest_hands()
        self._owes_heading |= bool(trouble)
        self._gate_trouble = trouble

    def given(self, positions: Vector, now_ns: int) -> None:
        """The gate has given the robot this pose: (J,) of all driven joints."""
        self._given = positions, now_ns

    def tick(self, now_ns: int, now_ros_ns: int) -> JointCommand | None:
        """The command of this tick, None when nothing is commanded: disengaged, stopped, or the robot is silent."""
        self.take_in(now_ns, now_ros_ns)
        self._end_calibration(now_ns)
        if not self.engagement.is_engaged or self._measured is None:
            return None
        positions, stamp_ns, arrived_ns = self._measured
        silent_s = (now_ns - arrived_ns) / _NS
        if silent_s > self.config.joint_state_timeout_s:
            self._release_all()
            self.engagement.drop(f"no joint states for {1e3 * silent_s:.0f} ms")
            return None
        if not self._may_go_on(positions, now_ns):
            return None
        given = self._pose_given(now_ns)
        if given is not None:
            self.pose.reset(given)
        targets = {side: target for side, path in self._wrists.items() if (target := path.tick()) is not None}
        self.pose.tick(targets, self._pace(now_ns))
        self._last_command, self._commanded_ns = self.pose.positions, now_ns
        reach_ns = self._times.next_ns(stamp_ns, now_ns - arrived_ns)
        return JointCommand(reach_ns, self.names, self._last_command[self._columns])

    def prepare(self) -> None:
        """After a tick, when its command is on its way: compute what the next one needs of the commanded pose alone."""
        self.pose.prepare()

    def report(self, now_ns: int, now_ros_ns: int) -> RetargeterReport:
        """How things stand."""
        newest = self.samples.newest
        return RetargeterReport(
            state=self.engagement.state,
            reason=self.engagement.reason,
            source=newest.source if newest is not None else "",
            device_rate_hz=self.samples.rate_hz(now_ns),
            operator_age_s=self.samples.age_s(now_ros_ns),
            solve=self.solve.percentiles(),
            arms=self.pose.arm_steps.percentiles(),
            samples=self.samples.used,
            lost=self.samples.lost,
            rejected=self.samples.rejected,
            scale=self.scale,
            delay_s=max(path.delay_s for path in self._wrists.values()),
            vetoed=self.pose.arms.vetoed,
            unsolved=self.pose.arms.unsolved,
        )

    def _read(self, sample: OperatorState, now_ns: int, now_ros_ns: int) -> None:
        stamp_s = sample.stamp_ns / _NS
        is_old = (now_ros_ns - sample.stamp_ns) / _NS > self.config.max_sample_age_s
        numbers = {"left": sample.left_wrist, "right": sample.right_wrist}
        poses = {side: self._wrists[side].look(numbers[side], stamp_s) for side in SIDES}
        if self._span is not None:
            self._span[1].offer(poses["left"], poses["right"])
        if self.engagement.clutch(closed=sample.engaged):
            self._begin(now_ns)
        if is_old or not all(poses.values()):
            self.samples.rejected += 1
        else:
            self.samples.used += 1
        if self._owes_heading:
            self._face(sample)
        if not self.engagement.is_engaged or is_old or self._is_settling(now_ns):
            self._release_all()
            self.engagement.hold("the samples are too old when they arrive" if is_old else self._gate_trouble)
            return
        self._follow(sample, poses, stamp_s)
        lost = [f"{side} hand {self._wrists[side].fault}" for side in SIDES if poses[side] is None]
        self.engagement.hold("; ".join(lost) + ": held" if lost else "")

    def _follow(self, sample: OperatorState, poses: dict[str, Pose | None], stamp_s: float) -> None:
        head = pose_from_numbers(sample.head) if tracked(sample.head) else None
        self._owes_heading = False
        for side, pose in poses.items():
            path = self._wrists[side]
            if pose is None:
                path.release()
            else:
                path.follow(pose, stamp_s, self._heading, self.scale, partial(self.pose.home, side))
        if self.config.use_fingers:
            for side, hand in (("left", sample.left_hand), ("right", sample.right_hand)):
                self.pose.aim(f"{side}_hand", self._hands[side].follow(hand))
        if self.config.use_head:
            self.pose.aim("neck", None if head is None else self._neck(head))
            if head is None:
                self._head.release()

    def _face(self, sample: OperatorState) -> None:
        """Take what is ahead, until a hand is followed: one that is seen again later goes on in the directions in which it
        went, and as the other hand does, wherever the head looks then."""
        found = heading(pose_from_numbers(sample.head)) if tracked(sample.head) else None
        self._heading = found if found is not None else self._heading

    def _neck(self, head: Pose) -> Vector:
        home = Pose(np.zeros(3), neck_rotation(self.pose.part("neck")))
        return neck_angles(self._head.follow(head, self._heading, 0.0, lambda: home).rotation)

    def _begin(self, now_ns: int) -> None:
        """The clutch has closed: start from the pose that the robot is held in."""
        if self._measured is None:
            self.engagement.drop("there are no joint states")
            return
        self.pose.reset(self._held_pose(self._measured[0], now_ns))
        self._rest_hands()
        self._began_ns, self._led_since_ns, self._owes_heading = now_ns, None, True

    def _rest_hands(self) -> None:
        for side in SIDES:
            self._hands[side].reset(self.pose.part(f"{side}_hand"))

    def _pose_given(self, now_ns: int) -> Vector | None:
        """What the gate gives the robot while it does not pass these commands on; None where that is not known."""
        if not self._gate_trouble or self._given is None or now_ns - self._given[1] > _NS * _GIVEN_S:
            return None
        return self._given[0]

    def _held_pose(self, measured: Vector, now_ns: int) -> Vector:
        """What the gate gives the robot; else the last command while the robot still stands by it, else the measured pose.

        Just after the last command the arm may still be on its way there; that is no reason to call it back. A robot far
        from it was moved by someone else.
        """
        given = self._pose_given(now_ns)
        if given is not None:
            return given
        if self._last_command is None:
            return measured
        self.pose.reset(self._last_command)
        is_recent = now_ns - self._commanded_ns < _NS * _LEAD_S
        limit_rad = self.config.max_lead_rad if is_recent else self.config.own_pose_rad
        return self._last_command if self.pose.arm_lead_rad(measured) <= limit_rad else measured

    def _is_settling(self, now_ns: int) -> bool:
        return bool(self._gate_trouble) or now_ns - self._began_ns < _NS * self.config.settle_s

    def _pace(self, now_ns: int) -> float:
        gentle_s = self.config.settle_s + self.config.gentle_s
        return self.config.gentle_scale if now_ns - self._began_ns < _NS * gentle_s else 1.0

    def _release_all(self) -> None:
        """Everything holds; every latch is owed again."""
        for path in self._wrists.values():
            path.release()
        self._head.release()
        for group in ("left_hand", "right_hand", "neck"):
            self.pose.aim(group, None)

    def _may_go_on(self, positions: Vector, now_ns: int) -> bool:
        self._watch_silence(now_ns)
        self._watch_lead(positions, now_ns)
        if self._gate_trouble:
            self._release_all()
        return self.engagement.is_engaged

    def _watch_silence(self, now_ns: int) -> None:
        silent_s = self.samples.silent_s(now_ns)
        if silent_s > self.config.operator_hold_s:
            self._release_all()
            self.engagement.hold(f"no samples for {1e3 * silent_s:.0f} ms")
        if silent_s > self.config.operator_disengage_s:
            self.engagement.drop(f"the device was silent for {silent_s:.1f} s")

    def _watch_lead(self, positions: Vector, now_ns: int) -> None:
        if self.pose.arm_lead_rad(positions) <= self.config.max_lead_rad:
            self._led_since_ns = None
        elif self._led_since_ns is None:
            self._led_since_ns = now_ns
        elif now_ns - self._led_since_ns > _NS * _LEAD_S:
            self.engagement.drop("the robot does not follow; is the gate's source 'teleop'?")

    def _end_calibration(self, now_ns: int) -> None:
        if self._span is None or now_ns < self._span[0]:
            return
        span, self._span = self._span[1], None
        try:
            span_m = span.result_m()
        except Gr00tError as error:
            self.engagement.end_calibration(f"not calibrated: {error}")
        else:
            self.scale = self._robot_span_m / span_m
            self.engagement.end_calibration(f"calibrated: arm span {span_m:.2f} m, scale {self.scale:.2f}")
