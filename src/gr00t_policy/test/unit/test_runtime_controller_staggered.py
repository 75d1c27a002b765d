# SPDX-License-Identifier: Apache-2.0
"""The controller with chunks in flight: how old what it commands is, and that nothing of before a hold is ever commanded."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from test_runtime_controller import NS, TICK_NS, World, running
from test_runtime_staggering import MS, tokens_of

from gr00t_policy.core.types import ActionChunk
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller, Mode
from gr00t_policy.runtime.inputs import Cause, State
from gr00t_policy.runtime.policy import Backend, Gr00tPolicy

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def backend(checkpoint: Checkpoint) -> Backend:
    return load_backend(checkpoint, "torch", part="head", threads=1)


class Broken(Gr00tPolicy):
    """Its next finished chunk is broken when it is told so."""

    broken = False

    def finish(self, begun, actions):
        broken, self.broken = self.broken, False
        return super().finish(begun, np.full_like(actions, np.nan) if broken else actions)


@dataclass
class Moving(World):
    """The joint state says when it was measured: every joint stands at a known place of its stamp."""

    checkpoint: Checkpoint | None = None
    sentence: str = "take the can"

    def pose_at(self, stamp_ns: int) -> np.ndarray:
        return 0.2 * np.sin(stamp_ns % (1000 * NS) / NS + np.arange(29))

    def tick(self):
        self.pose = self.pose_at(self.ros_ns + TICK_NS - 2 * MS)
        return super().tick()

    def send_tokens(self) -> None:
        assert self.checkpoint is not None
        self.sequence += 1
        tokens = tokens_of(self.checkpoint, self.sequence, self.sentence)
        object.__setattr__(tokens, "stamp_ns", self.ros_ns - 60 * MS)
        self.controller.inputs.offer_tokens(tokens, self.steady_ns)

    def age_in_ticks(self) -> float:
        """Of the joint state behind the newest command; it came 2 ms old."""
        return (self.ros_ns - 2 * MS - self.controller.answers_ns) / TICK_NS


def moving(checkpoint: Checkpoint, backend: Backend, kind: type[Gr00tPolicy] = Gr00tPolicy, **settings) -> Moving:
    config = ControllerConfig(**{"head_mode": "every_tick", "staggered": True, "warm_up_evaluations": 2, **settings})
    there: Moving
    controller = Controller(kind(checkpoint, backend, seed=3), config, lambda: there.steady_ns)
    there = Moving(controller, checkpoint=checkpoint)
    controller.warm_up(tokens_of(checkpoint, 0))
    controller.activate()
    return there


def test_the_first_command_answers_the_newest_joint_state_and_later_ones_that_of_three_ticks_ago(checkpoint, backend):
    there = moving(checkpoint, backend)
    while there.tick() is None:
        pass
    ages = [there.age_in_ticks()]
    for _ in range(40):
        assert there.tick() is not None
        ages.append(there.age_in_ticks())
    np.testing.assert_allclose(ages, [0, 1, 2, *[3] * 38], atol=1e-6)
    assert there.controller.staggers and there.controller.report(there.steady_ns, there.ros_ns).head_rate_hz > 100


def test_every_chunk_in_use_is_that_of_the_joint_state_and_tokens_whose_stamps_it_has(checkpoint, backend):
    there, plain = moving(checkpoint, backend), Gr00tPolicy(checkpoint, backend, seed=0)
    seen: list[ActionChunk] = []
    for _ in range(72):
        there.tick()
        chunk = there.controller.newest_chunk(there.steady_ns)
        seen += [chunk] if chunk is not None else []
    assert len(seen) > 10
    assert len({chunk.tokens_sequence for chunk in seen}) > 4
    for chunk in seen:
        plain.accept(tokens_of(checkpoint, chunk.tokens_sequence))
        expected = plain.act(there.pose_at(chunk.state_stamp_ns), chunk.state_stamp_ns)
        assert chunk.stamp_ns == expected.stamp_ns
        np.testing.assert_allclose(chunk.positions, expected.positions, atol=1e-5)


@pytest.mark.parametrize("fault", ["joint_states", "planner"])
def test_after_a_hold_nothing_that_began_before_it_is_commanded(checkpoint, backend, fault):
    there = moving(checkpoint, backend)
    there.run(0.3)
    setattr(there, fault, False)
    there.run(0.6)
    assert there.controller.verdict.state is State.HOLDING
    setattr(there, fault, True)
    while there.tick() is None:
        pass
    resumed_ns, sequence = there.ros_ns, there.sequence
    ages = [there.age_in_ticks()]
    assert there.controller.newest_chunk(there.steady_ns).tokens_sequence == sequence
    for _ in range(8):
        assert there.tick() is not None
        ages.append(there.age_in_ticks())
        assert there.controller.answers_ns >= resumed_ns - 2 * MS
    np.testing.assert_allclose(ages, [0, 1, 2, *[3] * 6], atol=1e-6)


def test_activated_again_nothing_that_was_in_flight_is_commanded(checkpoint, backend):
    there = moving(checkpoint, backend)
    there.run(0.3)
    there.controller.deactivate()
    there.controller.activate()
    began_ns = there.ros_ns
    while there.tick() is None:
        pass
    assert there.controller.answers_ns > began_ns and there.age_in_ticks() == pytest.approx(0)


def test_the_first_command_after_a_new_sentence_reached_the_controller_comes_from_it(checkpoint, backend):
    there = moving(checkpoint, backend)
    there.run(0.3)
    before = there.sequence
    there.sentence = "take the pear"
    while there.sequence == before:
        there.tick()
    assert there.controller.newest_chunk(there.steady_ns).tokens_sequence == there.sequence
    assert there.age_in_ticks() == pytest.approx(0)


def test_a_broken_chunk_holds_and_the_next_observation_is_evaluated_whole(checkpoint, backend):
    there = moving(checkpoint, backend, Broken)
    there.run(0.3)
    there.controller._policy.broken = True
    assert there.tick() is None and there.said == (State.HOLDING, Cause.HEAD_FAILED)
    assert there.tick() is not None
    assert there.age_in_ticks() == pytest.approx(0)


@pytest.mark.parametrize(("staggered", "ticks"), [(False, 1), (True, 4)])
def test_latency_is_compensated_by_the_whole_time_that_a_chunk_is_in_flight(checkpoint, backend, staggered, ticks):
    """The clock stands still within a tick: a chunk is used in the tick that finishes it and reached one later."""
    there = moving(checkpoint, backend, staggered=staggered, compensate_latency=True)
    there.run(0.5)
    chunk = None
    while chunk is None:
        there.tick()
        chunk = there.controller.newest_chunk(there.steady_ns)
    began_ns = chunk.state_stamp_ns + 2 * MS
    assert chunk.stamp_ns - 50 * MS - began_ns == pytest.approx(ticks * TICK_NS, abs=1)
    assert there.ros_ns - began_ns == pytest.approx((ticks - 1) * TICK_NS, abs=1)


def test_a_head_whose_pass_does_not_fit_a_tick_goes_to_the_worker_and_is_evaluated_whole(checkpoint, backend):
    ticking = iter(range(0, 1000 * NS, 20 * MS))
    config = ControllerConfig(staggered=True, warm_up_evaluations=2)
    controller = Controller(Gr00tPolicy(checkpoint, backend), config, lambda: next(ticking))
    controller.warm_up(tokens_of(checkpoint, 0))
    assert controller.mode is Mode.WORKER and not controller.staggers


def test_without_the_option_every_command_answers_the_newest_joint_state():
    there = running()
    assert not there.controller.staggers
    there.tick()
    assert there.controller.answers_ns == there.ros_ns - 2 * MS
