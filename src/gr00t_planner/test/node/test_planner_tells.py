# SPDX-License-Identifier: Apache-2.0
"""The node ``planner`` tells its states and logs from the executor's thread: the one that ticks encodes and publishes tokens."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import logging
import time
from pathlib import Path

import numpy as np
import torch
from gr00t_msgs.msg import PlannerState
from small_checkpoint import save_small_checkpoint
from std_msgs.msg import String
from watched_node import EXECUTOR, Watched, running, until

from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros.messages import rgb_to_image

torch.set_num_threads(1)
CAMERA = load_embodiment("gr1").cameras[0]
LOOP = "planner"  # name of a thread


class WatchedPlanner(Watched, PlannerNode):
    """Remembers who told what."""

    def until_told(self, wanted: int) -> None:
        until(lambda: wanted in [message.state for message in self.told("planner/state")], 20.0)


def test_the_thread_that_ticks_publishes_tokens_and_never_logs_nor_tells_a_state(tmp_path: Path, caplog):
    caplog.set_level(logging.DEBUG)
    settings = {"checkpoint": str(save_small_checkpoint(tmp_path / "small")), "engine": "torch", "thread_priority": 0}
    with running(WatchedPlanner, settings) as node:
        node._on_sentence(String(data="pick up the red can"))
        node.until_told(PlannerState.WAITING_FOR_IMAGE)
        picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        for _ in range(10):
            node._on_image(CAMERA.name, rgb_to_image(picture, node.now_ns, CAMERA.frame_id))
            time.sleep(0.1)
        node.until_told(PlannerState.ENCODING)
        node.until_told(PlannerState.STALE_IMAGE)  # the camera stopped: found by the loop
    assert node.threads("conditioning_tokens") == {LOOP}
    assert LOOP not in node.threads("planner/state") and EXECUTOR in node.threads("planner/state")
    assert LOOP not in node.logged and EXECUTOR in node.logged
    assert LOOP not in {record.threadName for record in caplog.records}
