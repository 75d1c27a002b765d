# SPDX-License-Identifier: Apache-2.0
"""The controller's ways to execute chunks: each follows a motion in its own time; what real-time chunking is guided by."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_runtime_controller import GR1, NS, TICK_NS, J, World, tokens, world

from gr00t_policy.runtime.config import CHUNK_MODES, ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.expected_delay import ExpectedDelay
from gr00t_policy.runtime.policy import HoldPolicy, ReplayPolicy


class SlowAndGuided(ReplayPolicy):
    """Takes 60 ms, in which ticks go on, and keeps what it was asked with."""

    took_ns = 60_000_000

    def act(self, state, state_stamp_ns, guide=None):
        self.asked.append((state.copy(), state_stamp_ns, guide))
        began_ns = self.there.steady_ns
        while self.there.steady_ns < began_ns + self.took_ns:
            self.there.tick()
        return super().act(state, state_stamp_ns)


def slow_world(**settings) -> tuple[World, SlowAndGuided]:
    """A robot moving at 0.2 rad/s by a recording, evaluated by a worker that takes 60 ms."""
    policy = SlowAndGuided(GR1, np.arange(200.0)[:, None] * np.ones(J) * 0.01)
    controller = Controller(policy, ControllerConfig(head_mode="worker", **settings), lambda: there.steady_ns)
    there = World(controller)
    policy.there, policy.asked = there, []
    there.joint_states = there.planner = False
    controller.warm_up(tokens(0, 0))
    controller.activate()
    there.joint_states = there.planner = True
    there.run(0.3)
    policy.asked.clear()
    policy.start_episode(0)
    return there, policy


def test_a_chunk_of_real_time_chunking_is_guided_by_the_plan_up_to_when_it_will_be_there():
    there, policy = slow_world(chunk_mode="rtc")
    assert there.controller.evaluate_news()
    assert policy.asked[0][2] is None  # nothing to continue yet
    there.tick()
    for _ in range(3):
        assert there.controller.evaluate_news()
        there.tick()
    _, stamp_ns, guide = policy.asked[-1]
    times_s = 0.05 * (1 + np.arange(16))
    expected_s = (there.ros_ns - stamp_ns) / NS  # what it took this time, to the tick that takes it in
    np.testing.assert_array_equal(guide.weights == 1, times_s <= expected_s)
    first = policy.asked[0][1]
    np.testing.assert_allclose(
        guide.positions[:10, 0], 0.2 * ((stamp_ns - first) / NS + times_s[:10] - 0.05), atol=1e-3
    )


def test_the_next_guided_chunk_is_not_begun_before_the_last_one_is_in_the_plan():
    there, policy = slow_world(chunk_mode="rtc")
    there.controller.evaluate_news()
    there.controller.inputs.offer_state(there.pose, there.ros_ns, there.steady_ns, there.ros_ns)
    assert not there.controller.evaluate_news()
    there.tick()
    assert there.controller.evaluate_news()
    assert len(policy.asked) == 2


def test_with_latency_compensated_the_head_is_asked_about_the_pose_at_which_its_chunk_will_be_there():
    there, policy = slow_world(compensate_latency=True)
    for _ in range(4):
        there.controller.evaluate_news()
        there.tick()
    before_ns, measured = there.ros_ns, there.controller.inputs.state
    there.controller.evaluate_news()
    pose, stamp_ns, _ = policy.asked[-1]
    delay_ns = stamp_ns - before_ns
    assert 60_000_000 <= delay_ns <= 60_000_000 + 2 * TICK_NS
    moved = 0.2 * (stamp_ns - measured.stamp_ns) / NS
    np.testing.assert_allclose(pose - measured.positions, moved, atol=2e-3)


class ForgetfulLock:
    """The plan's lock; when the worker wants it, the tick's thread gets it first, once, to forget the plan in a hold."""

    def __init__(self, controller: Controller) -> None:
        self._lock, self._forget, self.waits = threading.RLock(), controller._forget_plan, True
        controller._plan._lock = self

    def __enter__(self):
        if self.waits:
            self.waits = False
            other = threading.Thread(target=self._forget)
            other.start()
            other.join()
        return self._lock.__enter__()

    def __exit__(self, *error):
        return self._lock.__exit__(*error)


def test_a_hold_that_forgets_the_plan_while_the_worker_begins_a_chunk_does_not_end_the_worker():
    there, policy = slow_world(compensate_latency=True)
    for _ in range(4):
        there.controller.evaluate_news()
        there.tick()
    lock = ForgetfulLock(there.controller)
    assert there.controller.evaluate_news() and not lock.waits
    pose, stamp_ns, _ = policy.asked[-1]
    np.testing.assert_array_equal(pose, there.pose)  # nothing says how far the robot will have gone
    assert stamp_ns < there.ros_ns - 60_000_000


@pytest.mark.parametrize("longest_ms", [160, 200])
def test_after_one_slow_evaluation_no_compensated_chunk_counts_as_older(longest_ms):
    there, policy = slow_world(compensate_latency=True)
    seen = []
    for number in range(40):
        policy.took_ns = (longest_ms if number == 10 else 60) * 1_000_000
        there.controller.evaluate_news()
        seen.append(there.tick() is not None)
    stamps = [stamp_ns for _, stamp_ns, _ in policy.asked]
    assert np.diff(stamps[2:]).min() > 0
    assert there.controller.report(there.steady_ns, there.ros_ns).refused == {}
    assert all(seen)


class StampsBack(ReplayPolicy):
    """Stamps its chunks earlier than they are by ``back_ns``."""

    back_ns = 0

    def act(self, state, state_stamp_ns, guide=None):
        chunk = super().act(state, state_stamp_ns)
        return replace(chunk, stamp_ns=chunk.stamp_ns - self.back_ns)


def test_a_chunk_that_counts_as_older_is_reported_once():
    policy = StampsBack(GR1, np.zeros((400, J)))
    there = world(policy, ControllerConfig(head_mode="worker"))
    there.run(0.2)
    for policy.back_ns in (0, 50_000_000, 0):
        there.tick()
        assert there.controller.evaluate_news()
        there.run(0.03)
    assert there.controller.report(there.steady_ns, there.ros_ns).refused == {"chunk: out of order": 1}


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(1, 400)), min_size=2, max_size=60),
)
def test_what_is_stamped_with_the_expected_delay_ascends_and_comes_back_to_it(steps_ms):
    delay, now_ms, used = ExpectedDelay(TICK_NS), 0, []
    for passed_ms, took_ms in steps_ms:
        now_ms += passed_ms
        used.append(delay.ascending_ns(now_ms * 1_000_000))
        assert used[-1] >= now_ms * 1_000_000 + delay.expected_ns
        delay.add(took_ms * 1_000_000)
    assert min(np.diff(used) - [step[0] * 500_000 for step in steps_ms[1:]]) >= 0
    for _ in range(30):
        now_ms += 100
        delay.add(1_000_000)
        last = delay.ascending_ns(now_ms * 1_000_000)
    assert last == now_ms * 1_000_000 + 1_000_000 + TICK_NS
    assert delay.ascending_ns((now_ms - 2000) * 1_000_000) < last  # the clock was set back


@pytest.mark.parametrize("mode", ["switch", "ensemble", "rtc"])
@pytest.mark.parametrize("interpolation", ["linear", "smooth"])
def test_a_motion_on_which_all_chunks_agree_is_commanded_in_its_own_time_in_every_mode(mode, interpolation):
    rows = np.arange(200.0)[:, None] * np.ones(J) * 0.01
    config = ControllerConfig(head_mode="every_tick", chunk_mode=mode, interpolation=interpolation)
    commands = [command for command in world(ReplayPolicy(GR1, rows), config).run(2.0) if command is not None]
    begin_ns = commands[0].stamp_ns - TICK_NS - 2_000_000
    for command in [command for command in commands if command.stamp_ns > begin_ns + NS][::17]:
        expected = 0.01 * ((command.stamp_ns - begin_ns) / NS * 20 - 1)
        np.testing.assert_allclose(command.positions, expected, atol=1e-3)


@given(
    mode=st.sampled_from(CHUNK_MODES),
    head=st.sampled_from(["every_tick", "worker"]),
    ahead_ms=st.lists(st.integers(-40, 99), min_size=1, max_size=20),
    whole_ms=st.sampled_from([1, 10]),
)
@settings(max_examples=40, deadline=None)
@example(mode="blend", head="worker", ahead_ms=[-5] * 12 + [40], whole_ms=10)
@example(mode="blend", head="every_tick", ahead_ms=[60], whole_ms=1)
def test_commands_lie_between_the_robot_and_the_plan_whatever_the_clock_of_joint_states(mode, head, ahead_ms, whole_ms):
    """Joint states are stamped behind or, as far as is allowed, ahead of the controller's clock; the robot stands at 0."""
    controller = Controller(
        ReplayPolicy(GR1, np.ones((400, J))), ControllerConfig(head_mode=head, chunk_mode=mode), lambda: there.steady_ns
    )
    there = World(controller, joint_states=False)
    controller.warm_up(tokens(0, 0))
    controller.activate()
    seen = []
    for number in range(60):
        stamp_ns = there.ros_ns + TICK_NS + ahead_ms[min(number, len(ahead_ms) - 1)] * 1_000_000
        stamp_ns -= stamp_ns % (whole_ms * 1_000_000)
        controller.inputs.offer_state(there.pose, stamp_ns, there.steady_ns + TICK_NS, there.ros_ns + TICK_NS)
        command = there.tick()
        seen += [] if command is None else [command.positions[0]]
        if head == "worker":
            controller.evaluate_news()
    assert seen and min(seen) >= 0.0 and max(seen) <= 1.0 + 1e-9


