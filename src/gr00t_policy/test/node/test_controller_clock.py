# SPDX-License-Identifier: Apache-2.0
"""The node ``controller`` on a ROS clock that is set: the loop keeps to the steady clock, commands follow the new time."""

import os

os.environ["ROS_DOMAIN_ID"] = "163"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import time
from collections.abc import Iterator
from dataclasses import replace
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
from sensor_msgs.msg import JointState
from small_checkpoint import save_small_checkpoint
from spinner import Spinner
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.ros import qos
from gr00t_policy.ros.controller_node import ControllerNode
from gr00t_policy.ros.messages import (
    JointOrder,
    ns_from_stamp,
    stamp_from_ns,
    tokens_to_message,
)
from gr00t_policy.ros.testing import joint_state_message
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.backends import blank_tokens

torch.set_num_threads(1)
ORDER = JointOrder(load_embodiment("gr1").policy_joints)
RATE_HZ = 30.0
# Patient, for a loaded machine: what is shown is that the loop does not follow the clock, not how fast it holds.
SETTINGS = {
    "engine": "torch", "head_mode": "every_tick", "rate_hz": RATE_HZ, "thread_priority": 0, "process_priority": 0,
    "joint_state_timeout_s": 0.5, "token_warn_s": 0.5, "token_hold_s": 1.0, "token_max_age_s": 2.0, "use_sim_time": True,
}  # fmt: skip


class World:
    """Says what time it is, and how the joints and the picture are. ``offset_ns`` sets the clock."""

    def __init__(self, context: Context, folder: Path) -> None:
        self.offset_ns = 0
        self.commands: list[tuple[float, int]] = []  # received (steady clock) [s], reached at [ns]
        self.node = ControllerNode(
            context=context,
            parameter_overrides=[
                Parameter(name, value=value) for name, value in {**SETTINGS, "checkpoint": str(folder)}.items()
            ],
        )
        self.peer = Node("world", context=context)
        self._tokens, self._sequence = blank_tokens(load_checkpoint(folder)), 0
        self._clock = self.peer.create_publisher(Clock, "/clock", qos.SENSOR)
        self._joints = self.peer.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._planner = self.peer.create_publisher(ConditioningTokens, "conditioning_tokens", qos.NEWEST)
        self.peer.create_subscription(JointTrajectory, "policy/joint_trajectory", self._on_command, qos.COMMAND)
        self.peer.create_timer(0.01, self._tick)
        self.peer.create_timer(0.1, self._plan)
        self._spinner = Spinner(context, self.peer, self.node)
        assert self.node.start()

    @property
    def now_ns(self) -> int:
        return time.monotonic_ns() + 10**15 + self.offset_ns

    def until_commands(self, number: int, seconds: float = 20.0) -> None:
        """Wait for so many commands on the present time line."""
        deadline, begin = time.monotonic() + seconds, len(self.commands)
        while sum(abs(at_ns - self.now_ns) < 2e9 for _, at_ns in self.commands[begin:]) < number:
            assert time.monotonic() < deadline, f"no commands at the new time; {self.node._controller.verdict}"
            time.sleep(0.02)

    def close(self) -> None:
        self._spinner.close()
        self.node.stop()
        for node in (self.node, self.peer):
            node.destroy_node()

    def _tick(self) -> None:
        self._clock.publish(Clock(clock=stamp_from_ns(self.now_ns)))
        self._joints.publish(joint_state_message(ORDER, np.zeros(len(ORDER.names)), self.now_ns))

    def _plan(self) -> None:
        self._sequence += 1
        tokens = replace(self._tokens, sequence=self._sequence, stamp_ns=self.now_ns)
        self._planner.publish(tokens_to_message(tokens, ConditioningTokens.DTYPE_BFLOAT16, "camera"))

    def _on_command(self, message: JointTrajectory) -> None:
        reach = message.points[0].time_from_start
        at_ns = ns_from_stamp(message.header.stamp) + reach.sec * 10**9 + reach.nanosec
        self.commands.append((time.monotonic(), at_ns))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    context = Context()
    init_ros(context)
    made = World(context, save_small_checkpoint(tmp_path_factory.mktemp("models") / "small"))
    made.until_commands(10)
    yield made
    made.close()
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize("step_s", [-5, 5])
def test_the_loop_ticks_on_while_the_clock_is_set_and_commands_follow_the_new_time(world, step_s):
    loop = world.node._loop
    began_s, ticks, skipped = time.monotonic(), loop.ticks, loop.slots.skipped
    world.offset_ns += step_s * 10**9
    world.until_commands(20)
    elapsed_s = time.monotonic() - began_s
    run = loop.ticks - ticks + loop.slots.skipped - skipped
    assert run == pytest.approx(elapsed_s * RATE_HZ, abs=8), "one tick per slot of the steady clock, run or skipped"
    assert loop.rate_hz <= RATE_HZ * 1.01
