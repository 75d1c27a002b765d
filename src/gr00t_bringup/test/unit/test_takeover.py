# SPDX-License-Identifier: Apache-2.0
"""A person takes over from a policy and hands back: gate and retargeter together, on a fake clock, with a robot that obeys."""

import numpy as np
import pytest
from operator_rig import GR1, OperatorRig

from gr00t_safety.ladder import State
from gr00t_safety.testing import GateRig, rig
from gr00t_teleop.retargeting.pose import Pose

NO_VIOLATION = {"not finite": 0, "position": 0, "velocity": 0, "acceleration": 0}
ARM = [i for i, joint in enumerate(GR1.joints) if joint.group == "left_arm"]


class Both:
    """The policy goes on a wave about where the robot is; the person holds the clutch closed all along."""

    def __init__(self, seed: int = 0) -> None:
        self.gate: GateRig = rig(transition_s=0.5)
        self.person = OperatorRig(gentle_s=0.2)
        self.wave = np.random.default_rng(seed).uniform(0.1, 0.4, len(GR1.policy_joints))
        self.gate.gate.activate()
        self.engaged = False
        self.run(1.0)
        self.engaged = True
        self.run(1.0)
        assert self.gate.state is State.ACTIVE, self.gate.reason

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 120)):
            self.tick()

    def tick(self) -> None:
        gate, person, now_ns = self.gate, self.person, self.gate.now_ns
        passes = gate.state is State.ACTIVE and gate.gate.source == "teleop"
        gate.measure()
        person.now_ns, person.robot = now_ns, gate.robot.copy()
        person.retargeter.gate("" if passes else "the gate waits", now_ns)
        person.retargeter.given(gate.robot, now_ns)
        command = person.step(engaged=self.engaged)
        if command is not None:
            gate.gate.command(now_ns, "teleop", command, person.retargeter.answers_ns)
        gate.command(gate.home() + self.wave * np.sin(3e-9 * now_ns), "policy")
        gate.tick()

    def take(self, source: str) -> np.ndarray:
        """Select, and run until that source drives; the poses given meanwhile (N, J)."""
        first = len(self.gate.judge.applied)
        self.gate.gate.select(source)
        for _ in range(240):
            self.tick()
            if self.gate.state is State.ACTIVE:
                break
        assert self.gate.state is State.ACTIVE, self.gate.reason
        return np.array(self.gate.judge.applied[first:])


@pytest.mark.parametrize("seed", range(4))
def test_a_person_who_takes_over_and_holds_still_finds_the_robot_at_rest_where_it_was(seed):
    both = Both(seed)
    both.run(0.17 * seed)
    both.take("teleop")
    held = both.gate.robot.copy()
    both.run(1.0)
    np.testing.assert_allclose(both.gate.robot, held, atol=3e-4)  # 0.2 mm at the hand
    assert both.gate.judge.violations() == NO_VIOLATION


def test_what_the_hand_did_before_the_takeover_never_shows_and_what_it_does_after_moves_the_wrist():
    both = Both()
    for _ in range(60):
        both.person.wrists["left"] = Pose(both.person.wrists["left"].position + np.array([0.003, 0, 0]), np.eye(3))
        both.tick()
    both.take("teleop")
    before = both.person.retargeter.pose.arms.wrist("left").position
    both.run(0.5)
    np.testing.assert_allclose(both.person.retargeter.pose.arms.wrist("left").position, before, atol=1e-3)
    for _ in range(60):
        both.person.wrists["left"] = Pose(both.person.wrists["left"].position - np.array([0.001, 0, 0]), np.eye(3))
        both.tick()
    both.run(0.5)
    moved = both.person.retargeter.pose.arms.wrist("left").position - before
    np.testing.assert_allclose(moved, [-0.06, 0, 0], atol=4e-3)
    assert both.gate.judge.violations() == NO_VIOLATION


def test_the_policy_goes_on_from_where_the_person_left_the_robot_within_all_limits_again_and_again():
    both = Both(7)
    for turn in range(4):
        both.take("teleop")
        for _ in range(40):
            wrist = both.person.wrists["left"].position + np.array([0.0, 0.002 * (-1) ** turn, 0.001])
            both.person.wrists["left"] = Pose(wrist, np.eye(3))
            both.tick()
        assert both.gate.state is State.ACTIVE, both.gate.reason
        given = both.take("policy")
        speed = np.abs(np.diff(given, axis=0)).max(axis=1)
        assert speed.argmin() < len(given) - 1
        assert speed.min() == 0.0, "the robot comes to rest between two drivers"
        both.run(0.4)
        assert (both.gate.state, both.gate.gate.source) == (State.ACTIVE, "policy")
    assert both.gate.judge.violations() == NO_VIOLATION


def test_a_person_with_an_open_clutch_takes_over_a_robot_that_stands_still_until_it_is_closed():
    both = Both()
    both.engaged = False
    both.tick()
    both.gate.gate.select("teleop")
    both.run(0.5)
    held = both.gate.robot.copy()
    both.run(0.5)
    assert both.gate.state is State.HOLD
    np.testing.assert_array_equal(both.gate.robot, held)
    both.engaged = True
    both.run(1.0)
    assert both.gate.state is State.ACTIVE, both.gate.reason
    np.testing.assert_allclose(both.gate.robot[ARM], held[ARM], atol=1e-4)
