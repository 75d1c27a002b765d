# SPDX-License-Identifier: Apache-2.0
"""A recording played through the live planner's and controller's own logic, on a clock of its own.

Every message is offered when it was sent, tokens arrive when the latency says, both loops tick at their rates: at any
moment the policy knows what it would have known on the robot, and nothing later. The robot does what it did in the
recording, whatever the policy commands.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.recorded_run import RecordedRun
from gr00t_bringup.bag_evaluation.token_latency import TokenLatency
from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, Observation
from gr00t_policy.core.wire import WireType, tokens_from_bytes, tokens_to_bytes
from gr00t_policy.data.convert_rows import Event, recorded_events
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller, Mode, State
from gr00t_policy.runtime.policy import Policy, PreparedTokens

_S_NS = 1_000_000_000


@dataclass(frozen=True)
class ReplaySettings:
    """Of both loops, as on the robot. head_hz: evaluations of the head; None: one in every tick of the controller.

    probes: moments, evenly over the recording, at which the observation is kept for questions of the kind "what if".
    """

    planner: PlannerConfig = field(default_factory=lambda: PlannerConfig(frozen_images=0))
    controller: ControllerConfig = field(default_factory=lambda: ControllerConfig(joint_state_timeout_s=0.1))
    head_hz: float | None = None
    seed: int = 0
    probes: int = 24


@dataclass(frozen=True)
class Probe:
    """What the planner saw at a moment, and the joint state (J,) [rad] that was then the newest."""

    time_ns: int
    observation: Observation
    state: NDArray[np.float64]
    state_stamp_ns: int


@dataclass
class Replay:
    """What the policy would have done. chunks: as on ``action_chunk``; made_ns: when each was made.

    command_ns, commands: (N,), (N, J) [rad], when the joints were to be where. latencies_s: of the tokens, as drawn.
    held: why nothing was commanded -> in how many ticks, of ``ticks``, counted from the first that could have been driven.
    """

    chunks: list[ActionChunk] = field(default_factory=list)
    made_ns: list[int] = field(default_factory=list)
    command_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    commands: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    latencies_s: list[float] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    ticks: int = 0


def replay(run: RecordedRun, policy: Policy, latency: TokenLatency, settings: ReplaySettings | None = None) -> Replay:
    """Play the whole recording. The same settings and seed give the same. Raises DatasetError when it never drives."""
    player = _Player(run, policy, latency, settings or ReplaySettings())
    made = player.play()
    if not made.chunks:
        why = player.controller_says if made.latencies_s else player.planner_says
        clock = f"; {run.clock_faults[0]}" if run.clock_faults else ""
        raise DatasetError(f"{run.recording.bag}: the policy would never have driven: {why}{clock}")
    return made


class _Watched:
    """The policy as two processes have it: tokens go over the wire, and what the planner last saw is kept."""

    def __init__(self, policy: Policy, wire_type: WireType) -> None:
        self._policy, self._wire_type = policy, wire_type
        self.embodiment: Embodiment = policy.embodiment
        self.seen: Observation | None = None

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        self.seen = observation
        tokens = self._policy.encode(observation, sequence, instruction_id)
        data = tokens_to_bytes(tokens.features, self._wire_type)
        return replace(tokens, features=tokens_from_bytes(data, self._wire_type, tokens.features.shape))

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return self._policy.prepare(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self._policy.use(prepared)

    def accept(self, tokens: ConditioningTokens) -> None:
        self._policy.accept(tokens)

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        return self._policy.act(state, state_stamp_ns, guide)

    def start_episode(self, seed: int) -> None:
        self._policy.start_episode(seed)


class _Player:
    """Two loops and the messages between them, on one clock."""

    def __init__(self, run: RecordedRun, policy: Policy, latency: TokenLatency, settings: ReplaySettings) -> None:
        self._run, self._latency, self._settings = run, latency, settings
        self._rng = np.random.default_rng(settings.seed)
        self._policy = _Watched(policy, settings.planner.wire_type)
        self._now_ns = 0
        self._planner = Planner(self._policy, settings.planner, self._clock)
        self._controller = Controller(self._policy, settings.controller, self._clock)
        self._controller.mode = Mode.EVERY_TICK if settings.head_hz is None else Mode.WORKER
        self._on_the_way: tuple[int, ConditioningTokens] | None = None
        self._commands: list[tuple[int, NDArray[np.float64]]] = []
        self._made = Replay()
        span_ns = run.stop_ns - run.start_ns
        self._probe_every_ns = span_ns // max(settings.probes, 1)
        self._next_probe_ns = run.start_ns if settings.probes else run.stop_ns + _S_NS

    @property
    def planner_says(self) -> str:
        verdict = self._planner.verdict
        return verdict.detail or verdict.state.name.lower()

    @property
    def controller_says(self) -> str:
        return self._controller.verdict.detail

    def play(self) -> Replay:
        self._planner.instruction(self._run.instruction)
        self._planner.activate()
        self._controller.activate()
        for now_ns, kind, event in self._moments():
            self._now_ns = now_ns
            if kind == "message":
                self._offer(event)
            elif kind == "tokens":
                self._hand_over()
            elif kind == "plan":
                self._plan()
            elif kind == "head":
                self._controller.evaluate_news()
            else:
                self._control()
        self._made.command_ns = np.array([reach_ns for reach_ns, _ in self._commands], np.int64)
        self._made.commands = np.array([positions for _, positions in self._commands])
        return self._made

    def _clock(self) -> int:
        return self._now_ns

    def _moments(self) -> Iterator[tuple[int, str, Event | None]]:
        """What happens next, in order of time; at one instant messages first, then tokens, planner, head, controller."""
        settings, stop_ns = self._settings, self._run.stop_ns
        messages = recorded_events(self._run.recording)
        message = next(messages, None)
        loops = {
            "plan": settings.planner.rate_hz,
            "head": settings.head_hz or 0.0,
            "control": settings.controller.rate_hz,
        }
        begun_ns = {name: self._run.start_ns for name, rate_hz in loops.items() if rate_hz}
        if self._run.planner_tick_ns is not None:  # in step with the one that ran: it then looks at the same pictures
            period_ns = round(_S_NS / settings.planner.rate_hz)
            begun_ns["plan"] += (self._run.planner_tick_ns - self._run.start_ns) % period_ns
        due = dict(begun_ns)
        ticks = dict.fromkeys(due, 0)
        while True:
            options = [(at_ns, 2 + place, name) for place, (name, at_ns) in enumerate(due.items())]
            if self._on_the_way is not None:
                options.append((self._on_the_way[0], 1, "tokens"))
            if message is not None:
                options.append((message[0], 0, "message"))
            at_ns, _, kind = min(options)
            if at_ns > stop_ns:
                return
            yield at_ns, kind, message if kind == "message" else None
            if kind == "message":
                message = next(messages, None)
            elif kind in due:
                ticks[kind] += 1
                due[kind] = begun_ns[kind] + round(ticks[kind] * _S_NS / loops[kind])

    def _offer(self, event: Event | None) -> None:
        assert event is not None
        now_ns, _, name, stamp_ns, value = event
        if isinstance(value, str):
            self._planner.instruction(value)
        elif name == "state":
            self._controller.inputs.offer_state(value, stamp_ns, now_ns, now_ns)
        else:
            refusal = self._planner.image(name, value, stamp_ns, now_ns)
            if refusal is not None and value.shape[:2] != self._size(name):
                raise DatasetError(
                    f"{self._run.recording.bag}: {refusal}; is '{self._run.recording.robot.name}' its robot?"
                )

    def _size(self, camera: str) -> tuple[int, int]:
        known = self._run.recording.robot.camera(camera)
        return known.height, known.width

    def _plan(self) -> None:
        """A tick of the planner; it is busy until its last tokens are sent."""
        if self._on_the_way is not None:
            return
        tokens = self._planner.tick(self._now_ns, self._now_ns)
        if tokens is None:
            return
        arrival_ns = self._latency.arrival_ns(tokens.stamp_ns, self._now_ns, self._rng)
        self._on_the_way = arrival_ns, tokens
        self._made.latencies_s.append((arrival_ns - tokens.stamp_ns) / _S_NS)
        if self._now_ns >= self._next_probe_ns:
            self._keep_probe()

    def _keep_probe(self) -> None:
        state, seen = self._controller.inputs.state, self._policy.seen
        if state is None or seen is None:
            return
        self._made.probes.append(Probe(self._now_ns, seen, np.array(state.positions), state.stamp_ns))
        self._next_probe_ns = max(self._next_probe_ns + self._probe_every_ns, self._now_ns)

    def _hand_over(self) -> None:
        assert self._on_the_way is not None
        self._controller.inputs.offer_tokens(self._on_the_way[1], self._now_ns)
        self._on_the_way = None

    def _control(self) -> None:
        command = self._controller.tick(self._now_ns, self._now_ns)
        verdict = self._controller.verdict
        if self._commands or verdict.state is State.RUNNING or self._controller.inputs.in_use is not None:
            self._made.ticks += 1
        if command is None:
            if self._commands:
                self._made.held[verdict.detail] += 1
            return
        self._commands.append((command.stamp_ns, command.positions))
        chunk = self._controller.newest_chunk(self._now_ns)
        if chunk is not None:
            self._made.chunks.append(chunk)
            self._made.made_ns.append(self._now_ns)
