# SPDX-License-Identifier: Apache-2.0
"""Receives topics as bytes, of any type that is installed, with the sender's stamp and sequence number.

A thread of its own empties the subscriptions' queues a hundred times a second. No executor is used: taking messages in
batches costs a fraction of a wake-up per message, and gives the sender's stamp and sequence number, which the events
executor does not. The queues bridge a busy machine; what is lost all the same shows as a gap in the sequence numbers.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ament_index_python import get_search_paths
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from gr00t_policy.core.errors import DatasetError, MessageError
from gr00t_policy.data.bag import BagMessage, BagTopic, OfferedQos
from gr00t_policy.data.message_definitions import message_definition
from gr00t_policy.ros.message_type import message_type

_PERIOD_S = 0.01
_DISCOVERY_S = 0.25
_BATCH = 100  # messages of one topic in a row: a flood on one must not keep the others waiting
_NICENESS = 5  # of this thread: looking on must not slow down what it looks at
_QUEUE = 500  # messages per topic: 4 s at 120 Hz


class Receiver(Protocol):
    """Who is told, in the thread of ``RawTopics``. An error of these ends the receiving."""

    def wants(self, topic: str) -> bool: ...

    def add_topic(self, topic: BagTopic, *, latched: bool) -> None:
        """Before the first message of a topic."""

    def refuse_topic(self, topic: str, reason: str) -> None:
        """A topic that is wanted and published, and of a type that is not installed."""

    def set_publishers(self, topic: str, count: int) -> None:
        """How many send a topic that was added: the numbers of several cannot be told apart."""

    def message(self, message: BagMessage, now_ns: int) -> None:
        """now_ns: of the steady clock."""


class RawTopics:
    """Owns one node and one thread. ``unrecorded``: topics whose type is not installed, with the reason."""

    def __init__(
        self,
        context: Context,
        name: str,
        receiver: Receiver,
        namespace: str = "",
        every_round: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        """every_round: called in the thread after each round. options: of rclpy's Node."""
        self._node = Node(name, context=context, namespace=namespace, start_parameter_services=False, **options)
        self._receiver, self._every_round = receiver, every_round
        self._share = [Path(prefix) / "share" for prefix in get_search_paths()]
        self._subscriptions: dict[str, Subscription] = {}
        self._publishers: dict[str, int] = {}
        self.unrecorded: dict[str, str] = {}
        self.failure: Exception | None = None  # what ended the receiving early
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def resolve(self, topic: str) -> str:
        return str(self._node.resolve_topic_name(topic))

    def message_type(self, topic: str) -> Any:
        """The class of a topic's messages, by its full name."""
        return self._subscriptions[topic].msg_type

    def close(self) -> None:
        """Take what has arrived, then stop."""
        self._stop.set()
        self._thread.join()
        self._node.destroy_node()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        discover_s = 0.0
        try:
            while not self._stop.wait(_PERIOD_S):
                now_s = time.monotonic()  # not counted in rounds: on a busy machine a round may take seconds
                if now_s >= discover_s:
                    self._discover()
                    discover_s = now_s + _DISCOVERY_S
                self._take_all()
                if self._every_round is not None:
                    self._every_round()
            self._take_all()
        except Exception as error:
            self.failure = error
            if not isinstance(error, OSError):  # disk full or gone: what is recorded goes on without us
                raise

    def _discover(self) -> None:
        for topic, before in self._publishers.items():
            count = self._node.count_publishers(topic)
            if count != before:
                self._publishers[topic] = count
                self._receiver.set_publishers(topic, count)
                self._suit(topic)
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._subscriptions or topic in self.unrecorded or not self._receiver.wants(topic):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if publishers:
                self._subscribe(topic, types[0], publishers)

    def _subscribe(self, topic: str, type_name: str, publishers: list[TopicEndpointInfo]) -> None:
        try:
            kind = message_type(type_name)
            definition = message_definition(type_name, self._share)
        except (MessageError, DatasetError) as error:
            self.unrecorded[topic] = str(error)
            self._receiver.refuse_topic(topic, str(error))
            return
        qos, offered = matching_qos(publishers), tuple(_offered(publisher) for publisher in publishers)
        self._publishers[topic] = 0  # so that the receiver is told
        self._receiver.add_topic(
            BagTopic(topic, type_name, definition, offered, str(publishers[0].topic_type_hash)),
            latched=qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._subscriptions[topic] = self._node.create_subscription(kind, topic, _never_called, qos, raw=True)

    def _suit(self, topic: str) -> None:
        """Subscribe anew where a publisher came that the subscription asks too much of."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return
        old, qos = self._subscriptions[topic], matching_qos(publishers)
        if (qos.reliability, qos.durability) != (old.qos_profile.reliability, old.qos_profile.durability):
            self._subscriptions[topic] = self._node.create_subscription(
                old.msg_type, topic, _never_called, qos, raw=True
            )
            self._node.destroy_subscription(old)

    def _take_all(self) -> None:
        for topic, subscription in self._subscriptions.items():
            with subscription.handle:
                for _ in range(_BATCH):
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                    if taken is None:
                        break
                    self._keep(topic, *taken)

    def _keep(self, topic: str, data: bytes, info: dict[str, Any]) -> None:
        stamps = info["received_timestamp"], info["source_timestamp"]
        message = BagMessage(topic, data, *stamps, info["publication_sequence_number"] or 0)
        self._receiver.message(message, time.monotonic_ns())


def matching_qos(publishers: list[TopicEndpointInfo]) -> QoSProfile:
    """What every one of the publishers can serve."""
    offered = [publisher.qos_profile for publisher in publishers]
    reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_QUEUE,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _offered(publisher: TopicEndpointInfo) -> OfferedQos:
    qos = publisher.qos_profile
    return OfferedQos(
        reliability=qos.reliability.name.lower(),
        durability=qos.durability.name.lower(),
        history=qos.history.name.lower(),
        depth=qos.depth,
        liveliness=qos.liveliness.name.lower(),
        deadline_ns=qos.deadline.nanoseconds,
        lifespan_ns=qos.lifespan.nanoseconds,
        liveliness_lease_ns=qos.liveliness_lease_duration.nanoseconds,
    )


def _never_called(data: bytes) -> None:
    """rclpy demands a callback; no executor has this node."""
