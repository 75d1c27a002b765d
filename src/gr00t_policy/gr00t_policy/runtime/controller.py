# SPDX-License-Identifier: Apache-2.0
"""The fast loop's logic: newest joint state and tokens in, one joint command per tick out. No ROS, no clock of its own.

Evaluations of the action head are blended into one plan on absolute time, and each tick samples it for the time at which
its command is to be reached: one tick ahead. A chunk's first target is due a whole step (50 ms) after its joint state;
until then commands go there in a straight line, as in the demonstrations. When anything is too old or broken nothing is
commanded (the command gate holds the robot on silence), and the plan is forgotten with all chunks in flight, so that going on
starts from what is then true.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, JointCommand
from gr00t_policy.runtime.chunk_modes import make_plan
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.expected_delay import ExpectedDelay
from gr00t_policy.runtime.hand_over import HandOver
from gr00t_policy.runtime.inputs import Cause, ControllerInputs, MeasuredState, State, TokensInUse, Verdict
from gr00t_policy.runtime.latency import DurationRing, Percentiles, RateMeter
from gr00t_policy.runtime.policy import Policy, PreparedTokens
from gr00t_policy.runtime.staggering import StaggeredChunks, WholeChunks

_NS = 1_000_000_000
_RECENT = 2048  # values behind the percentiles: 17 s at 120 Hz
_INACTIVE = Verdict(State.INACTIVE, Cause.NOT_ACTIVE, "not active")


class Mode(IntEnum):
    """Where the head is evaluated; the numbers are those of the state message."""

    UNKNOWN = 0
    EVERY_TICK = 1
    WORKER = 2


@dataclass(frozen=True)
class Evaluation:
    """One chunk and the stamp of the image behind it."""

    chunk: ActionChunk
    image_stamp_ns: int


@dataclass(frozen=True)
class _Origin:
    """What a chunk began with: stamps of joint state and image, and when (steady time)."""

    state_stamp_ns: int
    image_stamp_ns: int
    began_ns: int


@dataclass(frozen=True)
class ControllerReport:
    """What the controller says about itself. Ages are NaN before the first value."""

    verdict: Verdict
    mode: Mode
    control_rate_hz: float
    head_rate_hz: float
    head: Percentiles
    image_to_command: Percentiles
    joint_state_to_command: Percentiles
    token_age_s: float
    joint_state_age_s: float
    refused: dict[str, int]

    @property
    def rejected_inputs(self) -> int:
        return sum(self.refused.values())


class Controller:
    """Owned by the thread that calls ``tick``; values may be offered from others. ``evaluate_news`` is for a worker thread.

    prepares_apart: a thread beside the ticks calls ``prepare_news``; without one, the tick does it when tokens have come.
    clock_ns: steady time, the clock of ``now_ns`` everywhere here; only used to measure durations.
    """

    def __init__(self, policy: Policy, config: ControllerConfig, clock_ns: Callable[[], int]) -> None:
        self._policy, self._config, self._clock_ns = policy, config, clock_ns
        self._names = policy.embodiment.policy_joint_names
        self._period_ns = round(_NS / config.rate_hz)
        self._step_ns = round(_NS / policy.embodiment.rate_hz)
        self.inputs = ControllerInputs(config, len(self._names))
        self.hand_over = HandOver()
        self.mode = Mode.UNKNOWN
        self.prepares_apart = False
        self._whole = WholeChunks[_Origin](policy)
        self._staggered = StaggeredChunks[_Origin](policy) if config.staggered else None
        self._chunks: WholeChunks[_Origin] | StaggeredChunks[_Origin] = self._staggered or self._whole
        self._begin()
        self.verdict = _INACTIVE

    @property
    def staggers(self) -> bool:
        """Whether chunks are in flight from tick to tick: asked for, and the head runs in every tick."""
        return self._chunks is self._staggered

    def _begin(self) -> None:
        config = self._config
        self._chunks.flush()
        self._plan = make_plan(config.chunk_mode, len(self._names), config.blend_time_s, config.interpolation)
        self._delay = ExpectedDelay(self._period_ns)
        self._head, self._from_image, self._from_state = (DurationRing(_RECENT) for _ in range(3))
        self._commands, self._evaluations = RateMeter(), RateMeter()
        self._evaluation: Evaluation | None = None
        self._seen: Evaluation | None = None  # by the tick, used or not
        self._blended: Evaluation | None = None
        self._told: Evaluation | None = None
        self._in_force: JointCommand | None = None
        self._evaluated: tuple[object, object] = (None, None)
        self._prepared: deque[tuple[TokensInUse, PreparedTokens]] = deque(maxlen=1)  # both ends are atomic
        self._head_fault = ""
        self._tell_ns = self._counted_image_ns = self._reach_ns = 0
        self._ros_minus_steady_ns: int | None = None  # known from the first tick on
        self._good_since_ns: int | None = None
        self.verdict = Verdict(State.WAITING_FOR_TOKENS, Cause.NO_TOKENS, "no tokens came yet")

    def warm_up(self, tokens: ConditioningTokens) -> Percentiles:
        """Evaluate the head on meaningless input and choose the mode by its median. Raises MessageError.

        Staggered chunks are for ticks: where even they do not fit, the worker evaluates whole ones.
        """
        embodiment, config = self._policy.embodiment, self._config
        state = np.array([embodiment.home.get(name, 0.0) for name in self._names])
        durations = DurationRing(config.warm_up_evaluations)
        self._chunks = self._staggered or self._whole
        self._policy.accept(tokens)
        if self.staggers:
            self._chunks.evaluate(state, 0, _Origin(0, 0, 0))  # whole; those measured are what most ticks do
        for _ in range(config.warm_up_evaluations):
            began_ns = self._clock_ns()
            self._chunks.evaluate(state, 0, _Origin(0, 0, 0))
            durations.add((self._clock_ns() - began_ns) / _NS)
        self._policy.start_episode(config.seed)
        self._chunks.flush()
        measured = durations.percentiles()
        fits = measured.p50_s <= config.every_tick_share * self._period_ns / _NS
        chosen = {"every_tick": Mode.EVERY_TICK, "worker": Mode.WORKER}
        self.mode = chosen.get(config.head_mode, Mode.EVERY_TICK if fits else Mode.WORKER)
        if self.mode is Mode.WORKER:
            self._chunks = self._whole
        return measured

    def activate(self) -> None:
        """Begin without any input; the noise is that of the seed."""
        assert self.mode is not Mode.UNKNOWN, "activate before warm_up"
        self._policy.start_episode(self._config.seed)
        self.inputs.forget()
        self._begin()

    def deactivate(self) -> None:
        """No commands from now on."""
        self.verdict = _INACTIVE
        self.prepares_apart = False

    @property
    def answers_ns(self) -> int:
        """Stamp of the joint state behind the newest command."""
        return self._blended.chunk.state_stamp_ns if self._blended else 0

    def tick(self, now_ns: int, now_ros_ns: int) -> JointCommand | None:
        """The command to be reached one tick later, or None, and ``verdict`` says why."""
        if self.verdict is _INACTIVE:
            return None
        self._ros_minus_steady_ns = now_ros_ns - now_ns
        if self.mode is Mode.EVERY_TICK:
            self._take_tokens()
        verdict = self._after_recovery(self.inputs.judge(now_ns, now_ros_ns), now_ns)
        if verdict.state is State.RUNNING and self.mode is Mode.EVERY_TICK:
            self._evaluate()
        if verdict.state is State.RUNNING:
            verdict = self._judge_plan(now_ros_ns) or verdict
        self.verdict = verdict
        if verdict.state is not State.RUNNING:
            self._forget_plan()
            return None
        return self._command(now_ns, now_ros_ns)

    def evaluate_news(self) -> bool:
        """For the worker: evaluate the head if something new has come since the last time. False: there was nothing to do."""
        if self._ros_minus_steady_ns is None:  # the worker runs before the ticks: how old tokens are is not known yet
            return False
        self._take_tokens()
        state, in_use = self.inputs.state, self.inputs.in_use
        nothing_new = state is self._evaluated[0] and in_use is self._evaluated[1]
        if state is None or in_use is None or nothing_new or self.verdict is _INACTIVE:
            return False
        if self._config.chunk_mode == "rtc" and self._evaluation is not self._seen:  # the next one must continue it
            return False
        self._evaluated = (state, in_use)
        self._evaluate()
        return True

    def newest_chunk(self, now_ns: int) -> ActionChunk | None:
        """The newest chunk in use, each once: the first from new tokens, so that a recording shows when they took effect;
        of the others as many as ``chunk_rate_hz`` allows.
        """
        newest, told = self._blended, self._told
        if newest is None or newest is told:
            return None
        if told is not None and told.image_stamp_ns == newest.image_stamp_ns and now_ns < self._tell_ns:
            return None
        self._told = newest
        # Due a period after this one was due, so that the mean rate does not fall with the tick's grid.
        period_ns = round(_NS / self._config.chunk_rate_hz)
        self._tell_ns = period_ns + (self._tell_ns if 0 <= now_ns - self._tell_ns < period_ns else now_ns)
        return newest.chunk

    def report(self, now_ns: int, now_ros_ns: int) -> ControllerReport:
        return ControllerReport(
            verdict=self.verdict,
            mode=self.mode,
            control_rate_hz=self._commands.rate_hz(now_ns),
            head_rate_hz=self._evaluations.rate_hz(now_ns),
            head=self._head.percentiles(),
            image_to_command=self._from_image.percentiles(),
            joint_state_to_command=self._from_state.percentiles(),
            token_age_s=self.inputs.token_age_s(now_ros_ns),
            joint_state_age_s=self.inputs.state_age_s(now_ros_ns),
            refused=dict(self.inputs.refused),
        )

    def prepare_news(self) -> bool:
        """The constant work on the newest tokens, which ``tick`` then takes. False: there were none."""
        taken = self.inputs.take_tokens()
        if taken is None:
            return False
        try:
            self._prepared.append((taken, self._policy.prepare(taken.tokens)))
        except MessageError as error:
            self.inputs.refuse_tokens(str(error))
        return True

    def _take_tokens(self) -> None:
        if not self.prepares_apart:
            self.prepare_news()
        if not self._prepared:
            return
        assert self._ros_minus_steady_ns is not None, "tokens are taken from the first tick on"
        taken, prepared = self._prepared.popleft()
        try:
            self.inputs.check_order(taken.tokens, self._clock_ns() + self._ros_minus_steady_ns)
        except MessageError as error:
            self.inputs.refuse_tokens(str(error))
        else:
            self._policy.use(prepared)
            self.inputs.use(taken)

    def _after_recovery(self, verdict: Verdict, now_ns: int) -> Verdict:
        """The same verdict, but holding goes on until inputs were good for a while."""
        if verdict.state is not State.RUNNING:
            self._good_since_ns = None
            return verdict
        if self._good_since_ns is None:
            self._good_since_ns = now_ns
        recovering = self.verdict.state is State.HOLDING and self.verdict.cause < Cause.HEAD_FAILED
        if recovering and now_ns - self._good_since_ns < self._config.healthy_s * _NS:
            return Verdict(State.HOLDING, Cause.RECOVERING, "inputs are back; going on when they stay")
        return verdict

    def _evaluate(self) -> None:
        """One evaluation of the head on the newest joint state."""
        measured, in_use = self.inputs.state, self.inputs.in_use
        assert measured is not None
        assert in_use is not None
        origin = _Origin(measured.stamp_ns, in_use.tokens.stamp_ns, self._clock_ns())
        try:
            made = self._act(measured, origin)
        except MessageError as error:
            self._head_fault = str(error)
            self.inputs.count_chunk()
            return
        ended_ns = self._clock_ns()
        took_s = (ended_ns - origin.began_ns) / _NS
        self._head.add(took_s)
        self._head_fault = ""
        if made is None:
            return
        chunk, origin = made
        self._delay.add(ended_ns - origin.began_ns)
        self._evaluations.add(ended_ns)
        told = replace(chunk, state_stamp_ns=origin.state_stamp_ns, inference_s=took_s)
        self._evaluation = Evaluation(told, origin.image_stamp_ns)

    def _act(self, measured: MeasuredState, origin: _Origin) -> tuple[ActionChunk, _Origin] | None:
        """The head's answer to the pose measured, or to the one expected when the answer is there; staggered, the answer to an
        older one, with where that began, or None."""
        assert self._ros_minus_steady_ns is not None
        began_ns = origin.began_ns + self._ros_minus_steady_ns
        ready_ns = began_ns + self._delay.expected_ns
        pose, stamp_ns = measured.positions, measured.stamp_ns
        if self._config.compensate_latency:
            ready_ns = self._delay.ascending_ns(began_ns)
            moved = self._plan.moved(stamp_ns, ready_ns)
            if moved is None:  # nor is there a chunk that this one could be older than
                self._delay.begin_anew()
            else:
                pose, stamp_ns = (pose + moved).astype(pose.dtype), ready_ns
        guide = self._plan.guide(stamp_ns + self._step_ns, ready_ns)
        return self._chunks.evaluate(pose, stamp_ns, origin, guide)

    def _judge_plan(self, now_ros_ns: int) -> Verdict | None:
        """None when there is a plan to follow; takes in the newest evaluation."""
        newest, limit_s = self._evaluation, self._config.chunk_max_age_s
        if self._head_fault:
            return Verdict(State.HOLDING, Cause.HEAD_FAILED, self._head_fault)
        if newest is not None and newest is not self._seen:
            if self._take_in(newest.chunk, now_ros_ns):
                self._blended = newest
            else:
                self.inputs.count_chunk("out of order")
        self._seen = newest
        if self._blended is None:
            return Verdict(State.HOLDING, Cause.NO_PLAN, "waiting for the head's first chunk")
        if (now_ros_ns - self._blended.chunk.state_stamp_ns) / _NS > limit_s:
            return Verdict(State.HOLDING, Cause.PLAN_OLD, f"the head gave no new chunk for {limit_s:g} s")
        return None

    def _take_in(self, chunk: ActionChunk, now_ros_ns: int) -> bool:
        """A worker's chunk may come after its own first step: it is then joined at the next command."""
        return self._plan.update(chunk, now_ros_ns + self._period_ns)

    def _forget_plan(self) -> None:
        self._chunks.flush()
        self._plan.reset()
        self._evaluation = self._seen = self._blended = self._in_force = None

    def _command(self, now_ns: int, now_ros_ns: int) -> JointCommand:
        reach_ns = now_ros_ns + self._period_ns
        # A clock that stands still between two ticks (a coarse /clock) must not make two commands for one instant.
        reach_ns = self._reach_ns + 1 if 0 <= self._reach_ns - reach_ns < self._period_ns else reach_ns
        self._reach_ns = reach_ns
        self._in_force = JointCommand(reach_ns, self._names, self._target(reach_ns))
        self._measure(now_ns, now_ros_ns)
        assert self.inputs.state is not None
        positions = self.hand_over.command(self._in_force.positions, self.inputs.state.positions, now_ns)
        return replace(self._in_force, positions=positions)

    def _target(self, reach_ns: int) -> NDArray[np.float64]:
        """The plan at ``reach_ns``; before its first step, on the straight line there from the command in force.

        Without a command in force (at the start, after a hold) the line begins at the measured pose.
        """
        assert self._blended is not None
        assert self.inputs.state is not None
        first_ns = self._plan.begins_ns
        if reach_ns >= first_ns:
            return self._plan.sample(reach_ns)
        from_ns, pose = self.inputs.state.stamp_ns, self.inputs.state.positions
        if self._in_force is not None and self._in_force.stamp_ns < reach_ns:
            from_ns, pose = self._in_force.stamp_ns, self._in_force.positions
        # Joint states may be stamped ahead of this clock; then the line begins now, and is never followed backwards or beyond.
        from_ns = min(from_ns, reach_ns)
        share = (reach_ns - from_ns) / (first_ns - from_ns)
        return pose + share * (self._plan.sample(first_ns) - pose)

    def _measure(self, now_ns: int, now_ros_ns: int) -> None:
        assert self._blended is not None
        done_ns = self._clock_ns()
        done_ros_ns = now_ros_ns + done_ns - now_ns
        self._commands.add(done_ns)
        self._from_state.add((done_ros_ns - self._blended.chunk.state_stamp_ns) / _NS)
        if self._blended.image_stamp_ns != self._counted_image_ns:
            self._counted_image_ns = self._blended.image_stamp_ns
            self._from_image.add((done_ros_ns - self._blended.image_stamp_ns) / _NS)
