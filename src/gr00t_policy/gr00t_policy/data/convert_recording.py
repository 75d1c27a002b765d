# SPDX-License-Identifier: Apache-2.0
"""One bag as streams of stamped values: joint states, commands, sentences, and pictures one at a time."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError, MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.picture_message import compressed_shape, compressed_to_rgb, image_shape, image_to_rgb
from gr00t_policy.data.bag import BagMessage, BagTopic, MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE
from gr00t_policy.data.convert_clock import TimeLine, find_time_line, first_stamp_ns
from gr00t_policy.data.convert_source import COMPRESSED, TRAJECTORY, Sources, TopicNames, find_sources

_S_NS = 1_000_000_000
_OVERTAKEN = 8  # messages of one topic, at most, by which the order of receipt differs from that of sending


@dataclass(frozen=True)
class Arrivals:
    """When the messages of one topic were taken (stamp), sent and received [ns], each (N,) int64 in order of sending.

    sequence: the sender's number, (N,) int64; 0 where the recorder did not know it.
    """

    topic: str
    stamp_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    sequence: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sent_ns)


@dataclass(frozen=True)
class JointStream:
    """Positions (N, J) [rad], model convention, of the policy's joints. due_ns: when a command is to be reached, (N,).

    refused: messages that could not be used, with the first reason.
    """

    arrivals: Arrivals
    positions: NDArray[np.float64]
    due_ns: NDArray[np.int64]
    refused: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Recording:
    """What one bag says. sentences: (time of sending [ns], text), in order; pictures are read when asked for.

    All times are on ``line``, the clock of the stamps.
    """

    bag: Path
    robot: Embodiment
    sources: Sources
    states: JointStream
    commands: JointStream
    sentences: tuple[tuple[int, str], ...]
    cameras: dict[str, Arrivals]
    line: TimeLine

    def pictures(self, camera: str) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """(sent [ns], stamp [ns], (H, W, 3) uint8 RGB) of one camera in order of sending. Raises DatasetError."""
        topic = self.sources.cameras[camera]
        for sent_ns, _, decoded in _decoded(self.bag, topic, self.line):
            yield sent_ns, _stamp_ns(decoded.header.stamp), self._picture(decoded, topic)

    def outlines(self, camera: str) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """As ``pictures``, but black: of the pictures only the size is looked at. Raises DatasetError."""
        topic = self.sources.cameras[camera]
        black = np.zeros(1, np.uint8)
        for sent_ns, _, decoded in _decoded(self.bag, topic, self.line):
            try:
                shape = compressed_shape(decoded.data) if topic.type_name == COMPRESSED else image_shape(decoded)
            except MessageError as error:
                raise self._unusable(topic, error) from error
            yield sent_ns, _stamp_ns(decoded.header.stamp), np.broadcast_to(black, shape)

    def chosen_pictures(self, camera: str, numbers: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) uint8 RGB of the pictures with these numbers in order of sending, which must rise. Raises DatasetError."""
        topic, wanted = self.sources.cameras[camera], iter(numbers)
        decoder = _decoder(self.bag, topic)
        number = next(wanted, None)
        for place, (_, message) in enumerate(_messages(self.bag, topic, self.line)):
            if number is None:
                return
            if place == number:
                yield self._picture(_decode(self.bag, decoder, message), topic)
                number = next(wanted, None)

    def _picture(self, decoded: Any, topic: BagTopic) -> NDArray[np.uint8]:
        try:
            return compressed_to_rgb(decoded.data) if topic.type_name == COMPRESSED else image_to_rgb(decoded)
        except MessageError as error:
            raise self._unusable(topic, error) from error

    def _unusable(self, topic: BagTopic, error: MessageError) -> DatasetError:
        return DatasetError(f"{self.bag}: a picture of {topic.name} cannot be used: {error}")


def read_recording(bag: Path, robot: Embodiment, names: TopicNames) -> Recording:
    """Everything but the pixels. Raises DatasetError for a bag that is damaged, empty or lacks something."""
    topics = recorded_topics(bag)
    sources = find_sources(topics, names, robot, bag)
    line = find_time_line(bag, topics, sources.state)
    return Recording(
        bag=bag,
        robot=robot,
        sources=sources,
        states=_joint_stream(bag, sources.state, robot, line),
        commands=_joint_stream(bag, sources.action, robot, line),
        sentences=_sentences(bag, sources.language, line),
        cameras={camera: _camera_arrivals(bag, topic, line) for camera, topic in sources.cameras.items()},
        line=line,
    )


def recorded_topics(bag: Path) -> dict[str, BagTopic]:
    """The topics of a bag by name. Raises DatasetError for one that is damaged or empty."""
    topics = bag_topics(bag)
    if not topics:
        raise DatasetError(f"{bag} is an empty bag: nothing was recorded")
    return topics


