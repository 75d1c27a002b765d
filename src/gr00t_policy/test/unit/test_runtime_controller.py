# SPDX-License-Identifier: Apache-2.0
"""Laws of the controller: absolute time, silence when anything is stale or broken, and going on by itself."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, JointCommand
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller, Mode
from gr00t_policy.runtime.inputs import Cause, State
from gr00t_policy.runtime.policy import HoldPolicy, ReplayPolicy

GR1 = load_embodiment("gr1")
J = len(GR1.policy_joint_names)
NS = 1_000_000_000
TICK_NS = round(NS / 120)
ROS_NS = 1_700_000_000 * NS  # where the stamping clock stands when the steady one shows 0
CONFIG = ControllerConfig(head_mode="every_tick")


def tokens(sequence: int, stamp_ns: int, instruction_id: int = 1) -> ConditioningTokens:
    return ConditioningTokens(
        np.zeros((1, 1), np.float32), np.ones(1, bool), stamp_ns, sequence, "take the can", instruction_id, "", "gr1"
    )


@dataclass
class World:
    """A controller with its inputs and its two clocks; streams can be switched off and broken."""

    controller: Controller
    steady_ns: int = NS
    sequence: int = 0
    joint_states: bool = True
    planner: bool = True
    pose: np.ndarray = field(default_factory=lambda: np.zeros(J))
    instruction_id: int = 1
    image_delay_s: float = 0.06

    @property
    def ros_ns(self) -> int:
        return ROS_NS + self.steady_ns

    def tick(self) -> JointCommand | None:
        self.steady_ns += TICK_NS
        number = self.steady_ns // TICK_NS
        if self.joint_states:
            stamp_ns = self.ros_ns - 2_000_000
            self.controller.inputs.offer_state(self.pose, stamp_ns, self.steady_ns, self.ros_ns)
        if self.planner and number % 12 == 0:
            self.send_tokens()
        return self.controller.tick(self.steady_ns, self.ros_ns)

    def send_tokens(self) -> None:
        self.sequence += 1
        stamp_ns = self.ros_ns - round(self.image_delay_s * NS)
        self.controller.inputs.offer_tokens(tokens(self.sequence, stamp_ns, self.instruction_id), self.steady_ns)

    def run(self, seconds: float) -> list[JointCommand | None]:
        return [self.tick() for _ in range(round(seconds * 120))]

    @property
    def said(self) -> tuple[State, Cause]:
        return self.controller.verdict.state, self.controller.verdict.cause


def world(policy=None, config: ControllerConfig = CONFIG) -> World:
    built: World

    def clock_ns() -> int:
        return built.steady_ns

    controller = Controller(policy or HoldPolicy(GR1), config, clock_ns)
    built = World(controller)
    controller.warm_up(tokens(0, 0))
    controller.activate()
    return built


def running(policy=None, config: ControllerConfig = CONFIG) -> World:
    built = world(policy, config)
    built.run(0.2)
    assert built.controller.verdict.state is State.RUNNING
    return built


def test_nothing_is_commanded_before_tokens_and_joint_states_came():
    alone = world()
    alone.joint_states = alone.planner = False
    assert alone.run(0.1) == [None] * 12 and alone.said == (State.WAITING_FOR_TOKENS, Cause.NO_TOKENS)
    alone.planner = True
    alone.run(0.2)
    assert alone.said == (State.WAITING_FOR_JOINT_STATES, Cause.NO_JOINT_STATE)
    alone.joint_states = True
    assert alone.tick() is not None


def test_a_command_is_to_be_reached_one_tick_after_it_was_computed_and_answers_the_newest_joint_state():
    there = running()
    command = there.tick()
    assert command is not None and command.stamp_ns == there.ros_ns + TICK_NS
    assert there.controller.answers_ns == there.ros_ns - 2_000_000
    assert command.joint_names == GR1.policy_joint_names


def test_commands_follow_a_recorded_motion_in_its_own_time():
    """Recorded row k is reached k + 1 steps of 1/20 s after the first joint state."""
    rows = np.arange(200.0)[:, None] * np.ones(J) * 0.01
    there = world(ReplayPolicy(GR1, rows))
    commands = [command for command in there.run(3.0) if command is not None]
    begin_ns = commands[0].stamp_ns - TICK_NS - 2_000_000
    late = [command for command in commands if command.stamp_ns > begin_ns + NS]
    for command in late[::17]:
        expected = 0.01 * ((command.stamp_ns - begin_ns) / NS * 20 - 1)
        np.testing.assert_allclose(command.positions, expected, atol=1e-3)


def test_the_head_is_evaluated_in_every_tick_and_rates_say_so():
    there = running()
    there.run(2.5)
    report = there.controller.report(there.steady_ns, there.ros_ns)
    assert report.mode is Mode.EVERY_TICK
    assert report.head_rate_hz == pytest.approx(120, abs=0.1)
    assert report.control_rate_hz == pytest.approx(120, abs=0.1)
    assert report.joint_state_to_command.p50_s == pytest.approx(0.002, abs=1e-6)
    assert 0.06 <= report.image_to_command.p50_s < 0.06 + 2 / 120
    assert report.token_age_s == pytest.approx(0.06, abs=0.11)


def test_another_sentence_does_not_make_the_commands_jump():
    class Moves(HoldPolicy):
        """Goes to 1 rad for the second sentence."""

        goal = 0.0

        def use(self, prepared):
            self.goal = float(prepared.tokens.instruction_id - 1)

        def act(self, state, state_stamp_ns):
            chunk = super().act(state, state_stamp_ns)
            return replace(chunk, positions=np.full_like(chunk.positions, self.goal))

    there = running(Moves(GR1))
    there.instruction_id = 2
    path = np.array([command.positions[0] for command in there.run(1.5)])
    assert np.diff(path).max() <= (1 / 120) / CONFIG.blend_time_s + 1e-6
    assert path[-1] > 0.98


def test_commands_stop_within_one_tick_of_the_token_limit_and_go_on_when_the_planner_is_back():
    there = running()
    there.planner = False
    there.run(0.1)  # to the end of the planner's last period at the most
    silent = 0
    while there.tick() is not None:
        silent += 1
    assert silent / 120 < CONFIG.token_hold_s
    assert there.said == (State.HOLDING, Cause.TOKENS_SILENT)
    assert "0.3 s" in there.controller.verdict.detail
    there.planner = True
    there.run(0.15)
    assert there.run(0.2)[-1] is not None


def test_tokens_that_are_late_are_a_warning_first():
    there = running()
    there.planner = False
    there.run(0.25)
    assert there.said == (State.RUNNING, Cause.TOKENS_LATE)
    assert there.controller.verdict.detail.startswith("WARN")


def test_an_image_that_is_too_old_holds_although_tokens_keep_coming():
    there = running()
    there.image_delay_s = 0.45
    there.run(0.7)
    causes = {there.said for _ in range(24) if there.tick() is None}
    assert (State.HOLDING, Cause.IMAGE_OLD) in causes


def test_commands_stop_when_joint_states_stop():
    there = running()
    there.joint_states = False
    commands = there.run(0.1)
    assert 4 <= sum(command is not None for command in commands) <= 6
    assert there.said == (State.HOLDING, Cause.JOINT_STATE_SILENT)


@pytest.mark.parametrize("broken", [np.full(J, np.nan), np.zeros(J - 1)])
def test_a_broken_joint_state_stops_commands_at_once_and_is_counted(broken):
    there = running()
    there.pose = broken
    assert there.tick() is None
    assert there.said == (State.HOLDING, Cause.BAD_JOINT_STATE)
    assert there.controller.report(there.steady_ns, there.ros_ns).rejected_inputs == 1
    there.pose = np.zeros(J)
    commands = there.run(0.2)
    assert commands[0] is None and commands[-1] is not None


def test_after_a_hold_commands_begin_at_the_measured_pose_and_join_the_new_plan():
    there = running(ReplayPolicy(GR1, np.full((400, J), 0.5)))
    there.joint_states = False
    there.run(1.0)
    there.joint_states, there.pose = True, np.full(J, 0.1)
    after = [command.positions[0] for command in there.run(0.5) if command is not None]
    assert 0.1 < after[0] < 0.1 + 0.4 * 0.25
    assert after[-1] == pytest.approx(0.5, abs=0.02)
    assert np.all(np.diff(after) >= 0)


def test_refused_tokens_do_not_replace_good_ones_and_are_counted_with_their_reason():
    class Strict(HoldPolicy):
        def prepare(self, tokens):
            if tokens.embodiment != "gr1":
                raise MessageError(f"tokens are for embodiment '{tokens.embodiment}'")
            return super().prepare(tokens)

    there = running(Strict(GR1))
    there.planner = False
    foreign = replace(tokens(99, there.ros_ns), embodiment="g1")
    there.controller.inputs.offer_tokens(foreign, there.steady_ns)
    assert there.tick() is not None
    assert there.controller.inputs.refused == {"tokens: not usable": 1}
    there.run(0.4)
    assert "embodiment 'g1'" in there.controller.verdict.detail


def test_repeated_and_older_tokens_do_not_keep_the_robot_moving():
    there = running()
    there.planner = False
    last = tokens(there.sequence, there.controller.inputs.in_use.tokens.stamp_ns)
    for _ in range(60):
        there.controller.inputs.offer_tokens(last, there.steady_ns)
        there.tick()
    assert there.said == (State.HOLDING, Cause.TOKENS_SILENT)


def test_joint_states_from_the_future_are_refused():
    there = running()
    there.joint_states = False
    there.controller.inputs.offer_state(np.zeros(J), there.ros_ns + NS, there.steady_ns, there.ros_ns)
    assert there.tick() is None
    assert "ahead of the clock" in there.controller.verdict.detail


def test_a_clock_that_is_set_back_is_followed():
    there = running()
    offset_ns = 100 * NS
    for _ in range(120):
        there.steady_ns += TICK_NS
        ros_ns = there.ros_ns - offset_ns
        there.controller.inputs.offer_state(there.pose, ros_ns, there.steady_ns, ros_ns)
        there.sequence += 1
        there.controller.inputs.offer_tokens(tokens(there.sequence, ros_ns), there.steady_ns)
        command = there.controller.tick(there.steady_ns, ros_ns)
    assert command is not None and command.stamp_ns == ros_ns + TICK_NS


def test_two_commands_never_have_the_same_time_even_when_the_clock_stands_still():
    there = running()
    first = there.controller.tick(there.steady_ns, there.ros_ns)
    second = there.controller.tick(there.steady_ns, there.ros_ns)
    assert first.stamp_ns < second.stamp_ns < first.stamp_ns + 1_000


def test_a_network_that_gives_nan_stops_commands():
    class Breaks(HoldPolicy):
        broken = False

        def act(self, state, state_stamp_ns) -> ActionChunk:
            if self.broken:
                raise MessageError("the network gave NaN or infinity; the chunk is dropped")
            return super().act(state, state_stamp_ns)

    policy = Breaks(GR1)
    there = running(policy)
    policy.broken = True
    assert there.tick() is None and there.said == (State.HOLDING, Cause.HEAD_FAILED)
    policy.broken = False
    assert there.tick() is not None


def test_chunks_are_told_at_most_20_times_a_second_and_once_each():
    there = running()
    told = []
    for _ in range(240):
        there.tick()
        chunk = there.controller.newest_chunk(there.steady_ns)
        told += [chunk.stamp_ns] if chunk is not None else []
    assert 38 <= len(told) <= 41 and len(set(told)) == len(told)


def test_the_first_chunk_from_new_tokens_is_told_in_the_tick_that_makes_it():
    class Marks(HoldPolicy):
        """Writes the stamp of its tokens into each chunk, as the network does."""

        stamp_ns = 0

        def use(self, prepared):
            self.stamp_ns = prepared.tokens.stamp_ns

        def act(self, state, state_stamp_ns):
            return replace(super().act(state, state_stamp_ns), tokens_stamp_ns=self.stamp_ns)

    there = running(Marks(GR1))
    there.controller.newest_chunk(there.steady_ns)
    seen = {there.controller.inputs.in_use.tokens.stamp_ns}
    for _ in range(240):
        there.tick()
        now = there.controller.inputs.in_use.tokens.stamp_ns
        chunk = there.controller.newest_chunk(there.steady_ns)
        assert now in seen or (chunk is not None and chunk.tokens_stamp_ns == now)
        seen.add(now)
    assert len(seen) > 19


def test_a_head_that_is_too_slow_for_the_tick_is_given_to_a_worker():
    class Slow(HoldPolicy):
        def act(self, state, state_stamp_ns):
            built.steady_ns += 7_000_000
            return super().act(state, state_stamp_ns)

    policy = Slow(GR1)
    built = World(Controller(policy, ControllerConfig(), lambda: built.steady_ns))
    assert built.controller.warm_up(tokens(0, 0)).p50_s == pytest.approx(0.007)
    assert built.controller.mode is Mode.WORKER


def test_in_worker_mode_ticks_sample_the_plan_and_hold_when_the_worker_stops():
    there = world(config=ControllerConfig(head_mode="worker"))
    commands = []
    for number in range(120):
        commands.append(there.tick())
        if number % 6 == 0:
            there.controller.evaluate_news()
    assert all(command is not None for command in commands[30:])
    report = there.controller.report(there.steady_ns, there.ros_ns)
    assert report.control_rate_hz == pytest.approx(120, rel=0.01) and 15 < report.head_rate_hz < 25
    for _ in range(60):
        there.controller._take_tokens()
        there.tick()
    assert there.said == (State.HOLDING, Cause.NO_PLAN)


def test_good_tokens_that_came_before_the_first_tick_are_taken_by_the_worker_after_it():
    there = world(config=ControllerConfig(head_mode="worker"))
    there.send_tokens()
    assert not there.controller.evaluate_news()  # it begins before the ticks do
    there.planner = False
    there.tick()
    there.controller.evaluate_news()
    assert there.tick() is not None
    assert there.controller.inputs.refused == {}


def test_nothing_is_commanded_before_activation_and_after_deactivation():
    there = running()
    there.controller.deactivate()
    assert there.run(0.1) == [None] * 12 and there.said == (State.INACTIVE, Cause.NOT_ACTIVE)
    there.controller.activate()
    assert there.controller.verdict.state is State.WAITING_FOR_TOKENS
