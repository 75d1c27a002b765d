# SPDX-License-Identifier: Apache-2.0
"""What a control tick may cost beside the network: no memory that stays, no waiting for new tokens."""

import gc
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import blank_tokens, load_backend
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.head_worker import HeadWorker
from gr00t_policy.runtime.inputs import Cause, State
from gr00t_policy.runtime.policy import Gr00tPolicy, HoldPolicy, PreparedTokens

GR1 = load_embodiment("gr1")
J = len(GR1.policy_joint_names)
_PEAK_BYTES = 64 * 1024  # of one tick: a few chunks (16, 29) of float64 at 3.7 kB; keys and values alone are more
_WINDOW_TICKS = 200
_BLOCKS_LEFT = 20  # after a window; a block left by each tick would be 200


class Ticking:
    """A controller that is given a joint state before every tick."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.state = controller, np.zeros(J)

    def tick(self) -> None:
        now_ns = time.monotonic_ns()
        self.controller.inputs.offer_state(self.state, now_ns, now_ns, now_ns)
        self.controller.tick(now_ns, now_ns)

    def running(self, tokens: ConditioningTokens) -> "Ticking":
        self.controller.warm_up(tokens)
        self.controller.activate()
        self.offer(tokens, 1)
        for _ in range(1000):  # every meter is full, every cache of the interpreter warm
            self.tick()
        assert self.controller.verdict.state is State.RUNNING
        return self

    def offer(self, tokens: ConditioningTokens, sequence: int) -> None:
        now_ns = time.monotonic_ns()
        fresh = ConditioningTokens(
            tokens.features, tokens.mask, now_ns, sequence, "", 1, tokens.checkpoint_hash, tokens.embodiment
        )
        self.controller.inputs.offer_tokens(fresh, now_ns)


def patient(**settings: object) -> ControllerConfig:
    long = {"token_warn_s": 60.0, "token_hold_s": 60.0, "token_max_age_s": 60.0, "chunk_max_age_s": 60.0}
    return ControllerConfig(head_mode="every_tick", warm_up_evaluations=3, healthy_s=0.0, **long, **settings)


def blocks_left(ticking: Ticking) -> int:
    """The least of five windows: a leak is in each, a thread of an earlier test in this process is not."""
    left = []
    for _ in range(5):
        before = sys.getallocatedblocks()
        for _ in range(_WINDOW_TICKS):
            ticking.tick()
        left.append(sys.getallocatedblocks() - before)
    return min(left)


def test_a_tick_of_the_whole_controller_leaves_no_memory_behind_and_takes_little(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    policy = Gr00tPolicy(checkpoint, load_backend(checkpoint, "openvino", "fp32", tmp_path, part="head"))
    ticking = Ticking(Controller(policy, patient(), time.monotonic_ns)).running(blank_tokens(checkpoint))
    gc.collect()
    gc.disable()  # as in the running node
    try:
        for _ in range(_WINDOW_TICKS):  # the collection emptied the interpreter's lists of free blocks
            ticking.tick()
        left = blocks_left(ticking)
        tracemalloc.start()
        ticking.tick()
        tracemalloc.reset_peak()
        held, _ = tracemalloc.get_traced_memory()
        ticking.tick()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert left < _BLOCKS_LEFT
    assert peak - held < _PEAK_BYTES


class SlowContext(HoldPolicy):
    """Its constant work on tokens takes 50 ms, six control periods."""

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        time.sleep(0.05)
        return super().prepare(tokens)


def plain_tokens(sequence: int = 1) -> ConditioningTokens:
    return ConditioningTokens(np.zeros((1, 1), np.float32), np.ones(1, bool), 0, sequence, "", 1, "", "gr1")


def longest_tick_s(ticking: Ticking, ticks: int = 40) -> float:
    """Of ticks 5 ms apart, with new tokens before every tenth."""
    longest_s = 0.0
    for number in range(ticks):
        if number % 10 == 0:
            ticking.offer(plain_tokens(), 2 + number)
        began_s = time.monotonic()
        ticking.tick()
        longest_s = max(longest_s, time.monotonic() - began_s)
        time.sleep(0.005)
    return longest_s


def test_slow_constant_work_on_tokens_delays_no_tick_and_its_result_is_taken() -> None:
    ticking = Ticking(Controller(SlowContext(GR1), patient(), time.monotonic_ns)).running(plain_tokens())
    controller = ticking.controller
    assert longest_tick_s(ticking) >= 0.05, "without a thread the tick does it itself"
    controller.prepares_apart = True
    thread = HeadWorker(controller.prepare_news, "tokens", controller.inputs.tokens_came)
    thread.start()
    try:
        ticking.offer(plain_tokens(), 1000)
        assert longest_tick_s(ticking) < 0.04
        taken = controller.inputs.in_use
        assert taken is not None
        deadline_s = time.monotonic() + 5.0
        ticking.offer(plain_tokens(), 5000)
        while controller.inputs.in_use.tokens.sequence != 5000:
            assert time.monotonic() < deadline_s
            ticking.tick()
            time.sleep(0.002)
    finally:
        thread.stop()
    assert thread.failure is None
    assert controller.verdict.cause is Cause.NONE


def test_a_thread_that_waits_for_news_ends_when_it_is_asked_to() -> None:
    controller = Controller(HoldPolicy(GR1), patient(), time.monotonic_ns)
    thread = HeadWorker(controller.prepare_news, "tokens", controller.inputs.tokens_came)
    thread.start()
    began_s = time.monotonic()
    thread.stop()
    assert time.monotonic() - began_s < 1.0
    assert not thread._thread.is_alive()


def test_what_was_prepared_before_a_new_activation_is_not_used_after_it() -> None:
    ticking = Ticking(Controller(HoldPolicy(GR1), patient(), time.monotonic_ns)).running(plain_tokens())
    controller = ticking.controller
    controller.prepares_apart = True
    ticking.offer(plain_tokens(), 77)
    assert controller.prepare_news()
    controller.deactivate()
    controller.activate()
    ticking.tick()
    assert controller.verdict.state is State.WAITING_FOR_TOKENS
