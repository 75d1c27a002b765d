# SPDX-License-Identifier: Apache-2.0
"""The messages of a bag as events: stage, when sent and received, and the few numbers that tie the stages together.

The bag is streamed and no message is kept; of large ones only the head is read. Events come in the order of sending: the
recorder writes them in the order of receipt, which may differ by what the middleware holds back.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from gr00t_bringup.interface import IMAGE, JOINT_STATE, TRAJECTORY
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE
from gr00t_safety.config import DRY_RUN_TOPIC

COMPRESSED = "sensor_msgs/msg/CompressedImage"
_REORDER_NS = 10**9


class Stage(Enum):
    """What a message is; the value is its topic in the suite, '' for those with names of their own."""

    IMAGE = ""
    JOINT_STATE = "joint_states"
    TOKENS = "conditioning_tokens"
    CHUNK = "action_chunk"
    POLICY = "policy/joint_trajectory"
    COMMAND = "joint_trajectory"
    CONTROLLER = "controller/state"


TYPES: Mapping[Stage, tuple[str, ...]] = {
    Stage.IMAGE: (IMAGE, COMPRESSED),
    Stage.JOINT_STATE: (JOINT_STATE,),
    Stage.TOKENS: ("gr00t_msgs/msg/ConditioningTokens",),
    Stage.CHUNK: ("gr00t_msgs/msg/ActionChunk",),
    Stage.POLICY: (TRAJECTORY,),
    Stage.COMMAND: (TRAJECTORY,),
    Stage.CONTROLLER: ("gr00t_msgs/msg/ControllerState",),
}
CONTROLLER_FIGURES = (
    *("control_rate_hz", "head_rate_hz", "head_p50_s", "head_p99_s", "token_age_s", "image_to_command_p50_s"),
    *(
        "image_to_command_p95_s",
        "joint_state_to_command_p50_s",
        "joint_state_to_command_p99_s",
        "deadline_miss_fraction",
    ),
)
_RUNNING = 3  # ControllerState.RUNNING


@dataclass(frozen=True)
class TokensFacts:
    """Times of one encoding [s]: from the image's stamp to its begin, before the network, in the network."""

    sequence: int
    wait_s: float
    preprocess_s: float
    encode_s: float


@dataclass(frozen=True)
class ChunkFacts:
    """Where a chunk comes from: its tokens by number and stamp, its joint state by stamp. inference_s: in the network."""

    chunk_id: int
    tokens_sequence: int
    tokens_stamp_ns: int
    state_stamp_ns: int
    inference_s: float


@dataclass(frozen=True)
class ControllerFacts:
    """What the controller said of itself, in the units of its state message."""

    running: bool
    ticks: int
    deadline_misses: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Event:
    """One message. sent_ns, received_ns: on the recorder's system clock; stamp_ns: of its header, 0 when it was not set.

    number: the sender's count, 0 = not recorded. content: of stages that say more than their header.
    """

    stage: Stage
    topic: str
    sent_ns: int
    received_ns: int
    stamp_ns: int
    number: int
    content: TokensFacts | ChunkFacts | ControllerFacts | None = None


@dataclass(frozen=True)
class BagStages:
    """What of the suite a bag holds. topics: all of it; stages: topic -> stage, COMMAND of a dry run included."""

    folder: Path
    topics: dict[str, BagTopic]
    stages: dict[str, Stage]

    def has(self, stage: Stage) -> bool:
        return stage in self.stages.values()


