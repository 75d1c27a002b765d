# SPDX-License-Identifier: Apache-2.0
"""Records every topic it can find into a bag, and keeps the newest message of each for display."""

import time
from typing import Any

from rclpy.context import Context
from rclpy.serialization import deserialize_message

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_teleop.ros.raw_topics import RawTopics

_FLUSH_S = 0.5


class TopicRecorder:
    """Owns one node and one thread. ``bag`` None: nothing is written, only the newest messages are kept.

    topics: the only ones received, by their relative names; none: all.
    """

    def __init__(
        self, context: Context, bag: BagWriter | None, namespace: str = "", topics: tuple[str, ...] = ()
    ) -> None:
        self._wanted = tuple(f"/{topic.lstrip('/')}" for topic in topics)
        self._bag = bag
        self._newest: dict[str, bytes] = {}
        self._sequences: dict[str, int] = {}
        self._flush_s = 0.0
        self.lost: dict[str, int] = {}  # messages that never came, of topics with one publisher
        self._topics = RawTopics(context, "bag_recorder", self, namespace, self._flush)

    @property
    def unrecorded(self) -> dict[str, str]:
        """Topics whose type is not installed, with the reason."""
        return self._topics.unrecorded

    @property
    def failure(self) -> Exception | None:
        """What ended the recording early: the disk is full or gone, or a fault."""
        return self._topics.failure

    def newest(self, topic: str) -> Any | None:
        """The newest message of a topic (relative names allowed), or None."""
        name = self._topics.resolve(topic)
        data = self._newest.get(name)
        return None if data is None else deserialize_message(data, self._topics.message_type(name))

    def close(self) -> None:
        """Take what has arrived, then stop. Raises DatasetError when the recording ended early."""
        self._topics.close()
        if self.failure is not None:
            raise DatasetError(f"recording stopped early: {type(self.failure).__name__}: {self.failure}")

    def wants(self, topic: str) -> bool:
        return not self._wanted or topic.endswith(self._wanted)

    def add_topic(self, topic: BagTopic, *, latched: bool) -> None:
        if self._bag is not None:
            self._bag.add_topic(topic)
        self._sequences[topic.name] = self.lost[topic.name] = 0

    def refuse_topic(self, topic: str, reason: str) -> None:
        """``unrecorded`` has it."""

    def set_publishers(self, topic: str, count: int) -> None:
        if count > 1:
            self.lost.pop(topic, None)

    def message(self, message: BagMessage, now_ns: int) -> None:
        topic = message.topic
        self._newest[topic] = message.cdr
        before = self._sequences[topic]
        if topic in self.lost and before and message.sequence > before + 1:
            self.lost[topic] += message.sequence - before - 1
        self._sequences[topic] = message.sequence
        if self._bag is not None:
            self._bag.write(message)

    def _flush(self) -> None:
        if self._bag is not None and time.monotonic() >= self._flush_s:
            self._bag.flush()
            self._flush_s = time.monotonic() + _FLUSH_S
