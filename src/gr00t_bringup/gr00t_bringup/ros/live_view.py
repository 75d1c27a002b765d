# SPDX-License-Identifier: Apache-2.0
"""Looks at what runs on the domain for a few seconds: who is there, which sensors are fresh, which nodes are active."""

import math
import os
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import rclpy.utilities
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from gr00t_bringup.health.live_facts import LiveFacts, StreamFacts
from gr00t_bringup.interface import IMAGE, JOINT_STATE, camera_topic, topics
from gr00t_bringup.nodes import NODES
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.ros.transport import init_ros
from gr00t_safety.config import DRY_RUN_TOPIC

_DISCOVERY_S = 1.5
_ANSWER_S = 1.0
_OURS = "gr00t_doctor"
# Takes what any publisher offers; deep enough that a slow reader does not count too few.
_LISTEN = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=200,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)


def look(robot: Embodiment, namespace: str, listen_s: float, *, demanded: bool) -> LiveFacts:
    """What is there. When nothing of a robot is there and none is demanded, it ends after discovery."""
    context = Context()
    init_ros(context)
    node = Node(_OURS, context=context, namespace=namespace, start_parameter_services=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        _spin(executor, _DISCOVERY_S)
        first = _facts(node, robot, {}, {})
        if not first.concerns_us and not demanded:
            return first
        listeners = _listen(node, robot)
        _spin(executor, listen_s)
        return _facts(node, robot, listeners, _lifecycle(node, executor))
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.utilities.try_shutdown(context=context)


@dataclass
class _Listener:
    """received_s: on the steady clock. ages_s: against the system clock. last: the newest message."""

    received_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    stamps_ns: set[int] = field(default_factory=set)
    last: Any = None

    def hear(self, message: Any) -> None:
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.received_s.append(time.monotonic())
        self.ages_s.append((time.time_ns() - stamp_ns) / 1e9)
        self.stamps_ns.add(stamp_ns)
        self.last = message


def _listen(node: Node, robot: Embodiment) -> dict[str, _Listener]:
    """Topic -> what it hears; topics of a wrong type are not heard."""
    wanted = {"joint_states": (JointState, JOINT_STATE)}
    wanted |= {camera_topic(camera.name): (Image, IMAGE) for camera in robot.cameras}
    listeners = {}
    for topic, (message_type, type_name) in wanted.items():
        if not _other_type(node, topic, type_name):
            listeners[topic] = _Listener()
            node.create_subscription(message_type, topic, listeners[topic].hear, _LISTEN)
    return listeners


def _facts(node: Node, robot: Embodiment, listeners: dict[str, _Listener], lifecycle: dict[str, str]) -> LiveFacts:
    commands = [topic.name for topic in topics(robot) if topic.commands] + [DRY_RUN_TOPIC]
    names = sorted(
        f"{place.rstrip('/')}/{name}" for name, place in node.get_node_names_and_namespaces() if name != _OURS
    )
    namespace = node.get_namespace().rstrip("/")
    present = {spec.name: "" for spec in NODES if f"{namespace}/{spec.name}" in names}
    return LiveFacts(
        domain=os.environ.get("ROS_DOMAIN_ID", "") or "0",
        namespace=namespace,
        nodes=tuple(names),
        lifecycle=present | lifecycle,
        joints=_stream(node, "joint_states", JOINT_STATE, listeners),
        cameras={c.name: _stream(node, camera_topic(c.name), IMAGE, listeners) for c in robot.cameras},
        commands={topic: _publishers(node, topic) for topic in commands},
        clock=bool(node.count_publishers("/clock")),
    )


def _stream(node: Node, topic: str, type_name: str, listeners: dict[str, _Listener]) -> StreamFacts:
    heard = listeners.get(topic, _Listener())
    times, last = heard.received_s, heard.last
    spread_s = times[-1] - times[0] if len(times) > 1 else 0.0
    positions = zip(last.name, last.position, strict=False) if isinstance(last, JointState) else ()
    return StreamFacts(
        topic=topic,
        publishers=_publishers(node, topic),
        received=len(times),
        rate_hz=(len(times) - 1) / spread_s if spread_s > 0 else 0.0,
        age_s=median(heard.ages_s) if heard.ages_s else 0.0,
        stands_still=len(times) > 2 and len(heard.stamps_ns) == 1,
        names=tuple(last.name) if isinstance(last, JointState) else (),
        not_finite=tuple(name for name, value in positions if not math.isfinite(value)),
        size=(last.width, last.height) if isinstance(last, Image) else None,
        encoding=last.encoding if isinstance(last, Image) else "",
        other_type=_other_type(node, topic, type_name),
    )


def _publishers(node: Node, topic: str) -> tuple[str, ...]:
    found = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    return tuple(sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found))


def _other_type(node: Node, topic: str, expected: str) -> str:
    """The type that is published instead of the one expected; '' when it is right or nobody publishes."""
    types = {info.topic_type for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))}
    return ", ".join(sorted(types - {expected}))


def _lifecycle(node: Node, executor: SingleThreadedExecutor) -> dict[str, str]:
    """State label of each suite node that is there; '' when it does not answer in time."""
    names = {name for name, place in node.get_node_names_and_namespaces() if place == node.get_namespace()}
    clients = {
        spec.name: node.create_client(GetState, f"{spec.name}/get_state") for spec in NODES if spec.name in names
    }
    deadline = time.monotonic() + _ANSWER_S
    while not all(client.service_is_ready() for client in clients.values()) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    futures = {
        name: client.call_async(GetState.Request()) for name, client in clients.items() if client.service_is_ready()
    }
    deadline = time.monotonic() + _ANSWER_S
    while not all(future.done() for future in futures.values()) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    answers = {name: future.result() for name, future in futures.items() if future.done()}
    return {name: answers[name].current_state.label if name in answers else "" for name in clients}


def _spin(executor: SingleThreadedExecutor, duration_s: float) -> None:
    deadline = time.monotonic() + duration_s
    while (left_s := deadline - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=min(left_s, 0.1))