def find_stages(folder: Path, namespace: str | None = None) -> BagStages:
    """namespace: of the suite's topics; None: where ``joint_states`` or another topic of the suite lies.

    Raises DatasetError when it is no bag, cannot be read, or has a topic of the suite with another type.
    """
    topics = bag_topics(folder)
    prefix = _namespace(topics) if namespace is None else f"/{namespace.strip('/')}".rstrip("/")
    stages: dict[str, Stage] = {}
    for name, topic in topics.items():
        stage = _stage(name, prefix)
        if name == f"{prefix}/{DRY_RUN_TOPIC}" and f"{prefix}/{Stage.COMMAND.value}" not in topics:
            stage = Stage.COMMAND  # what the gate would have sent
        if stage is not None and topic.type_name not in TYPES[stage]:
            raise DatasetError(
                f"{name} is {topic.type_name} in bag {folder}, expected {' or '.join(TYPES[stage])}; "
                "is this a recording of the suite, or in another --namespace?"
            )
        if stage is not None:
            stages[name] = stage
    if not stages:
        raise DatasetError(
            f"bag {folder} holds no topic of the suite under '{prefix or '/'}'; it has: {', '.join(sorted(topics)) or 'none'}"
        )
    return BagStages(folder, topics, stages)


def read_events(bag: BagStages) -> Iterator[Event]:
    """In the order of sending, as far as messages were received within a second. Raises DatasetError."""
    waiting: list[tuple[int, int, Event]] = []
    newest_ns = 0
    for count, event in enumerate(_received(bag)):
        newest_ns = max(newest_ns, event.received_ns)
        heapq.heappush(waiting, (event.sent_ns, count, event))
        while waiting and waiting[0][0] < newest_ns - _REORDER_NS:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _received(bag: BagStages) -> Iterator[Event]:
    whole = {name: bag.topics[name] for name, stage in bag.stages.items() if stage in _FACTS}
    try:
        decode = MessageDecoder(whole).decode
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"the message definitions in bag {bag.folder} cannot be read: {error!r}") from error
    for message in read_bag(bag.folder, list(bag.stages)):
        try:
            yield _event(bag.stages[message.topic], message, decode)
        except (*BROKEN_MESSAGE, AttributeError) as error:  # a field may be missing in an older definition
            raise DatasetError(f"a message of {message.topic} in bag {bag.folder} cannot be read: {error!r}") from error


def _event(stage: Stage, message: BagMessage, decode: Callable[[BagMessage], Any]) -> Event:
    facts = _FACTS.get(stage)
    return Event(
        stage=stage,
        topic=message.topic,
        sent_ns=message.publish_ns or message.log_ns,
        received_ns=message.log_ns,
        stamp_ns=message.stamp_ns,
        number=message.sequence,
        content=None if facts is None else facts(decode(message)),
    )


def _tokens(message: Any) -> TokensFacts:
    return TokensFacts(message.sequence, message.wait_s, message.preprocess_s, message.encode_s)


def _chunk(message: Any) -> ChunkFacts:
    return ChunkFacts(
        chunk_id=message.chunk_id,
        tokens_sequence=message.tokens_sequence,
        tokens_stamp_ns=_ns(message.tokens_stamp),
        state_stamp_ns=_ns(message.state_stamp),
        inference_s=message.inference_s,
    )


def _controller(message: Any) -> ControllerFacts:
    figures = {name: float(getattr(message, name)) for name in CONTROLLER_FIGURES}
    return ControllerFacts(message.state == _RUNNING, message.ticks, message.deadline_misses, figures)


_FACTS: Mapping[Stage, Callable[[Any], TokensFacts | ChunkFacts | ControllerFacts]] = {
    Stage.TOKENS: _tokens,
    Stage.CHUNK: _chunk,
    Stage.CONTROLLER: _controller,
}


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _stage(name: str, prefix: str) -> Stage | None:
    if not name.startswith(f"{prefix}/"):
        return None
    own = name.removeprefix(f"{prefix}/")
    if own.startswith("camera/") and own.removesuffix("/compressed").endswith("/image_raw"):
        return Stage.IMAGE
    return next((stage for stage in Stage if stage.value and stage.value == own), None)


def _namespace(topics: Mapping[str, BagTopic]) -> str:
    """The shortest name before one of the suite's topics."""
    for stage in (Stage.JOINT_STATE, Stage.TOKENS, Stage.CHUNK, Stage.POLICY, Stage.CONTROLLER, Stage.COMMAND):
        found = sorted((name for name in topics if name.endswith(f"/{stage.value}")), key=len)
        if found:
            return found[0].removesuffix(f"/{stage.value}")
    return ""
