# SPDX-License-Identifier: Apache-2.0
"""Operator nodes in this process, and someone who listens."""

import threading
import time
from collections.abc import Callable
from typing import Any

from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from spinner import spin_a_moment

from gr00t_policy.ros import qos
from gr00t_teleop.devices.device import Device
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.ros.operator_node import OperatorNode
from gr00t_teleop.types import OperatorState


def wait_until(happened: Callable[[], object], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Scene:
    """Makes operator nodes with given parameters; ``heard`` holds the messages of ``operator_state``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.listener = Node("listener", context=context)
        self.heard: list[OperatorStateMsg] = []
        self.listener.create_subscription(OperatorStateMsg, "operator_state", self.heard.append, qos.SENSOR)
        self.nodes: list[OperatorNode] = []
        self.executor.add_node(self.listener)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def operator(self, **parameters: object) -> OperatorNode:
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        node = OperatorNode(context=self.context, parameter_overrides=given)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        self._ending.set()
        self._thread.join()
        for node in (*self.nodes, self.listener):
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()

    def _spin(self) -> None:
        while not self._ending.is_set():
            spin_a_moment(self.executor)


class Driven:
    """An operator and its peer; the newest samples are looked at. The peer has ``pressed``, its clutch."""

    def __init__(self, scene: Scene, peer: Any, **parameters: object) -> None:
        self.scene, self.peer = scene, peer
        self.node = scene.operator(**parameters)
        assert self.node.start()

    @property
    def device(self) -> Device:
        assert self.node._device is not None
        return self.node._device

    def newest(self) -> OperatorState:
        """A sample that was made after now."""
        count = len(self.scene.heard) + 3
        assert wait_until(lambda: len(self.scene.heard) >= count), (self.device.silence(), self.device.counters())
        return state_from_message(self.scene.heard[-1])

    def until(self, wanted: Callable[[OperatorState], object], timeout_s: float = 10.0) -> OperatorState:
        """The first sample after now that is as wanted; every one is looked at."""
        place, deadline = len(self.scene.heard), time.monotonic() + timeout_s
        while True:
            while place < len(self.scene.heard):
                state = state_from_message(self.scene.heard[place])
                if wanted(state):
                    return state
                place += 1
            assert time.monotonic() < deadline, (self.device.silence(), self.device.counters())
            time.sleep(0.003)

    def until_told(self, text: str) -> None:
        """Until the device says this about itself; empty: until it has nothing to say."""
        said = self.device.silence
        assert wait_until(lambda: text in said() if text else not said()), (text, said(), self.device.counters())

    def engage(self) -> OperatorState:
        """Release and press, as a person does until it works: on a busy machine an opening may pass unheard."""
        for _ in range(10):
            self.peer.pressed = False
            self.until(lambda state: not state.engaged)
            time.sleep(0.2)
            place, self.peer.pressed = len(self.scene.heard), True
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                engaged = [message for message in self.scene.heard[place:] if message.engaged]
                if engaged:
                    return state_from_message(engaged[0])
                time.sleep(0.003)
        raise AssertionError((self.device.silence(), self.device.counters()))
