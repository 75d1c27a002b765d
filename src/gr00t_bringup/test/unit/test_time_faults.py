# SPDX-License-Identifier: Apache-2.0
"""Controller and gate together on two made clocks: whatever time does, the robot is held in time and never jumps."""

from dataclasses import replace

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.inputs import Cause
from gr00t_policy.runtime.policy import PreparedTokens, ReplayPolicy
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


class Swings(ReplayPolicy):
    """A slow swing about home, which never ends. Counts what it is given, and refuses another checkpoint."""

    def __init__(self) -> None:
        swing = 0.15 * np.sin(np.arange(2000) / 20 * 2.0)[:, None]
        super().__init__(GR1, HOME[COLUMNS] + swing * np.ones(len(COLUMNS)))
        self.accepted = 0

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        if tokens.checkpoint_hash:
            raise MessageError(f"tokens come from checkpoint {tokens.checkpoint_hash}")
        return super().prepare(tokens)

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
        self.checkpoint = ""
        self.controller_stopped = False
        self.states: list[State] = []
        self.controller.activate()
        self.gate.publishers("policy", 1)
        self.gate.activate()

    @property
    def ros_ns(self) -> int:
        return ROS_NS + self.now_ns + self.ros_offset_ns

    def tokens(self) -> ConditioningTokens:
        self.sequence += 1
        features, mask = np.zeros((1, 1), np.float32), np.ones(1, np.bool_)
        return ConditioningTokens(features, mask, self.ros_ns - 60 * MS, self.sequence, "swing", 1, "", "gr1")

    def tick(self) -> None:
        self.now_ns += TICK_NS
        stamp_ns = self.ros_ns - 2 * MS
        self.gate.joint_state(self.now_ns, GR1.joint_names, self.robot, stamp_ns)
        if not self.controller_stopped:
            self.controller.inputs.offer_state(self.robot[COLUMNS], stamp_ns, self.now_ns, self.ros_ns)
            self._plan()
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
            tokens = replace(self.tokens(), checkpoint_hash=self.checkpoint)
            self.controller.inputs.offer_tokens(tokens, self.now_ns)

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


def test_a_machine_that_sleeps_for_300_ms_goes_on_without_a_jump(driving):
    driving.now_ns += 300 * MS
    assert driving.run(1.5)[-1] is State.ACTIVE
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


@pytest.mark.parametrize("fault", ["silent", "another checkpoint"])
def test_a_planner_that_is_silent_or_of_another_checkpoint_is_held_for_in_time_and_driving_goes_on_after_it(
    driving, fault
):
    if fault == "silent":
        driving.tokens_per_tick = 0.0
    else:
        driving.checkpoint = "0123456789ab"
    states = driving.run(1.0)
    # 0.3 s since the last good tokens, which came up to 0.1 s ago; the gate's own 0.05 s; a tick of each.
    assert states.index(State.HOLD) / 120 <= 0.3 + 0.05 + 3 / 120
    assert states[-1] is State.HOLD
    assert driving.controller.verdict.cause is Cause.TOKENS_SILENT
    assert fault == "silent" or "0123456789ab" in driving.controller.verdict.detail
    driving.tokens_per_tick, driving.checkpoint = 1 / 12, ""
    assert driving.run(1.5)[-1] is State.ACTIVE
    driving.assert_no_jump()
