# SPDX-License-Identifier: Apache-2.0
"""Records every topic it can find into a bag, and keeps the newest message of each for display.

A thread of its own empties the subscriptions' queues a hundred times a second. No executor is used: taking messages in
batches costs a fraction of a wake-up per message, and gives the sender's stamp and sequence number, which the events
executor does not. The queues bridge a stalled disk; what is lost all the same is counted from the sequence numbers.
"""

import os
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from ament_index_python import get_search_paths
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter, OfferedQos
from gr00t_policy.data.message_definitions import message_definition

_PERIOD_S = 0.01
_DISCOVERY_S = 0.25
_FLUSH_S = 0.5
_BATCH = 100  # messages of one topic in a row: a flood on one must not keep the others waiting
_NICENESS = 5  # of this thread: looking on must not slow down what it looks at
_QUEUE = 500  # messages per topic: 4 s at 120 Hz


class TopicRecorder:
    """Owns one node and one thread. ``bag`` None: nothing is written, only the newest messages are kept."""

    def __init__(self, context: Context, bag: BagWriter | None, namespace: str = "") -> None:
        self._node = Node("bag_recorder", context=context, namespace=namespace, start_parameter_services=False)
        self._bag = bag
        self._share = [Path(prefix) / "share" for prefix in get_search_paths()]
        self._subscriptions: dict[str, Subscription] = {}
        self._newest: dict[str, bytes] = {}
        self._sequences: dict[str, int] = {}
        self.lost: dict[str, int] = {}  # messages that never came, of topics with one publisher
        self.unrecorded: dict[str, str] = {}
        self.failure: OSError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bag_recorder", daemon=True)
        self._thread.start()

    def newest(self, topic: str) -> Any | None:
        """The newest message of a topic (relative names allowed), or None."""
        name = self._node.resolve_topic_name(topic)
        data = self._newest.get(name)
        return None if data is None else deserialize_message(data, self._subscriptions[name].msg_type)

    def close(self) -> None:
        """Take what has arrived, then stop. Raises DatasetError when the bag could not be written to the end."""
        self._stop.set()
        self._thread.join()
        self._node.destroy_node()
        if self.failure is not None:
            raise DatasetError(f"recording stopped early: {self.failure}")

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        discover_s = flush_s = 0.0
        try:
            while not self._stop.wait(_PERIOD_S):
                now_s = time.monotonic()  # not counted in rounds: on a busy machine a round may take seconds
                if now_s >= discover_s:
                    self._discover()
                    discover_s = now_s + _DISCOVERY_S
                if now_s >= flush_s and self._bag is not None:
                    self._bag.flush()
                    flush_s = now_s + _FLUSH_S
                self._take_all()
            self._take_all()
        except OSError as error:  # disk full or gone: the run goes on, the error is raised at close
            self.failure = error

    def _discover(self) -> None:
        for topic in list(self.lost):
            if self._node.count_publishers(topic) > 1:  # their sequence numbers cannot be told apart
                del self.lost[topic]
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._subscriptions or topic in self.unrecorded:
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if publishers:
                self._subscribe(topic, types[0], publishers)

    def _subscribe(self, topic: str, type_name: str, publishers: list[TopicEndpointInfo]) -> None:
        package, _, name = type_name.split("/")
        try:
            message_type = getattr(import_module(f"{package}.msg"), name)
            definition = message_definition(type_name, self._share)
        except (ModuleNotFoundError, AttributeError, DatasetError) as error:
            self.unrecorded[topic] = str(error)
            return
        if self._bag is not None:
            qos = tuple(_offered(publisher) for publisher in publishers)
            self._bag.add_topic(BagTopic(topic, type_name, definition, qos, str(publishers[0].topic_type_hash)))
        self._sequences[topic] = self.lost[topic] = 0
        self._subscriptions[topic] = self._node.create_subscription(
            message_type, topic, _never_called, _matching_qos(publishers), raw=True
        )

    def _take_all(self) -> None:
        for topic, subscription in self._subscriptions.items():
            with subscription.handle:
                for _ in range(_BATCH):
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                    if taken is None:
                        break
                    self._keep(topic, *taken)

    def _keep(self, topic: str, data: bytes, info: dict[str, Any]) -> None:
        self._newest[topic] = data
        sequence = info["publication_sequence_number"] or 0
        if topic in self.lost and self._sequences[topic] and sequence > self._sequences[topic] + 1:
            self.lost[topic] += sequence - self._sequences[topic] - 1
        self._sequences[topic] = sequence
        if self._bag is not None:
            stamps = info["received_timestamp"], info["source_timestamp"]
            self._bag.write(BagMessage(topic, data, *stamps, sequence))


def _matching_qos(publishers: list[TopicEndpointInfo]) -> QoSProfile:
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