def messages_of_topic(recording: Recording, topic: BagTopic) -> Iterator[tuple[int, Any]]:
    """(sent [ns], decoded message) of one more topic of the bag in order of sending. Raises DatasetError."""
    for sent_ns, _, decoded in _decoded(recording.bag, topic, recording.line):
        yield sent_ns, decoded


def _joint_stream(bag: Path, topic: BagTopic, robot: Embodiment, line: TimeLine) -> JointStream:
    """Joint states or commands; a message that a node would refuse is left out and counted."""
    order = JointOrder(robot.policy_joints)
    rows, times, refused, reason = [], [], 0, ""
    for sent_ns, message, decoded in _decoded(bag, topic, line):
        try:
            stamp_ns, due_ns, positions = _joints(decoded, topic, order, sent_ns)
        except MessageError as error:
            refused, reason = refused + 1, reason or str(error)
            continue
        rows.append(positions)
        times.append((stamp_ns, sent_ns, message.log_ns, message.sequence, due_ns))
    if not rows:
        why = f"none of its {refused} messages fits robot '{robot.name}': {reason}" if refused else "it has no message"
        raise DatasetError(f"{bag}: topic {topic.name} cannot be used: {why}")
    table = np.array(times, np.int64)
    in_order = np.argsort(table[:, 1], kind="stable")
    table = table[in_order]
    arrivals = Arrivals(topic.name, table[:, 0], table[:, 1], table[:, 2], table[:, 3])
    return JointStream(arrivals, np.stack(rows)[in_order], table[:, 4], refused, reason)


def _joints(decoded: Any, topic: BagTopic, order: JointOrder, sent_ns: int) -> tuple[int, int, NDArray[np.float64]]:
    """(stamp, due, positions) of a joint state or a command. A command stamped 0 begins when it is sent, as in ROS."""
    stamp_ns = _stamp_ns(decoded.header.stamp)
    if topic.type_name != TRAJECTORY:
        return stamp_ns, stamp_ns, order.positions(decoded.name, decoded.position, topic.name)
    if len(decoded.points) != 1:
        raise MessageError(f"{topic.name}: expected trajectories of one point, got {len(decoded.points)}")
    point = decoded.points[0]
    stamp_ns = stamp_ns or sent_ns
    due_ns = stamp_ns + _stamp_ns(point.time_from_start)
    return stamp_ns, due_ns, order.positions(decoded.joint_names, point.positions, topic.name)


def _sentences(bag: Path, topic: BagTopic | None, line: TimeLine) -> tuple[tuple[int, str], ...]:
    if topic is None:
        return ()
    said = [(sent_ns, str(decoded.data).strip()) for sent_ns, _, decoded in _decoded(bag, topic, line)]
    return tuple(sorted(said, key=lambda pair: pair[0]))


def _camera_arrivals(bag: Path, topic: BagTopic, line: TimeLine) -> Arrivals:
    """From the header alone, which comes first in both kinds of picture."""
    times = [
        (first_stamp_ns(message), sent_ns, message.log_ns, message.sequence)
        for sent_ns, message in _messages(bag, topic, line)
    ]
    if not times:
        raise DatasetError(f"{bag}: topic {topic.name} has no message; did the camera run?")
    table = np.array(sorted(times, key=lambda row: row[1]), np.int64)
    return Arrivals(topic.name, table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def _decoded(bag: Path, topic: BagTopic, line: TimeLine) -> Iterator[tuple[int, BagMessage, Any]]:
    """(time of sending [ns], message, what it says), in order of sending."""
    decoder = _decoder(bag, topic)
    for sent_ns, message in _messages(bag, topic, line):
        yield sent_ns, message, _decode(bag, decoder, message)


def _decoder(bag: Path, topic: BagTopic) -> MessageDecoder:
    try:
        return MessageDecoder({topic.name: topic})
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"{bag}: the definition of {topic.name} in the bag cannot be read: {error!r}") from error


def _decode(bag: Path, decoder: MessageDecoder, message: BagMessage) -> Any:
    try:
        return decoder.decode(message)
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"{bag}: a message of {message.topic} does not fit its definition: {error!r}") from error


def _messages(bag: Path, topic: BagTopic, line: TimeLine) -> Iterator[tuple[int, BagMessage]]:
    """In order of sending; a bag is in order of receipt, where one message may have overtaken a few others."""
    waiting: list[tuple[int, int, BagMessage]] = []
    for number, message in enumerate(read_bag(bag, [topic.name])):
        sent_ns = line.sent_ns(message)
        if sent_ns is None:
            continue
        entry = (sent_ns, number, message)
        if len(waiting) < _OVERTAKEN:
            heapq.heappush(waiting, entry)
        else:
            first_ns, _, first = heapq.heappushpop(waiting, entry)
            yield first_ns, first
    for sent_ns, _, message in sorted(waiting):
        yield sent_ns, message


def _stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * _S_NS + int(stamp.nanosec)
