# SPDX-License-Identifier: Apache-2.0
"""The node ``planner`` tells its states and logs from the executor's thread: the one that ticks encodes and publishes tokens."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from gr00t_msgs.msg import PlannerState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from small_checkpoint import save_small_checkpoint
from std_msgs.msg import String

from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros.messages import rgb_to_image
from gr00t_policy.ros.transport import init_ros

torch.set_num_threads(1)
CAMERA = load_embodiment("gr1").cameras[0]
LOOP, EXECUTOR = "planner", "executor"  # names of threads


class Watched(PlannerNode):
    """Remembers which thread published on which topic, and which asked for the logger."""

    def __init__(self, **options: Any) -> None:
        self.published: list[tuple[str, str]] = []
        self.logged: list[str] = []
        self.told: list[int] = []
        super().__init__(**options)

    def get_logger(self) -> Any:
        self.logged.append(threading.current_thread().name)
        return super().get_logger()

    def keep_publisher(self, kind: type, topic: str, profile: Any) -> Any:
        publisher = super().keep_publisher(kind, topic, profile)
        publish = publisher.publish

        def watched(message: Any) -> None:
            self.published.append((topic, threading.current_thread().name))
            if kind is PlannerState:
                self.told.append(message.state)
            publish(message)

        publisher.publish = watched
        return publisher

    def until_told(self, wanted: int, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while wanted not in self.told:
            assert time.monotonic() < deadline, f"state {wanted} was not told, only {self.told}"
            time.sleep(0.02)


def test_the_thread_that_ticks_publishes_tokens_and_never_logs_nor_tells_a_state(tmp_path: Path, caplog):
    caplog.set_level(logging.DEBUG)
    context = Context()
    init_ros(context)
    settings = {"checkpoint": str(save_small_checkpoint(tmp_path / "small")), "engine": "torch", "thread_priority": 0}
    node = Watched(context=context, parameter_overrides=[Parameter(name, value=settings[name]) for name in settings])
    executor, stop = SingleThreadedExecutor(context=context), threading.Event()
    executor.add_node(node)

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.02)

    thread = threading.Thread(target=spin, name=EXECUTOR)
    try:
        assert node.start()
        thread.start()
        node._on_sentence(String(data="pick up the red can"))
        node.until_told(PlannerState.WAITING_FOR_IMAGE)
        picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        for _ in range(10):
            node._on_image(CAMERA.name, rgb_to_image(picture, node.now_ns, CAMERA.frame_id))
            time.sleep(0.1)
        node.until_told(PlannerState.ENCODING)
        node.until_told(PlannerState.STALE_IMAGE)  # the camera stopped: found by the loop
    finally:
        stop.set()
        thread.join()
        node.stop()
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)
    by_topic = {topic: {name for at, name in node.published if at == topic} for topic, _ in node.published}
    assert by_topic["conditioning_tokens"] == {LOOP}
    assert LOOP not in by_topic["planner/state"] and EXECUTOR in by_topic["planner/state"]
    assert LOOP not in node.logged and EXECUTOR in node.logged
    assert LOOP not in {record.threadName for record in caplog.records}
