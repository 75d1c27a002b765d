# SPDX-License-Identifier: Apache-2.0
"""Controller and gate together on two made clocks: whatever time does, the robot is held in time and never jumps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.random_checkpoint import random_checkpoint
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.inputs import Cause
from gr00t_policy.runtime.policy import Gr00tPolicy, PreparedTokens, ReplayPolicy
from gr00t_safety.config import GateConfig
from gr00t_safety.gate import Gate
from gr00t_safety.ladder import State
from gr00t_safety.testing import MotionJudge

GR1 = load_embodiment("gr1")
COLUMNS = np.array([GR1.joint_names.index(name) for name in GR1.policy_joint_names])
HOME = GR1.positions_by_name(GR1.home)
MS = 1_000_000
TICK_NS = round(1e9 / 120)
ROS_NS = 1_700_000_000_000 * MS  # where the stamping clock stands when the steady one shows 0


class NoKeys:
    """In the place of a network, of which only the check of its tokens is wanted."""

    def context(self, features, mask) -> None:
        """Nothing to prepare."""


class Swings(ReplayPolicy):
    """A slow swing about home, which never ends. Counts what it is given; tokens are checked as those of a real network."""

    def __init__(self) -> None:
        swing = 0.15 * np.sin(np.arange(2000) / 20 * 2.0)[:, None]
        super().__init__(GR1, HOME[COLUMNS] + swing * np.ones(len(COLUMNS)))
        self.checkpoint = random_checkpoint("n1_tiny_release")
        self._real = Gr00tPolicy(self.checkpoint, NoKeys())
        self.accepted = 0

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return self._real.prepare(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self.accepted += 1
        super().use(prepared)


class Chain:
    """Planner's messages, controller, gate and a robot that obeys at once. ros_offset_ns: the system clock was set by this."""

    def __init__(self) -> None:
        self.now_ns, self.ros_offset_ns, self.sequence = 1000 * MS, 0, 0
        self.robot = HOME.copy()
        self.policy = Swings()
        self.controller = Controller(self.policy, ControllerConfig(head_mode="every_tick"), lambda: self.now_ns)
        self.controller.warm_up(self.tokens())
        self.gate = Gate(GR1, GateConfig(transition_s=0.2))
        self.judge = MotionJudge(GR1, 1 / 120)
        self.tokens_per_tick, self._due = 1 / 12, 1.0
        self.spoilt: dict[str, Any] = {}  # what the planner's messages have instead of what is right
        self.controller_stopped = self.prepares_apart = False
        self.states: list[State] = []
        self.controller.activate()
        self.gate.publishers("policy", 1)
        self.gate.activate()

    @property
    def ros_ns(self) -> int:
        return ROS_NS + self.now_ns + self.ros_offset_ns

    def tokens(self) -> ConditioningTokens:
        self.sequence += 1
        checkpoint = self.policy.checkpoint
        features, mask = np.zeros((2, checkpoint.config.head.cross_dim), np.float32), np.ones(2, np.bool_)
        stamp_ns = self.ros_ns - 60 * MS
        return ConditioningTokens(features, mask, stamp_ns, self.sequence, "swing", 1, checkpoint.hash, "gr1")

    def tick(self) -> None:
        self.now_ns += TICK_NS
        stamp_ns = self.ros_ns - 2 * MS
        self.gate.joint_state(self.now_ns, GR1.joint_names, self.robot, stamp_ns)
        if not self.controller_stopped:
            self.controller.inputs.offer_state(self.robot[COLUMNS], stamp_ns, self.now_ns, self.ros_ns)
            self._plan()
            if self.prepares_apart:
                self.controller.prepare_news()
            command = self.controller.tick(self.now_ns, self.ros_ns)
            if command is not None:
                self.gate.command(self.now_ns, "policy", command, self.controller.answers_ns)
        given = self.gate.tick(self.now_ns)
        if given is not None:
            self.robot = given.positions
            self.judge.applied.append(given.positions)
        self.states.append(self.gate.state)

    def _plan(self) -> None:
        """So many messages a tick on average as ``tokens_per_tick`` says."""
        self._due += self.tokens_per_tick
        while self._due >= 1.0:
            self._due -= 1.0
            self.controller.inputs.offer_tokens(replace(self.tokens(), **self.spoilt), self.now_ns)

    def run(self, seconds: float) -> list[State]:
        """The gate's state after each tick."""
        begin = len(self.states)
        for _ in range(round(120 * seconds)):
            self.tick()
        return self.states[begin:]

    def assert_no_jump(self) -> None:
        assert not any(self.judge.violations().values()), self.judge.violations()


@pytest.fixture
def driving() -> Chain:
    chain = Chain()
    chain.run(2.0)
    assert chain.gate.state is State.ACTIVE, chain.gate.reason
    return chain


