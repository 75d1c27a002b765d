# SPDX-License-Identifier: Apache-2.0
"""Nodes of a test and their peers, whose callbacks run in a thread."""

import threading
from contextlib import suppress

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node


def spin_a_moment(executor: Executor) -> None:
    """Run what is due, also while a test destroys a publisher in its own thread, against which an executor has no net."""
    with suppress(InvalidHandle):
        executor.spin_once(timeout_sec=0.05)


class Spinner:
    """Runs the callbacks of nodes until ``close``, which leaves the nodes to their owner."""

    def __init__(self, context: Context, *nodes: Node) -> None:
        self._executor = SingleThreadedExecutor(context=context)
        for node in nodes:
            self._executor.add_node(node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            spin_a_moment(self._executor)

    def close(self) -> None:
        """No callback runs any more."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
