# SPDX-License-Identifier: Apache-2.0
"""Talks to the running stack: waits for its nodes, says the sentence, resets the simulator."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from gr00t_msgs.srv import ResetSimulation
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.ros import qos

_CALL_S = 2.0


class NotReadyError(Gr00tError):
    """A node did not become active, or a service did not answer, in time."""


class StackClient:
    """One node, spun only while it waits for an answer. ``check`` is called while waiting: it raises when a node died."""

    def __init__(self, context: Context, check: Callable[[], None], namespace: str = "") -> None:
        self._node = Node("gr00t_cli", context=context, namespace=namespace, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._check = check
        self._language = self._node.create_publisher(String, "language_command", qos.LANGUAGE)

    @property
    def node(self) -> Node:
        """For further publishers and subscriptions; it is spun only while this client waits."""
        return self._node

    def wait_active(self, names: Sequence[str], timeout_s: float) -> None:
        """Return when every named lifecycle node is active. Raises NotReadyError naming those that are not."""
        clients = {name: self._node.create_client(GetState, f"{name}/get_state") for name in names}
        states = dict.fromkeys(names, "not there yet")
        deadline = time.monotonic() + timeout_s
        while any(state != "active" for state in states.values()):
            if time.monotonic() > deadline:
                late = ", ".join(f"{name} ({state})" for name, state in states.items() if state != "active")
                raise NotReadyError(f"not active after {timeout_s:.0f} s: {late}; see the log files")
            for name, client in clients.items():
                if states[name] != "active":
                    states[name] = self._state_of(client) or states[name]
            self._pause(0.1)
        for client in clients.values():
            self._node.destroy_client(client)

    def refuse_company(self, names: Sequence[str], most: int, look_s: float = 0.0) -> None:
        """Raises NotReadyError when within that time more than ``most`` nodes of one of these names are found in our namespace:
        two stacks would drive one robot."""
        deadline = time.monotonic() + look_s
        while not (twice := [name for name in names if self._count_nodes(name) > most]):
            if time.monotonic() >= deadline:
                return
            self._pause(0.02)
        raise NotReadyError(
            f"another stack runs here already: {', '.join(twice)} in namespace '{self._node.get_namespace()}'; end it, or give "
            f"this one another ROS_DOMAIN_ID (it is {os.environ.get('ROS_DOMAIN_ID', '0')}) or namespace"
        )

    def wait_listeners(self, nodes: Sequence[str], timeout_s: float) -> None:
        """Return when the named nodes listen to ``language_command``, so that a sentence said once is heard."""
        deadline = time.monotonic() + timeout_s
        while missing := [name for name in nodes if name not in self._listeners()]:
            if time.monotonic() > deadline:
                raise NotReadyError(f"nobody heard: {', '.join(missing)} not listening to 'language_command'")
            self._pause(0.05)
        while self._language.get_subscription_count() < len(nodes) and time.monotonic() < deadline:
            self._pause(0.02)

    def say(self, sentence: str) -> None:
        """Publish the sentence the robot is to obey."""
        self._language.publish(String(data=sentence))

    def reset_simulation(self, task: str, seed: int, sentence: str) -> str:
        """New scene; returns the sentence in force. Raises NotReadyError with the simulator's reason."""
        request = ResetSimulation.Request(task=task, seed=seed, sentence=sentence)
        answer = self.call(ResetSimulation, "sim/reset", request, timeout_s=20.0)
        if not answer.success:
            raise NotReadyError(f"the simulator refused the reset: {answer.message}")
        return str(answer.sentence)

    def trigger(self, name: str) -> str:
        """Call a std_srvs/Trigger service; returns its answer. Raises NotReadyError, also with the reason of a refusal."""
        answer = self.call(Trigger, name, Trigger.Request())
        if not answer.success:
            raise NotReadyError(f"{name} was refused: {answer.message}")
        return str(answer.message)

    def call(self, service_type: Any, name: str, request: Any, timeout_s: float = 10.0) -> Any:
        """Call any service once. Raises NotReadyError when it is not there or does not answer."""
        client = self._node.create_client(service_type, name)
        ready = self._wait_service(client)
        answer = self._call(client, request, timeout_s) if ready else None
        self._node.destroy_client(client)
        if answer is None:
            raise NotReadyError(f"the service '{name}' {'did not answer' if ready else 'is not there'}")
        return answer

    def spin_until(self, happened: Callable[[], bool], timeout_s: float) -> bool:
        """Spin this client's node until then; False when it did not happen in time."""
        deadline = time.monotonic() + timeout_s
        while not happened() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
            self._check()
        return happened()

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def _count_nodes(self, name: str) -> int:
        return self._node.get_node_names_and_namespaces().count((name, self._node.get_namespace()))

    def _listeners(self) -> set[str]:
        topic = self._node.resolve_topic_name("language_command")
        return {info.node_name for info in self._node.get_subscriptions_info_by_topic(topic)}

    def _state_of(self, client: Client) -> str:
        if not client.service_is_ready():
            return ""
        answer = self._call(client, GetState.Request(), _CALL_S)
        return "" if answer is None else answer.current_state.label.lower()

    def _wait_service(self, client: Client) -> bool:
        deadline = time.monotonic() + _CALL_S
        while not client.service_is_ready() and time.monotonic() < deadline:
            self._pause(0.05)
        return client.service_is_ready()

    def _call(self, client: Client, request: Any, timeout_s: float) -> Any:
        """The answer, or None after ``timeout_s``."""
        future = client.call_async(request)
        if not self.spin_until(future.done, timeout_s):
            client.remove_pending_request(future)
            return None
        return future.result()

    def _pause(self, pause_s: float) -> None:
        self._check()
        time.sleep(pause_s)
