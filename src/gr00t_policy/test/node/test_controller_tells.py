# SPDX-License-Identifier: Apache-2.0
"""The node ``controller`` tells its states and logs from the executor's thread: the one that ticks only computes and commands."""

import os

os.environ["ROS_DOMAIN_ID"] = "163"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from small_checkpoint import save_small_checkpoint
from watched_node import EXECUTOR, Watched, running

from gr00t_policy.core.command_wire import CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.ros.controller_node import ControllerNode
from gr00t_policy.ros.messages import JointOrder
from gr00t_policy.ros.testing import joint_state_message
from gr00t_policy.runtime.backends import blank_tokens
from gr00t_policy.runtime.inputs import State

torch.set_num_threads(1)
ORDER = JointOrder(load_embodiment("gr1").policy_joints)
SETTINGS = {
    "engine": "torch", "head_mode": "every_tick", "rate_hz": 60.0, "thread_priority": 0, "process_priority": 0,
    "joint_state_timeout_s": 1.0, "token_warn_s": 1.0, "token_hold_s": 2.0, "token_max_age_s": 4.0,
}  # fmt: skip
LOOP = "controller"  # name of a thread


class WatchedController(Watched, ControllerNode):
    """Remembers who told what."""

    @property
    def states(self) -> list[State]:
        return [message.state for message in self.told("controller/state")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedController]:
    folder = save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")
    with running(WatchedController, {**SETTINGS, "checkpoint": str(folder)}) as node:
        yield node


def feed(
    node: WatchedController, joints: JointState, wanted: State, sequence: list[int], seconds: float = 15.0
) -> None:
    """Offers fresh input as the callbacks do until the wanted state was told."""
    tokens = blank_tokens(load_checkpoint(node.settings.checkpoint))
    before, deadline = len(node.states), time.monotonic() + seconds
    while wanted not in node.states[before:]:
        assert time.monotonic() < deadline, f"{wanted} was not told, only {node.states[before:]}"
        sequence[0] += 1
        joints.header.stamp = node.get_clock().now().to_msg()
        node._on_joint_state(serialize_message(joints))
        fresh = replace(tokens, sequence=sequence[0], stamp_ns=node.now_ns)
        node._controller.inputs.offer_tokens(fresh, time.monotonic_ns())
        time.sleep(0.02)


def test_the_thread_that_ticks_commands_and_never_logs_nor_tells_a_state(node, caplog):
    caplog.set_level(logging.DEBUG)
    sequence = [0]
    for _ in range(3):
        good = joint_state_message(ORDER, np.zeros(len(ORDER.names)), 0)
        feed(node, good, State.RUNNING, sequence)
        bad = joint_state_message(ORDER, np.full(len(ORDER.names), np.nan), 0)
        feed(node, bad, State.HOLDING, sequence)
    assert node.threads("policy/joint_trajectory") == {LOOP}
    assert LOOP not in node.threads("controller/state") and EXECUTOR in node.threads("controller/state")
    assert LOOP not in node.logged and EXECUTOR in node.logged
    assert LOOP not in {record.threadName for record in caplog.records}


def test_every_state_is_told_once_it_was_found_also_one_of_a_single_tick(node):
    """The queue keeps what a look 50 times a second would not have seen."""
    verdict = node._controller.verdict
    before = len(node.states)
    for state in (State.HOLDING, State.RUNNING, State.HOLDING):
        node._news.put((replace(verdict, state=state), node.now_ns))
    wanted = [State.HOLDING, State.RUNNING, State.HOLDING]
    deadline = time.monotonic() + 5.0
    while [
        state for state, _ in itertools.groupby(node.states[before:])
    ] != wanted:  # holding is also told regularly, by now
        assert time.monotonic() < deadline, node.states[before:]
        time.sleep(0.01)


def test_what_cannot_be_read_of_the_gate_while_another_drives_is_said_and_ends_nothing(node):
    """Bytes of the gate's topic are whatever somebody sent there; what can be read counts before and after."""
    every = JointOrder(load_embodiment("gr1").joints)
    good = CommandWriter(every).write(JointCommand(9, every.names, np.full(len(every.names), 0.25)), 5)
    hand_over = node._controller.hand_over
    hand_over.gate(others_drive=True, passes=False)
    assert hand_over.waits
    for data in (b"\x00\x01\x00\x00 no command", good[:40], good[:-9], b""):
        before = len(node.logged)
        hand_over._given = None
        node._on_given(data)
        assert hand_over._given is None and len(node.logged) > before
        node._on_given(good)
        np.testing.assert_array_equal(hand_over._given[0], 0.25)
