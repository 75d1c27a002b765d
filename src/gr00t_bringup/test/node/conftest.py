# SPDX-License-Identifier: Apache-2.0
"""Real rclpy on a domain of its own, loopback only."""

import os
import threading
from collections.abc import Iterator

os.environ["ROS_DOMAIN_ID"] = "181"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode

from gr00t_policy.ros.transport import init_ros


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    init_ros(context)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def peer(context: Context) -> Iterator[LifecycleNode]:
    """A lifecycle node named 'planner' that answers from a thread of its own."""
    node = LifecycleNode("planner", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    stop.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
