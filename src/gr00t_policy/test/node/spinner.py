# SPDX-License-Identifier: Apache-2.0
"""Nodes of a test and their peers, whose callbacks run in a thread."""

import threading

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node


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
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """No callback runs any more."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
