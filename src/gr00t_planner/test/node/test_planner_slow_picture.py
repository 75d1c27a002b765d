# SPDX-License-Identifier: Apache-2.0
"""The node ``planner`` is deactivated while a picture takes longer to encode than it waits."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from small_checkpoint import save_small_checkpoint

from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros.transport import init_ros

torch.set_num_threads(1)
CAMERA = load_embodiment("gr1").cameras[0]
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def test_a_picture_that_is_still_encoded_is_the_only_one_and_keeps_its_network(tmp_path: Path) -> None:
    context = Context()
    init_ros(context)
    given = {"engine": "torch", "thread_priority": 0, "checkpoint": str(save_small_checkpoint(tmp_path / "small"))}
    node = PlannerNode(
        context=context, parameter_overrides=[Parameter(name, value=value) for name, value in given.items()]
    )
    assert node.start()
    loop, policy = node._loop, node._planner._policy
    encode, is_inside, may_end = policy.encode, threading.Event(), threading.Event()

    def encode_slowly(*given: Any) -> Any:
        is_inside.set()
        may_end.wait(60.0)
        return encode(*given)

    policy.encode = encode_slowly
    node._planner.instruction("take the can")
    picture = np.random.default_rng(0).integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
    while not is_inside.wait(0.05):
        node._planner.image(CAMERA.name, picture, node.now_ns, node.now_ns)
    assert node.trigger_deactivate() == SUCCESS
    assert [node.trigger_activate(), node.trigger_cleanup()] == [FAILURE, FAILURE]
    assert sum(thread.name == "planner" for thread in threading.enumerate()) == 1
    may_end.set()
    assert loop is not None and loop.stop(30.0) and loop.failure is None
    assert [node.trigger_activate(), node.trigger_deactivate(), node.trigger_cleanup()] == [SUCCESS] * 3
    node.stop()
    node.destroy_node()
    context.try_shutdown()
