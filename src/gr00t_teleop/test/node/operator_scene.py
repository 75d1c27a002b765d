# SPDX-License-Identifier: Apache-2.0
"""Operator nodes in this process, and someone who listens."""

import threading
import time
from collections.abc import Callable

from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from gr00t_policy.ros import qos
from gr00t_teleop.ros.operator_node import OperatorNode


def wait_until(happened: Callable[[], object], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Scene:
    """Makes operator nodes with given parameters; ``heard`` holds the messages of ``operator_state``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.listener = Node("listener", context=context)
        self.heard: list[OperatorStateMsg] = []
        self.listener.create_subscription(OperatorStateMsg, "operator_state", self.heard.append, qos.SENSOR)
        self.nodes: list[OperatorNode] = []
        self.executor.add_node(self.listener)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def operator(self, **parameters: object) -> OperatorNode:
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        node = OperatorNode(context=self.context, parameter_overrides=given)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        self._ending.set()
        self._thread.join()
        for node in (*self.nodes, self.listener):
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self.executor.spin_once(timeout_sec=0.05)
