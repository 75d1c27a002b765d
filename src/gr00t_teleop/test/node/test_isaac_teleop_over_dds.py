# SPDX-License-Identifier: Apache-2.0
"""The device ``isaac_teleop`` over DDS, where Isaac Teleop's messages are installed."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from made_people import moving, open_hand, sample
from operator_scene import Driven, wait_until
from rclpy.node import Node
from std_msgs.msg import Bool

from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_teleop.devices.frames import poses_from_matrices
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import KEYPOINTS, tracked

messages = pytest.importorskip(
    "teleop_ros2_interfaces.msg",
    reason="build src/gr00t_teleop/test/peer_messages/teleop_ros2_interfaces and source it",
)


class FakePublisher:
    """Isaac Teleop's node in mode hand_teleop at 60 Hz, and a pedal. Sets hold the names of hands."""

    def __init__(self, context: Any) -> None:
        self.pressed: bool | None = False
        self.unseen: set[str] = set()
        self.broken: set[str] = set()
        self.frozen: dict[str, float] = {}
        self.offset_m = 0.0  # of the right hand
        self.is_silent = False
        self.holds_back = False  # what is published meanwhile comes at once when it ends: a burst
        self._waiting: list[tuple[Any, Any]] = []
        self.node = Node("teleop_ros2_node", context=context)
        self._hand = self.node.create_publisher(messages.NamedPoseArray, "xr_teleop/hand", 10)
        self._head = self.node.create_publisher(PoseStamped, "xr_teleop/head_pose", 10)
        self._pedal = self.node.create_publisher(Bool, "clutch", 10)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.node.destroy_node()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            if not self.is_silent:
                self._send(time.time_ns())
            if self.pressed is not None:
                self._pedal.publish(Bool(data=self.pressed))
            due += 1 / 60
            self._ending.wait(max(0.0, due - time.monotonic()))

    def _send(self, now_ns: int) -> None:
        t = now_ns / 1e9
        hand = messages.NamedPoseArray()
        hand.header.frame_id, hand.header.stamp = "world", stamp_from_ns(now_ns)
        for side in ("left", "right"):
            points = poses_from_matrices(moving(side, self.frozen.get(side, t)) @ open_hand(side))
            points[:, 0] += self.offset_m * (side == "right")
            points = np.full_like(points, np.nan) if side in self.broken else points
            hand.name += [f"{side}_{name.upper()}" for name in KEYPOINTS]
            hand.pose += [Pose() if side in self.unseen else pose_of(point) for point in points]
            hand.is_valid += [side not in self.unseen] * len(points)
        head = PoseStamped(pose=pose_of(poses_from_matrices(moving("head", t))))
        head.header = hand.header
        self._waiting += [(self._head, head), (self._hand, hand)]
        while self._waiting and not self.holds_back:
            publisher, message = self._waiting.pop(0)
            publisher.publish(message)


def pose_of(numbers: np.ndarray) -> Pose:
    x, y, z, qx, qy, qz, qw = numbers.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


@pytest.fixture
def driven(scene):
    publisher = FakePublisher(scene.context)
    yield Driven(scene, publisher, device="isaac_teleop")
    publisher.close()


def test_hands_and_head_drive_in_our_axes(driven):
    state = driven.engage()
    state = driven.until(lambda state: tracked(state.head) and tracked(state.left_hand).all())
    truth = sample(state.stamp_ns / 1e9)
    for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand"):
        assert np.allclose(getattr(state, name)[..., :3], getattr(truth, name)[..., :3], atol=0.02), name
    assert state.source == "isaac_teleop"
    driven.until_told("")


def test_a_hand_that_is_not_seen_frozen_broken_or_leaps_is_lost_and_the_other_is_not(driven):
    driven.until(lambda state: tracked(state.left_wrist) and tracked(state.right_wrist))
    driven.peer.unseen = {"left"}
    state = driven.until(lambda state: not tracked(state.left_wrist) and tracked(state.right_hand).all())
    assert not tracked(state.left_hand).any()
    driven.peer.unseen, driven.peer.frozen = set(), {"right": time.time()}
    driven.until(lambda state: not tracked(state.right_wrist) and tracked(state.left_wrist))
    driven.peer.frozen, driven.peer.broken = {}, {"left"}
    driven.until(lambda state: not tracked(state.left_wrist) and tracked(state.right_wrist))
    driven.peer.broken, driven.peer.offset_m = set(), 0.5
    assert wait_until(lambda: driven.device.counters()["jump"] > 0)
    driven.until(lambda state: tracked(state.right_wrist))


def test_after_a_break_the_clutch_counts_when_it_was_open(driven):
    driven.engage()
    driven.peer.is_silent = True
    driven.until_told("nothing from Isaac Teleop")
    driven.peer.is_silent = False
    for _ in range(5):
        assert not driven.newest().engaged
    driven.engage()


def test_of_a_burst_what_is_old_is_left_out_and_the_rest_has_its_true_time(driven):
    driven.until(lambda state: tracked(state.right_wrist))
    place = len(driven.scene.heard)
    for _ in range(3):
        driven.peer.holds_back = True
        time.sleep(0.4)
        driven.peer.holds_back = False
        driven.until(lambda state: tracked(state.right_wrist))
        time.sleep(0.2)
    assert driven.device.counters()["late"] > 0
    for message in driven.scene.heard[place:]:
        state = state_from_message(message)
        if tracked(state.right_wrist):
            truth = sample(state.stamp_ns / 1e9)
            assert np.allclose(state.right_wrist[:3], truth.right_wrist[:3], atol=0.015)
            assert np.allclose(state.left_hand[:, :3], truth.left_hand[:, :3], atol=0.015)
