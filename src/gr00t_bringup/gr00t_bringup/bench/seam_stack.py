# SPDX-License-Identifier: Apache-2.0
"""Planner, controller, gate limits and robot in simulated time: every run of a scene is the same, however fast the machine.

The controller is the real one, 120 ticks a second on joint states of that instant. A picture is taken every 100 ms and its
tokens come after the time that encoding takes. Where the head has a delay it is evaluated beside the ticks, as by its worker:
the pose and tokens are those of its beginning, ticks go on meanwhile, and the controller measures the delay itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk, ConditioningTokens, Observation
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.policy import Policy, PreparedTokens
from gr00t_safety.limits import limiter_for
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.simulation import TabletopSim

RATE_HZ = 120.0
_NS = 1_000_000_000
TICK_NS = round(_NS / RATE_HZ)
_TICKS_PER_PICTURE = 12
_BEGIN_NS = _NS  # stamps of 0 mean "none"


@dataclass(frozen=True)
class Timing:
    """head_rate_hz: evaluations a second, at most ``RATE_HZ``: then one in every tick, without delay. delay_s: from the
    beginning of an evaluation to its chunk; encode_s: from a picture to its tokens."""

    head_rate_hz: float
    delay_s: float
    encode_s: float

    @property
    def every_tick(self) -> bool:
        return self.head_rate_hz >= RATE_HZ


@dataclass(frozen=True)
class Tick:
    """One command as the controller gave it (J,) [rad], whether a new chunk is behind it, and what the limits made of it."""

    number: int
    command: NDArray[np.float64]
    new_chunk: bool
    given: NDArray[np.float64]


class StackInTime:
    """One scene. ``run`` advances it tick by tick."""

    def __init__(self, sim: TabletopSim, policy: Policy, config: ControllerConfig, timing: Timing) -> None:
        """config: what is not about timing; the head's mode and the age limits follow from ``timing``."""
        self.sim, self.ticks = sim, list[Tick]()
        self.chunks: list[ActionChunk] = []  # as the head gave them; at most as many as the controller publishes
        self._policy, self._timing = policy, timing
        self._now_ns, self._number = _BEGIN_NS, 0
        self._steps_done = 0
        self._limiter = limiter_for(sim.embodiment, 1 / RATE_HZ)
        self._limiter.seed(sim.joint_targets())
        names = sim.embodiment.joint_names
        self._index = np.array([names.index(name) for name in policy.embodiment.policy_joint_names])
        self._coming: list[tuple[int, ConditioningTokens]] = []
        self._head_due_ns = _BEGIN_NS
        self._on_tick: Callable[[int], bool] = lambda _: False
        self._over = False
        slow = _Slow(policy, self._pass_delay)
        self._controller = Controller(policy if timing.every_tick else slow, config, lambda: self._now_ns)
        self._controller.warm_up(self._look())
        self._controller.activate()
        slow.late = not timing.every_tick

    @property
    def number(self) -> int:
        """Ticks so far."""
        return self._number

    @property
    def plan_age_s(self) -> float:
        """Age of the joint state behind the newest chunk in use."""
        return (self._now_ns - self._controller.answers_ns) / _NS

    def run(self, ticks: int, on_tick: Callable[[int], bool]) -> None:
        """At most so many ticks. on_tick: called after each with its number; True ends the run."""
        last, self._on_tick = self._number + ticks, on_tick
        while not self._over and self._number < last:
            if not self._timing.every_tick and self._now_ns >= self._head_due_ns and self._controller.evaluate_news():
                period_ns = round(_NS / self._timing.head_rate_hz)
                self._head_due_ns = max(self._head_due_ns + period_ns, self._now_ns)
            else:
                self._tick()

    def _pass_delay(self) -> None:
        ready_ns = self._now_ns + round(self._timing.delay_s * _NS)
        while not self._over and self._now_ns + TICK_NS <= ready_ns:
            self._tick()

    def _tick(self) -> None:
        self._step_physics()
        inputs = self._controller.inputs
        if self._number % _TICKS_PER_PICTURE == 0:
            self._coming.append((self._now_ns + round(self._timing.encode_s * _NS), self._look()))
        while self._coming and self._coming[0][0] <= self._now_ns:
            inputs.offer_tokens(self._coming.pop(0)[1], self._now_ns)
        inputs.offer_state(self.sim.joint_positions()[self._index], self._now_ns, self._now_ns, self._now_ns)
        answered = self._controller.answers_ns
        command = self._controller.tick(self._now_ns, self._now_ns)
        if command is not None:
            targets = self.sim.joint_targets()
            targets[self._index] = command.positions
            given = self._limiter.follow(targets)
            self.sim.set_targets(given, 1 / RATE_HZ)
            fresh = self._controller.answers_ns != answered
            self.ticks.append(Tick(self._number, command.positions, fresh, given[self._index]))
            chunk = self._controller.newest_chunk(self._now_ns)
            if chunk is not None:
                self.chunks.append(chunk)
        self._over = self._on_tick(self._number)
        self._number += 1
        self._now_ns = _BEGIN_NS + round(self._number * _NS / RATE_HZ)

    def _step_physics(self) -> None:
        """Up to this tick; 120 ticks are no whole number of 2 ms steps each."""
        wanted = int((self._now_ns - _BEGIN_NS) / _NS / self.sim.timestep_s + 1e-6)
        self.sim.step_physics(wanted - self._steps_done)
        self._steps_done = wanted

    def _look(self) -> ConditioningTokens:
        images = {HEAD_CAMERA: self.sim.render()}
        state = self.sim.joint_positions()[self._index].astype(np.float32)
        observation = Observation(images, state, self.sim.sentence, self._now_ns, self._now_ns)
        return self._policy.encode(observation, sequence=self._number + 1)


class _Slow:
    """The policy, whose evaluations take simulated time once ``late`` is set."""

    def __init__(self, policy: Policy, passed: Callable[[], None]) -> None:
        self.embodiment, self.late = policy.embodiment, False
        self._policy, self._passed = policy, passed

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        return self._policy.encode(observation, sequence, instruction_id)

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return self._policy.prepare(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self._policy.use(prepared)

    def accept(self, tokens: ConditioningTokens) -> None:
        self._policy.accept(tokens)

    def start_episode(self, seed: int) -> None:
        self._policy.start_episode(seed)

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        chunk = self._policy.act(state, state_stamp_ns, guide)
        if self.late:
            self._passed()
        return chunk
