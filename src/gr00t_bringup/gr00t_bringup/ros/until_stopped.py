# SPDX-License-Identifier: Apache-2.0
"""The frame of a program that uses ROS until it is told to stop, for helpers of measurements that are no nodes of the suite."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy

from gr00t_policy.ros.lifecycle import catch_signals
from gr00t_policy.ros.transport import init_ros


@contextmanager
def ros_until_stopped() -> Iterator[Callable[[], bool]]:
    """ROS, with this program's arguments, for the time of a ``with`` block. Gives the question whether SIGINT or SIGTERM came.

    What is to be done then (last messages, files) the block does itself, after its loop.
    """
    is_stopped = catch_signals()
    init_ros(args=sys.argv)
    try:
        yield is_stopped
    finally:
        rclpy.try_shutdown()
