# SPDX-License-Identifier: Apache-2.0
"""Drivers of trackers and of a foot pedal over DDS, that can do what no tracker can be asked to do."""

import threading
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from made_people import moving
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_teleop.devices.frames import poses_from_y_up

SIDES = {"trackers/left_wrist": "left", "trackers/right_wrist": "right", "trackers/head": "head"}
# The clock of the trackers' machine has nothing to do with ours.
CLOCK_OFFSET_NS = 5_000_000_000_000


def true_pose(topic: str, t: float) -> np.ndarray:
    """Where the made-up person's part is at t [s], in our axes (7,)."""
    return poses_from_y_up(moving(SIDES[topic], t))


class FakeTrackers:
    """Sends the moving person. Attributes may be changed while it runs; sets name topics."""

    def __init__(self, context: Context, rate_hz: float = 60.0) -> None:
        self.node = Node("fake_trackers", context=context)
        self.rate_hz = rate_hz
        self.silent: set[str] = set()
        self.frozen: dict[str, float] = {}
        self.offset_m: dict[str, float] = {}
        self.broken: set[str] = set()
        self.frames: dict[str, str] = {}
        self.pressed: bool | None = False
        self.delay_s = 0.0
        self._under_way: list[tuple[float, Any, Any]] = []
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._poses = {topic: self.node.create_publisher(PoseStamped, topic, best_effort) for topic in SIDES}
        self._pedal = self.node.create_publisher(Bool, "clutch", 10)
        self.start()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def start(self) -> None:
        """What else a peer that is built on this one sends from."""

    def each_time(self) -> None:
        """What it sends with each round of poses."""

    def freeze(self, *topics: str) -> None:
        self.frozen = dict.fromkeys(topics, time.time())

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.node.destroy_node()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            now = time.time()
            for topic, publisher in self._poses.items():
                if topic not in self.silent:
                    self._send(publisher, self._message(topic, now))
            if self.pressed is not None:
                self._pedal.publish(Bool(data=self.pressed))
            self.each_time()
            due += 1 / self.rate_hz
            self._ending.wait(max(0.0, due - time.monotonic()))

    def _send(self, publisher: Any, message: PoseStamped) -> None:
        now = time.monotonic()
        self._under_way.append((now, publisher, message))
        while self._under_way and self._under_way[0][0] <= now - self.delay_s:
            _, sender, oldest = self._under_way.pop(0)
            sender.publish(oldest)

    def _message(self, topic: str, now: float) -> PoseStamped:
        message = PoseStamped()
        message.header.frame_id = self.frames.get(topic, "lighthouse")
        message.header.stamp = stamp_from_ns(int(now * 1e9) - CLOCK_OFFSET_NS)
        pose = true_pose(topic, self.frozen.get(topic, now))
        pose[0] += self.offset_m.get(topic, 0.0)
        if topic in self.broken:
            pose[:] = np.nan
        p, q = message.pose.position, message.pose.orientation
        p.x, p.y, p.z, q.x, q.y, q.z, q.w = pose.tolist()
        return message
