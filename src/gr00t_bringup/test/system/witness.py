# SPDX-License-Identifier: Apache-2.0
"""Hears every message of the running stack, in a thread of its own, so that a test can judge what was sent when."""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from gr00t_msgs.msg import ActionChunk, ConditioningTokens, ControllerState, GateState, PlannerState
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import Image, JointState
from spinner import Spinner
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.ros.messages import ns_from_stamp
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_safety.config import GateConfig

# What the time-outs add up to (docs/safety.md), and what a busy machine without real-time priority may add to it.
_TICKS_S = 1 / ControllerConfig().rate_hz + 1 / GateConfig().tick_rate_hz
CAMERA_LOST_S = ControllerConfig().token_max_age_s + GateConfig().command_hold_s + _TICKS_S
PLANNER_LOST_S = ControllerConfig().token_hold_s + GateConfig().command_hold_s + _TICKS_S
BUSY_S = 0.1
_STOP_S = 0.2  # from full speed to standstill, by the gate's limits
_STANDS_RAD = 0.01  # measured while the target stands still
_NS = 1e9
_MANY = 200  # messages that may wait for this thread
_TOPICS = {
    "camera/ego_view/image_raw": (Image, ReliabilityPolicy.BEST_EFFORT),
    "joint_states": (JointState, ReliabilityPolicy.BEST_EFFORT),
    "conditioning_tokens": (ConditioningTokens, ReliabilityPolicy.RELIABLE),
    "action_chunk": (ActionChunk, ReliabilityPolicy.RELIABLE),
    "policy/joint_trajectory": (JointTrajectory, ReliabilityPolicy.RELIABLE),
    "joint_trajectory": (JointTrajectory, ReliabilityPolicy.RELIABLE),
    "planner/state": (PlannerState, ReliabilityPolicy.RELIABLE),
    "controller/state": (ControllerState, ReliabilityPolicy.RELIABLE),
    "command_gate/state": (GateState, ReliabilityPolicy.RELIABLE),
    "/diagnostics": (DiagnosticArray, ReliabilityPolicy.RELIABLE),
}


class Witness:
    """All messages by topic. Those of before it listened are not there."""

    def __init__(self, context: Context) -> None:
        self._heard: dict[str, list[Any]] = {topic: [] for topic in _TOPICS}
        self._node = Node("witness", context=context, start_parameter_services=False)
        for topic, (kind, reliability) in _TOPICS.items():
            heard = self._heard[topic]
            self._node.create_subscription(
                kind,
                topic,
                lambda message, heard=heard: heard.append(without_data(message)),
                QoSProfile(depth=_MANY, reliability=reliability),
            )
        self._spinner = Spinner(context, self._node)

    def close(self) -> None:
        self._spinner.close()
        self._node.destroy_node()

    def messages(self, topic: str) -> list[Any]:
        return list(self._heard[topic])

    def stamps_s(self, topic: str) -> NDArray[np.float64]:
        """The stamps in their headers (N,)."""
        return np.array([stamp_s(message) for message in self.messages(topic)])

    def positions(self, topic: str, from_s: float, to_s: float) -> NDArray[np.float64]:
        """Positions (N, J) [rad] of joint states or one-point trajectories by their stamps, which a late witness does not change:
        when the robot was measured, or of the joint state that is answered."""
        found = [message for message in self.messages(topic) if from_s < stamp_s(message) < to_s]
        return np.array([m.position if isinstance(m, JointState) else m.points[0].positions for m in found])

    def wait_connected(self, timeout_s: float = 30.0) -> None:
        """Until every topic was heard: from then on nothing is missed."""
        deadline = time.monotonic() + timeout_s
        while silent := [topic for topic, heard in self._heard.items() if not heard]:
            assert time.monotonic() < deadline, f"nothing was heard of {', '.join(silent)}"
            time.sleep(0.02)

    def find(self, topic: str, is_it: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
        """The first message of the topic that is it; waits for it."""
        deadline, seen = time.monotonic() + timeout_s, 0
        while True:
            messages = self.messages(topic)
            for message in messages[seen:]:
                if is_it(message):
                    return message
            seen = len(messages)
            assert time.monotonic() < deadline, f"{topic}: none of {seen} messages was it"
            time.sleep(0.02)


def without_data(message: Any) -> Any:
    """Pictures and tokens are remembered by their headers."""
    if isinstance(message, Image | ConditioningTokens):
        message.data = array("B")
    return message


def held_and_stands(heard: Witness, since_s: float, within_s: float) -> float:
    """Seconds from ``since_s`` [s, system clock] to the hold in which the gate stays. Fails when they are more than ``within_s``
    and what a busy machine adds, when the policy answers a later joint state, or when the robot is told to move or moves once it
    had time to stop.
    """
    now_s = time.time()
    heard.find("joint_trajectory", lambda command: stamp_s(command) > now_s)  # a late witness has caught up
    gate = [one for one in heard.messages("command_gate/state") if stamp_s(one) > since_s]
    driven = [number for number, one in enumerate(gate) if one.state != GateState.HOLD]
    held_s = stamp_s(gate[max(driven, default=-1) + 1])
    told = [(f"{stamp_s(one) - since_s:.3f} s", one.state, one.reason) for one in gate]
    assert held_s - since_s < within_s + BUSY_S, told
    assert heard.stamps_s("policy/joint_trajectory").max() < held_s
    targets = heard.positions("joint_trajectory", held_s + _STOP_S, np.inf)
    assert len(targets) > 60, "the robot is told where to stay all the time"
    assert np.ptp(targets, axis=0).max() == 0.0
    stood = heard.positions("joint_states", held_s + 2 * _STOP_S, np.inf)
    assert np.ptp(stood, axis=0).max() < _STANDS_RAD
    return held_s - since_s


def sent_s(tokens: Any) -> float:
    """When the planner sent them [s, system clock], by what it writes into them."""
    return stamp_s(tokens) + tokens.wait_s + tokens.preprocess_s + tokens.encode_s


def stamp_s(message: Any) -> float:
    """The stamp in the header of a message [s]."""
    return ns_from_stamp(message.header.stamp) / _NS


@contextmanager
def witness() -> Iterator[Witness]:
    """A participant of its own, as another program would be."""
    context = Context()
    init_ros(context)
    heard = Witness(context)
    try:
        yield heard
    finally:
        heard.close()
        try_shutdown(context=context)