@pytest.mark.parametrize("step_s", [-3600.0, -5.0, -0.5, -0.05, 0.05, 0.5, 5.0, 3600.0])
def test_a_system_clock_that_is_set_never_makes_the_robot_jump_and_it_goes_on_by_itself(driving, step_s):
    """Set back by less than a second, stamps look out of order until that time has passed; then holding ends as usual."""
    driving.ros_offset_ns += round(step_s * 1e9)
    after = driving.run(3.0)
    held_s = sum(state is not State.ACTIVE for state in after) / 120
    assert State.DAMPED not in after and State.STOPPED not in after
    assert held_s < (0.7 + abs(step_s) if -1 < step_s < 0 else 0.7)
    assert after[-60:] == [State.ACTIVE] * 60, driving.gate.reason
    driving.assert_no_jump()


def test_a_controller_that_stands_still_for_300_ms_is_held_for_within_60_and_goes_on_without_a_jump(driving):
    driving.controller_stopped = True
    stopped = driving.run(0.3)
    assert stopped.index(State.HOLD) / 120 < 0.060
    driving.controller_stopped = False
    resumed = driving.run(1.0)
    assert resumed[-1] is State.ACTIVE
    assert resumed.index(State.ACTIVE) / 120 >= GateConfig().healthy_s - 1 / 120, (
        "not before its commands have come for a while"
    )
    driving.assert_no_jump()


def test_a_machine_that_sleeps_for_300_ms_holds_the_robot_where_it_stands_and_goes_on_without_a_jump(driving):
    stands = driving.robot
    driving.judge.rested()
    driving.now_ns += 300 * MS
    states = driving.run(1.5)
    held = states.index(State.ACTIVE)
    assert held / 120 >= GateConfig().healthy_s and states[-1] is State.ACTIVE
    np.testing.assert_array_equal(driving.judge.applied[driving.judge.rests[0]], stands)
    driving.assert_no_jump()


def test_a_planner_ten_times_too_fast_changes_nothing_but_the_age_of_the_tokens(driving):
    driving.tokens_per_tick, before = 10 / 12, driving.policy.accepted
    states = driving.run(2.0)
    assert set(states) == {State.ACTIVE}
    assert driving.policy.accepted - before == pytest.approx(200, abs=2)
    driving.assert_no_jump()


def test_a_hundred_tokens_at_once_cost_one_evaluation_of_the_newest(driving):
    before, driving.tokens_per_tick = driving.policy.accepted, 0.0
    for _ in range(100):
        driving.controller.inputs.offer_tokens(driving.tokens(), driving.now_ns)
    driving.run(0.1)
    assert driving.policy.accepted == before + 1
    assert driving.controller.inputs.in_use.tokens.sequence == driving.sequence
    driving.assert_no_jump()


WRONG_TOKENS = {
    "of another checkpoint": ({"checkpoint_hash": "0123456789ab"}, "tokens come from checkpoint 0123456789ab"),
    "of another robot": ({"embodiment": "g1"}, "tokens are for embodiment 'g1', not 'gr1'"),
    "narrower": (
        {"features": np.zeros((2, 3), np.float32)},
        "tokens have shape (2, 3) with mask (2,); expected (S, 48)",
    ),
    "of one axis": ({"features": np.zeros(48, np.float32)}, "tokens have shape (48,) with mask (2,)"),
    "more than their mask": ({"features": np.zeros((5, 48), np.float32)}, "tokens have shape (5, 48) with mask (2,)"),
    "none at all": (
        {"features": np.zeros((0, 48), np.float32), "mask": np.ones(0, np.bool_)},
        "none of 0 tokens is a real",
    ),
    "all of them padding": ({"mask": np.zeros(2, np.bool_)}, "none of 2 tokens is a real one"),
    "not finite": ({"features": np.full((2, 48), np.nan, np.float32)}, "tokens hold NaN or infinity"),
}


@pytest.mark.parametrize("apart", [False, True], ids=["prepared in the tick", "prepared beside the ticks"])
@pytest.mark.parametrize("fault", ["silent", *WRONG_TOKENS])
def test_a_planner_that_is_silent_or_sends_what_does_not_fit_is_held_for_in_time_and_driving_goes_on_after_it(
    driving, fault, apart
):
    driving.prepares_apart = driving.controller.prepares_apart = apart
    accepted, why = driving.policy.accepted, ""
    if fault == "silent":
        driving.tokens_per_tick = 0.0
    else:
        driving.spoilt, why = WRONG_TOKENS[fault]
    states = driving.run(1.0)
    # 0.3 s since the last good tokens, which came up to 0.1 s ago; the gate's own 0.05 s; a tick of each.
    assert states.index(State.HOLD) / 120 <= 0.3 + 0.05 + 3 / 120
    assert states[-1] is State.HOLD
    assert driving.policy.accepted == accepted, "none of them was used"
    assert driving.controller.verdict.cause is Cause.TOKENS_SILENT
    assert why in driving.controller.verdict.detail
    driving.tokens_per_tick, driving.spoilt = 1 / 12, {}
    assert driving.run(1.5)[-1] is State.ACTIVE
    driving.assert_no_jump()
