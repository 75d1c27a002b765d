# SPDX-License-Identifier: Apache-2.0
"""Publishes what a bag holds: serialized bytes straight through, with the recorded types and the QoS that was offered."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from rosgraph_msgs.msg import Clock

from gr00t_bringup.playback.player import DEFAULT_DEPTH, LATCHED
from gr00t_bringup.playback.selection import CLOCK_TOPIC, Selection, fed, is_obeyed
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.bag import BagMessage, BagTopic, OfferedQos
from gr00t_policy.data.bag_topic import INFINITE_NS
from gr00t_policy.ros import qos
from gr00t_policy.ros.message_type import message_type
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_policy.ros.transport import init_ros

# Every node has publishers of these.
_SHARED_TOPICS = {"/rosout", "/parameter_events", "/diagnostics"}
_UNKNOWN, _NAMELESS = "_NODE_NAME_UNKNOWN_", "a node whose name is not known"
DISCOVERY_S = 1.5  # until the graph of a machine is known; the same as `gr00t doctor`
_MATCHING_S = 3.0  # and until our publishers are known to who listens
_SETTLED_S = 0.5
_POLL_S = 0.02
_ACKNOWLEDGED_S = 2.0
_UNKNOWN_DEPTH = (
    100  # most of a second of anything a robot tells; with rosbag2's 10, readers on busy machines lost messages
)


@contextmanager
def announced(
    selection: Selection, *, with_clock: bool, allow_commands: bool, warn: Callable[[str], None]
) -> Iterator["BagPublishers"]:
    """``BagPublishers`` with a ROS context of their own, both gone afterwards. Raises as their constructor does."""
    context = Context()
    init_ros(context)
    try:
        publishers = BagPublishers(context, selection, with_clock=with_clock, allow_commands=allow_commands, warn=warn)
        try:
            yield publishers
        finally:
            publishers.close()
    finally:
        try_shutdown(context=context)


class BagPublishers:
    """Owns one node. ``warn`` is told once of each topic that somebody else publishes too."""

    def __init__(
        self,
        context: Context,
        selection: Selection,
        *,
        with_clock: bool,
        allow_commands: bool,
        warn: Callable[[str], None],
        discovery_s: float = DISCOVERY_S,
    ) -> None:
        """Look at the graph for ``discovery_s``, then announce the topics and wait for who listens.

        Raises MessageError for types that are not installed, or are not as they were recorded, and ConfigError where
        something runs that would move a robot by what is played.
        """
        types = _installed(selection.topics)
        self._name = f"gr00t_bag_player_{os.getpid()}"  # of its own, so that a second player is noticed
        self._node = Node(self._name, context=context, start_parameter_services=False, use_global_arguments=False)
        self._selection, self._allow_commands = selection, allow_commands
        self._publishers: dict[str, Publisher] = {}
        self._clock: Publisher | None = None
        self._warn = warn
        self._played = {*selection.names.values(), *([CLOCK_TOPIC] if with_clock else [])}
        self._unwarned, self._nameless = self._played - _SHARED_TOPICS, set[str]()
        time.sleep(discovery_s)
        self.watch()
        if with_clock:
            self._clock = self._node.create_publisher(Clock, CLOCK_TOPIC, qos.DIAGNOSTICS)
        for name, topic in selection.topics.items():
            profile = offered_profile(topic.qos)
            self._publishers[name] = self._node.create_publisher(types[name], selection.names[name], profile)
        self._require_same_types()
        self._wait_for_listeners()

    def publish(self, message: BagMessage) -> None:
        self._publishers[message.topic].publish(message.cdr)

    def publish_clock(self, bag_ns: int) -> None:
        assert self._clock is not None, "announced first"
        self._clock.publish(Clock(clock=stamp_from_ns(bag_ns)))

    def watch(self) -> None:
        """Look who is there now. Raises ConfigError when somebody sends commands to a robot and is fed by what is played."""
        for topic in sorted(self._unwarned):
            others = self._senders(topic)
            if others == [_NAMELESS] and topic not in self._nameless:
                self._nameless.add(topic)  # discovery tells names a moment later
            elif others:
                self._unwarned.remove(topic)
                self._warn(f"{topic} is published by {', '.join(others)} too: who listens gets both")
        if self._allow_commands:
            return
        for topic, _ in self._node.get_topic_names_and_types():
            inputs = fed(self._played, topic) if is_obeyed(topic) else []
            if inputs and (senders := self._senders(topic)):
                raise ConfigError(
                    f"{', '.join(senders)} sends {topic}, and would move the robot by what is played on {', '.join(inputs)}; "
                    "stop it, use another ROS_DOMAIN_ID, remap what is played, or say --allow-commands"
                )

    def close(self) -> None:
        """Wait a moment until what is reliable has arrived; latched topics end here."""
        end_s = time.monotonic() + _ACKNOWLEDGED_S
        for publisher in self._publishers.values():
            if publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE:
                publisher.wait_for_all_acked(Duration(seconds=max(end_s - time.monotonic(), 0.0)))
        self._node.destroy_node()

    def _senders(self, topic: str) -> list[str]:
        found = self._node.get_publishers_info_by_topic(topic)
        names = {
            _NAMELESS if info.node_name == _UNKNOWN else f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in found
            if info.node_name != self._name
        }
        return sorted(names)

    def _require_same_types(self) -> None:
        """Bytes of a type that changed since would be read as something else."""
        for name, topic in self._selection.topics.items():
            ours = [
                str(info.topic_type_hash)
                for info in self._node.get_publishers_info_by_topic(self._selection.names[name])
                if info.node_name == self._name
            ]
            if topic.type_hash and ours and ours[0] != topic.type_hash:
                raise MessageError(
                    f"{name}: {topic.type_name} is installed in another version than it was recorded with ({ours[0]}, the bag "
                    f"has {topic.type_hash}); install that version of {_package(topic)}, or leave it out: --exclude-topics {name}"
                )

    def _wait_for_listeners(self) -> None:
        """Until every listener on the graph has been matched, and nothing changed for a moment."""
        end_s = time.monotonic() + _MATCHING_S
        settled_s, before = time.monotonic(), -1
        while time.monotonic() < end_s:
            matched = sum(publisher.get_subscription_count() for publisher in self._publishers.values())
            missing = any(
                publisher.get_subscription_count() < self._node.count_subscribers(publisher.topic_name)
                for publisher in self._publishers.values()
            )
            if matched != before or missing:
                before, settled_s = matched, time.monotonic()
            elif time.monotonic() - settled_s >= _SETTLED_S:
                return
            time.sleep(_POLL_S)


def offered_profile(recorded: Sequence[OfferedQos]) -> QoSProfile:
    """What is offered in place of the recorded publishers: the most that any of them offered, so that all who listened match.

    A depth that the recorder did not know (0) becomes rosbag2's own. A topic of which nothing was recorded is offered reliably,
    and kept long enough that a reader who is late for a moment misses nothing.
    """
    if not recorded:
        return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=_UNKNOWN_DEPTH)
    keeps_all = any(each.history == "keep_all" for each in recorded)
    best_effort = all(each.reliability == "best_effort" for each in recorded)
    latched = any(each.durability == LATCHED for each in recorded)
    manual = any(each.liveliness == "manual_by_topic" for each in recorded)
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keeps_all else HistoryPolicy.KEEP_LAST,
        depth=max(each.depth for each in recorded) or DEFAULT_DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC if manual else LivelinessPolicy.AUTOMATIC,
        deadline=_shortest(each.deadline_ns for each in recorded),
        lifespan=_shortest(each.lifespan_ns for each in recorded),
        liveliness_lease_duration=_shortest(each.liveliness_lease_ns for each in recorded),
    )


def _shortest(durations_ns: Iterable[int]) -> Duration:
    """0 is how rosbag2 and rclpy write 'not set', which is endless."""
    shortest_ns = min((each for each in durations_ns if each), default=INFINITE_NS)
    return Duration(nanoseconds=0 if shortest_ns >= INFINITE_NS else shortest_ns)


def _installed(topics: Mapping[str, BagTopic]) -> dict[str, Any]:
    """Topic -> class of its messages. Raises MessageError that names all that are missing."""
    found, missing = {}, []
    for name, topic in topics.items():
        try:
            found[name] = message_type(topic.type_name)
        except MessageError as error:
            missing.append((name, topic, error))
    if missing:
        said = "; ".join(f"{name}: {error}" for name, _, error in missing)
        left_out = " ".join(name for name, _, _ in missing)
        raise MessageError(f"{said}; or play the others: --exclude-topics {left_out}")
    return found


def _package(topic: BagTopic) -> str:
    return topic.type_name.partition("/")[0]
