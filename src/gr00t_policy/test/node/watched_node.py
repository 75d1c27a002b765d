# SPDX-License-Identifier: Apache-2.0
"""A node in this process that remembers which of its threads published what, and which asked for the logger."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from gr00t_policy.ros.transport import init_ros

EXECUTOR = "executor"  # name of the thread that runs the callbacks


class Watched:
    """To be inherited from before a node. published: (topic, name of the thread, message)."""

    def __init__(self, **options: Any) -> None:
        self.published: list[tuple[str, str, Any]] = []
        self.logged: list[str] = []
        super().__init__(**options)

    def get_logger(self) -> Any:
        self.logged.append(threading.current_thread().name)
        return super().get_logger()

    def keep_publisher(self, kind: type, topic: str, profile: Any) -> Any:
        publisher = super().keep_publisher(kind, topic, profile)
        publish = publisher.publish

        def watched(message: Any) -> None:
            self.published.append((topic, threading.current_thread().name, message))
            publish(message)

        publisher.publish = watched
        return publisher

    def threads(self, topic: str) -> set[str]:
        """Those that published on it."""
        return {thread for at, thread, _ in list(self.published) if at == topic}

    def told(self, topic: str) -> list[Any]:
        return [message for at, _, message in list(self.published) if at == topic]


@contextmanager
def running(kind: Callable[..., Any], settings: dict[str, object]) -> Iterator[Any]:
    """A started node whose callbacks run in the thread ``EXECUTOR``."""
    context = Context()
    init_ros(context)
    node = kind(context=context, parameter_overrides=[Parameter(name, value=settings[name]) for name in settings])
    executor, stop = SingleThreadedExecutor(context=context), threading.Event()
    executor.add_node(node)

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.02)

    thread = threading.Thread(target=spin, name=EXECUTOR)
    try:
        assert node.start()
        thread.start()
        yield node
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()
        node.stop()
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)


def until(happened: Callable[[], object], seconds: float = 10.0) -> float:
    """Waits for it; how long it took [s]."""
    began_s = time.monotonic()
    while not happened():
        assert time.monotonic() - began_s < seconds
        time.sleep(0.001)
    return time.monotonic() - began_s
