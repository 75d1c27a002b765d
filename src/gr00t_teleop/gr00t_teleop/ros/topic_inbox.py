# SPDX-License-Identifier: Apache-2.0
"""Topics for devices: subscriptions of a node, whose messages wait for the device's thread."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.ros import qos
from gr00t_teleop.devices.topics import Heard

_WAITING = 400  # messages: 1 s of three trackers at 120 Hz, should the device's thread not come to it


class TopicInbox:
    """The ``Topics`` of a node. Names are relative to its namespace and may be remapped on its command line."""

    def __init__(self, node: Node, now_ns: Callable[[], int]) -> None:
        self._node, self._now_ns = node, now_ns
        self._subscriptions: dict[str, Subscription] = {}
        self._heard: deque[Heard] = deque(maxlen=_WAITING)
        self._came = threading.Condition()
        self._opened = 0

    def open(self, types: Mapping[str, str]) -> None:
        kinds = {topic: _message_type(topic, name) for topic, name in types.items()}
        self._opened += 1
        for topic, kind in kinds.items():
            keep = self._keeper(topic, self._opened)
            self._subscriptions[topic] = self._node.create_subscription(kind, topic, keep, qos.DEVICE)

    def close(self) -> None:
        self._opened += 1
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])
        with self._came:
            self._heard.clear()

    def take(self, wait_s: float) -> list[Heard]:
        with self._came:
            if not self._heard:
                self._came.wait(wait_s)
            taken = list(self._heard)
            self._heard.clear()
        return taken

    def publishers(self, topic: str) -> int:
        return int(self._node.count_publishers(self._node.resolve_topic_name(topic)))

    def _keeper(self, topic: str, opened: int) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            heard = Heard(topic, message, self._now_ns())
            with self._came:
                if self._opened == opened:  # one that waited when its subscription was destroyed comes all the same
                    self._heard.append(heard)
                    self._came.notify()

        return keep


def _message_type(topic: str, type_name: str) -> Any:
    package, _, name = type_name.split("/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"topic '{topic}' has type {type_name}, which is not installed; build package {package} "
            "in your workspace and source it before you start the node"
        ) from error
