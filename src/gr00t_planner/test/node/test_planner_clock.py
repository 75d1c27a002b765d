# SPDX-License-Identifier: Apache-2.0
"""The node ``planner`` on a ROS clock that is set: pictures of the new time are encoded, none of the old comes back."""

import os

os.environ["ROS_DOMAIN_ID"] = "169"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from gr00t_msgs.msg import ConditioningTokens
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from small_checkpoint import save_small_checkpoint
from spinner import Spinner
from std_msgs.msg import String

from gr00t_planner.ros.planner_node import PlannerNode
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import ns_from_stamp, rgb_to_image, stamp_from_ns
from gr00t_policy.ros.transport import init_ros

torch.set_num_threads(1)
CAMERA = load_embodiment("gr1").cameras[0]
# Patient, for a loaded machine: what is shown is which pictures are encoded, not how fast.
SETTINGS = {"engine": "torch", "rate_hz": 20.0, "thread_priority": 0, "max_image_age_s": 1.0, "use_sim_time": True}


class World:
    """Says what time it is and shows pictures. ``offset_ns`` sets the clock."""

    def __init__(self, context: Context, folder: Path) -> None:
        self.offset_ns = 0
        self.stamps: list[int] = []  # of the pictures shown
        self.tokens: list[tuple[int, int]] = []  # sequence, stamp
        given = {**SETTINGS, "checkpoint": str(folder)}
        self.node = PlannerNode(
            context=context, parameter_overrides=[Parameter(name, value=value) for name, value in given.items()]
        )
        self.peer = Node("world", context=context)
        self._clock = self.peer.create_publisher(Clock, "/clock", qos.SENSOR)
        self._camera = self.peer.create_publisher(Image, f"camera/{CAMERA.name}/image_raw", qos.SENSOR)
        self._language = self.peer.create_publisher(String, "language_command", qos.LANGUAGE)
        self.peer.create_subscription(ConditioningTokens, "conditioning_tokens", self._on_tokens, qos.NEWEST)
        self.peer.create_timer(0.01, self._tick)
        self.peer.create_timer(0.05, self._show)
        self._rng = np.random.default_rng(0)
        self._spinner = Spinner(context, self.peer, self.node)
        assert self.node.start()
        self._language.publish(String(data="take the can"))

    @property
    def now_ns(self) -> int:
        return time.monotonic_ns() + 10**15 + self.offset_ns

    def until_tokens(self, number: int, begin: int, seconds: float = 20.0) -> list[tuple[int, int]]:
        """Wait for so many tokens of pictures of the present time line, after the first ``begin``; all that came since."""
        deadline = time.monotonic() + seconds
        while sum(abs(stamp_ns - self.now_ns) < 2e9 for _, stamp_ns in self.tokens[begin:]) < number:
            assert time.monotonic() < deadline, f"no tokens of the new time; {self.node._planner.verdict}"
            time.sleep(0.02)
        return self.tokens[begin:]

    def close(self) -> None:
        self._spinner.close()
        self.node.stop()
        for node in (self.node, self.peer):
            node.destroy_node()

    def _tick(self) -> None:
        self._clock.publish(Clock(clock=stamp_from_ns(self.now_ns)))

    def _show(self) -> None:
        picture = self._rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), np.uint8)
        self.stamps.append(self.now_ns)
        self._camera.publish(rgb_to_image(picture, self.stamps[-1], CAMERA.frame_id))

    def _on_tokens(self, message: ConditioningTokens) -> None:
        self.tokens.append((message.sequence, ns_from_stamp(message.header.stamp)))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    context = Context()
    init_ros(context)
    made = World(context, save_small_checkpoint(tmp_path_factory.mktemp("models") / "small"))
    made.until_tokens(3, 0)
    yield made
    made.close()
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize("step_s", [-5, 5])
def test_tokens_of_the_new_time_follow_those_of_the_old_and_keep_their_pictures_stamps(world, step_s):
    begin, shown, loop = len(world.tokens), len(world.stamps), world.node._loop
    began_s, ticks = time.monotonic(), loop.ticks + loop.slots.skipped
    world.offset_ns += step_s * 10**9
    came = world.until_tokens(10, begin)
    elapsed_s = time.monotonic() - began_s
    stamps = [stamp_ns for _, stamp_ns in came]
    assert set(stamps) <= set(world.stamps), "no stamp but that of a picture"
    assert len(set(stamps)) == len(stamps), "no picture twice"
    numbers = [world.stamps.index(stamp_ns) for stamp_ns in stamps]
    assert numbers == sorted(numbers), "none of an older picture after one of a newer"
    # What was on its way when the clock was set: one that is encoded, one that waits for its tick.
    assert sum(number < shown for number in numbers) <= 2
    assert np.diff([sequence for sequence, _ in came]).tolist() == [1] * (len(came) - 1)
    run = loop.ticks + loop.slots.skipped - ticks
    assert run == pytest.approx(elapsed_s * SETTINGS["rate_hz"], abs=6), "the loop keeps to the steady clock"
