# SPDX-License-Identifier: Apache-2.0
"""The chain from picture and joint state to the robot: each stage's messages are tied to those they were made from.

Ties: tokens carry their image's stamp, a chunk the number and stamp of its tokens and the stamp of its joint state, a command
of the policy the stamp of the same joint state. The gate's command names no command of the policy: it is the gate's first that
was sent at least half a millisecond later, the hand-over between two processes.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

from gr00t_bringup.tracing.distribution import Distribution
from gr00t_bringup.tracing.events import ChunkFacts, Event, Stage, TokensFacts
from gr00t_bringup.tracing.stamp_clock import StampClock, is_same_clock

HAND_OVER_NS = 500_000  # as in the loop's benchmark: an error to the slow side
_UNANSWERED_NS = 500_000_000
_SAME_RUN_NS = 5_000_000_000  # chunks further apart have a hold between them
_KEPT = 512  # ties that wait for their other end: 4 s of commands


@dataclass(frozen=True)
class Span:
    """One measured stretch. needs: without messages of one of these it cannot be computed."""

    key: str
    title: str
    needs: tuple[Stage, ...]


AGES = (
    Span("image_to_policy", "image to the policy's first command from it", (Stage.TOKENS, Stage.CHUNK, Stage.POLICY)),
    Span(
        "image_to_robot",
        "image to the gate's first command from it",
        (Stage.TOKENS, Stage.CHUNK, Stage.POLICY, Stage.COMMAND),
    ),
    Span("joint_state_to_policy", "joint state to the policy's command", (Stage.POLICY,)),
    Span("joint_state_to_robot", "joint state to the gate's command", (Stage.POLICY, Stage.COMMAND)),
    Span("token_age_at_use", "image behind the tokens, at each chunk", (Stage.CHUNK,)),
)
HOPS = (
    Span("image_to_sent", "image: stamp to sent", (Stage.IMAGE,)),
    Span("image_to_encoding", "image: stamp to the begin of encoding", (Stage.TOKENS,)),
    Span("preprocess", "planner: before the network", (Stage.TOKENS,)),
    Span("encode", "planner: network", (Stage.TOKENS,)),
    Span("tokens_to_sent", "planner: network's end to tokens sent", (Stage.TOKENS,)),
    Span("image_to_tokens", "image: stamp to tokens sent", (Stage.TOKENS,)),
    Span("tokens_to_received", "tokens: sent to received by the recorder", (Stage.TOKENS,)),
    Span("tokens_to_chunk", "tokens: sent to the first chunk from them", (Stage.TOKENS, Stage.CHUNK)),
    Span("inference", "controller: action head", (Stage.CHUNK,)),
    Span("joint_state_to_sent", "joint state: stamp to sent", (Stage.JOINT_STATE,)),
    Span("policy_to_robot", "policy's command to the gate's", (Stage.POLICY, Stage.COMMAND)),
    Span("gate_state_age", "newest joint state, at the gate's command", (Stage.COMMAND,)),
)


@dataclass
class _Command:
    """A command of the policy: when it was sent, when the gate answered, the stamp of the image it is the first from."""

    sent_ns: int
    state_ns: int | None
    robot_ns: int = 0
    image_ns: int | None = None


class Chain:
    """Fed with events in the order of sending; ``spans``: key -> milliseconds."""

    def __init__(self) -> None:
        self.spans = {span.key: Distribution() for span in (*AGES, *HOPS)}
        self.clock = StampClock()
        self.unanswered = 0  # commands of the policy after which the gate said nothing for half a second
        self.evaluations_s = [0, 0.0]  # of the head, and the seconds in which they were counted
        self._tokens_sent: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._used: OrderedDict[tuple[int, int], bool] = OrderedDict()
        self._commands: OrderedDict[int, _Command] = OrderedDict()
        self._waiting: deque[_Command] = deque()
        self._last_chunk = (0, 0)  # number, when sent

    @property
    def head_rate_hz(self) -> float:
        count, seconds = self.evaluations_s
        return count / seconds if seconds else float("nan")

    def add(self, event: Event) -> None:
        content: Any = event.content
        if event.stage is Stage.IMAGE:
            self._from_stamp("image_to_sent", event)
        elif event.stage is Stage.JOINT_STATE:
            self.clock.add(event.stamp_ns, event.sent_ns)
            if is_same_clock(event.stamp_ns, event.sent_ns):  # else its sending defines what its stamp means
                self._from_stamp("joint_state_to_sent", event)
        elif event.stage is Stage.TOKENS:
            self._add_tokens(event, content)
        elif event.stage is Stage.CHUNK:
            self._add_chunk(event, content)
        elif event.stage is Stage.POLICY:
            self._add_policy(event)
        elif event.stage is Stage.COMMAND:
            self._add_command(event)

    def _add_tokens(self, event: Event, tokens: TokensFacts) -> None:
        stages_s = (tokens.wait_s, tokens.preprocess_s, tokens.encode_s)
        for key, seconds in zip(("image_to_encoding", "preprocess", "encode"), stages_s, strict=True):
            self.spans[key].add(1e3 * seconds, event.sent_ns)
        image_ns = self._from_stamp("image_to_tokens", event)
        if image_ns is not None:
            self._span("tokens_to_sent", image_ns + round(1e9 * sum(stages_s)), event.sent_ns)
        self._span("tokens_to_received", event.sent_ns, event.received_ns)
        _keep(self._tokens_sent, (tokens.sequence, event.stamp_ns), event.sent_ns)

    def _add_chunk(self, event: Event, chunk: ChunkFacts) -> None:
        self.spans["inference"].add(1e3 * chunk.inference_s, event.sent_ns)
        self._count_evaluations(chunk.chunk_id, event.sent_ns)
        image_ns = self.clock.sent_clock_ns(chunk.tokens_stamp_ns, event.sent_ns)
        if image_ns is not None:
            self._span("token_age_at_use", image_ns, event.sent_ns)
        tokens = (chunk.tokens_sequence, chunk.tokens_stamp_ns)
        if tokens in self._used:
            return
        _keep(self._used, tokens, True)
        if tokens in self._tokens_sent:
            self._span("tokens_to_chunk", self._tokens_sent[tokens], event.sent_ns)
        command = self._commands.get(chunk.state_stamp_ns)
        if command is not None and image_ns is not None:
            command.image_ns = image_ns
            self._span("image_to_policy", image_ns, command.sent_ns)
            if command.robot_ns:
                self._span("image_to_robot", image_ns, command.robot_ns)

    def _add_policy(self, event: Event) -> None:
        command = _Command(event.sent_ns, self._from_stamp("joint_state_to_policy", event))
        if event.stamp_ns not in self._commands:
            _keep(self._commands, event.stamp_ns, command)
        self._waiting.append(command)
        if event.sent_ns - self._waiting[0].sent_ns > _UNANSWERED_NS:
            self._waiting.popleft()
            self.unanswered += 1

    def _add_command(self, event: Event) -> None:
        self._from_stamp("gate_state_age", event)
        while self._waiting and self._waiting[0].sent_ns + HAND_OVER_NS <= event.sent_ns:
            command = self._waiting.popleft()
            if event.sent_ns - command.sent_ns > _UNANSWERED_NS:
                self.unanswered += 1
                continue
            command.robot_ns = event.sent_ns
            self._span("policy_to_robot", command.sent_ns, event.sent_ns)
            if command.state_ns is not None:
                self._span("joint_state_to_robot", command.state_ns, event.sent_ns)
            if command.image_ns is not None:
                self._span("image_to_robot", command.image_ns, event.sent_ns)

    def _count_evaluations(self, chunk_id: int, sent_ns: int) -> None:
        """The head is evaluated more often than chunks are sent: their numbers tell."""
        last_id, last_ns = self._last_chunk
        if last_id and chunk_id - last_id > 0 and 0 < sent_ns - last_ns < _SAME_RUN_NS:
            self.evaluations_s[0] += chunk_id - last_id
            self.evaluations_s[1] += (sent_ns - last_ns) / 1e9
        self._last_chunk = (chunk_id, sent_ns)

    def _from_stamp(self, key: str, event: Event) -> int | None:
        """Measure from the event's stamp to its sending; returns the stamp on the sender's clock, None if unknown."""
        stamp_ns = self.clock.sent_clock_ns(event.stamp_ns, event.sent_ns)
        if stamp_ns is not None:
            self._span(key, stamp_ns, event.sent_ns)
        return stamp_ns

    def _span(self, key: str, from_ns: int, to_ns: int) -> None:
        self.spans[key].add((to_ns - from_ns) / 1e6, to_ns)


def _keep(ties: "OrderedDict[Any, Any]", key: Any, value: Any) -> None:
    ties[key] = value
    if len(ties) > _KEPT:
        ties.popitem(last=False)