class GoesOn(HoldPolicy):
    """Wants to go on at 0.5 rad/s from where the robot is, and keeps what it is given as known."""

    def act(self, state, state_stamp_ns, guide=None):
        chunk = super().act(state, state_stamp_ns)
        wanted = state + 0.025 * (1 + np.arange(16.0))[:, None]
        known = np.zeros((16, 1)) if guide is None else guide.weights[:, None]
        given = wanted if guide is None else guide.positions
        return replace(chunk, positions=known * given + (1 - known) * wanted)


@pytest.mark.parametrize("mode", CHUNK_MODES)
def test_after_the_clock_was_set_back_the_motion_goes_on_from_where_the_robot_is(mode):
    there = world(GoesOn(GR1), ControllerConfig(head_mode="every_tick", chunk_mode=mode))
    path = []
    for number in range(360):
        there.steady_ns += TICK_NS
        ros_ns = there.ros_ns - (0 if number < 240 else 2 * NS)
        there.controller.inputs.offer_state(there.pose, ros_ns - 2_000_000, there.steady_ns, ros_ns)
        if number % 12 == 0:
            there.controller.inputs.offer_tokens(tokens(number + 1, ros_ns - 60_000_000), there.steady_ns)
        command = there.controller.tick(there.steady_ns, ros_ns)
        there.pose = there.pose if command is None else command.positions
        path.append(there.pose[0])
    assert path[239] > 0.9
    assert np.diff(path).min() > -0.001  # it went back to where it had been three tenths of a second before
    assert path[-1] > path[239] + 0.4
