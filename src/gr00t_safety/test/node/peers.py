# SPDX-License-Identifier: Apache-2.0
"""Real peers of the gate: a robot that obeys, a commander, and a person at the services. Also run as a process."""

import os
import sys
import time
from typing import Any

import numpy as np
import rclpy
from gr00t_msgs.msg import GateState
from gr00t_msgs.srv import SelectCommandSource
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import JointOrder, ns_from_stamp
from gr00t_policy.ros.testing import command_message, joint_state_message
from gr00t_policy.runtime.pacing import PacedLoop

GR1 = load_embodiment("gr1")
HOME = GR1.positions_by_name(GR1.home)
COLUMNS = np.array([GR1.joint_names.index(name) for name in GR1.policy_joint_names])
TICK_NS = 8_333_333
SOON_S = 0.3  # far below what a person would notice, with room for a busy machine
_PRIORITY = 35


def system_ns() -> int:
    return time.time_ns()


class Robot:
    """Publishes joint states at 250 Hz, obeys ``joint_trajectory`` at once, and keeps what it was told with the time."""

    def __init__(self, node: Node) -> None:
        self.positions = HOME.copy()
        self.applied: list[tuple[float, np.ndarray]] = []
        self.states: list[tuple[float, GateState]] = []
        self._order = JointOrder(GR1.joints)
        self._publisher = node.create_publisher(JointState, "joint_states", qos.SENSOR)
        node.create_subscription(JointTrajectory, "joint_trajectory", self._on_command, qos.COMMAND)
        node.create_subscription(GateState, "command_gate/state", self._on_state, qos.LATCHED)
        self.loop = PacedLoop("robot", 250.0, self._tick, _PRIORITY)

    @property
    def state(self) -> GateState | None:
        return self.states[-1][1] if self.states else None

    def go_on(self) -> None:
        """Publish again after ``loop`` was stopped."""
        self.loop = PacedLoop("robot", 250.0, self._tick, _PRIORITY)
        self.loop.start()

    def send(self, positions: np.ndarray) -> None:
        self._publisher.publish(joint_state_message(self._order, positions, system_ns()))

    def _tick(self, now_ns: int) -> None:
        self.send(self.positions)

    def _on_command(self, message: JointTrajectory) -> None:
        self.positions = self._order.positions(message.joint_names, message.points[0].positions, "test")
        self.applied.append((time.monotonic(), self.positions))

    def _on_state(self, message: GateState) -> None:
        self.states.append((time.monotonic(), message))


class Commander:
    """Commands the policy's joints at 120 Hz as ``source``, answering the newest joint state."""

    def __init__(self, node: Node, source: str = "policy") -> None:
        self.target = HOME[COLUMNS].copy()
        self.last_s = 0.0
        self._answers_ns = 0
        self.order = JointOrder(GR1.policy_joints)
        self.publisher = node.create_publisher(JointTrajectory, f"{source}/joint_trajectory", qos.COMMAND)
        node.create_subscription(JointState, "joint_states", self._on_joint_state, qos.SENSOR)
        self.loop = PacedLoop(source, 120.0, self._tick, _PRIORITY)

    def message(self, positions: np.ndarray | None = None) -> JointTrajectory:
        positions = self.target if positions is None else positions
        command = JointCommand(system_ns() + TICK_NS, self.order.names, positions)
        return command_message(command, self.order, self._answers_ns)

    def _tick(self, now_ns: int) -> None:
        if self._answers_ns:
            self.publisher.publish(self.message())
            self.last_s = time.monotonic()

    def _on_joint_state(self, message: JointState) -> None:
        self._answers_ns = ns_from_stamp(message.header.stamp)


class Person:
    """Calls the gate's services and waits for the answers."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clients: dict[str, Any] = {}

    def stop(self) -> Trigger.Response:
        return self._call(Trigger, "command_gate/stop", Trigger.Request())

    def reset(self) -> Trigger.Response:
        return self._call(Trigger, "command_gate/reset", Trigger.Request())

    def select(self, source: str) -> SelectCommandSource.Response:
        return self._call(SelectCommandSource, "command_gate/select", SelectCommandSource.Request(source=source))

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, "command_gate/change_state", request).success)

    def lifecycle(self) -> str:
        return str(self._call(GetState, "command_gate/get_state", GetState.Request()).current_state.label)

    def set(self, name: str, value: float) -> Any:
        kind = ParameterType.PARAMETER_DOUBLE
        parameter = Parameter(name=name, value=ParameterValue(type=kind, double_value=value))
        request = SetParameters.Request(parameters=[parameter])
        return self._call(SetParameters, "command_gate/set_parameters", request).results[0]

    def _call(self, kind: Any, name: str, request: Any, timeout_s: float = 20.0) -> Any:
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_s), f"no service {name}"
        future = client.call_async(request)
        deadline = time.monotonic() + timeout_s
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert future.done(), f"no answer from {name}"
        return future.result()


def main() -> None:
    """A commander in a process of its own, until it is killed."""
    rclpy.init()
    node = Node(f"commander_{os.getpid()}")
    commander = Commander(node, sys.argv[1])
    commander.loop.start()
    rclpy.spin(node)


if __name__ == "__main__":
    main()
