# SPDX-License-Identifier: Apache-2.0
"""The rated load of the recorder, from real publishers in a process of its own: cameras, joint topics, tokens. A program.

Its argument is the file for the counts; with ``cameras`` behind it only those are sent. On SIGINT or SIGTERM it stops sending,
waits until what is reliable has arrived, and writes how many messages it sent.
"""

import json
import os
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_msgs.msg import ConditioningTokens
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from gr00t_bringup.ros.until_stopped import ros_until_stopped
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import stamp_from_ns

_TICK_HZ = 120
_JOINTS = 44
_JPEG_BYTES = 60_000  # of a 640x480 picture; random bytes, as incompressible as jpeg
_TOKEN_BYTES = 300_000
_PICTURES = 16  # different ones, in turn
_LINGER_S = 1.0


@dataclass(frozen=True)
class LoadTopic:
    """One topic: every ``every``-th tick of 120 Hz."""

    name: str
    kind: type
    profile: QoSProfile
    every: int

    @property
    def rate_hz(self) -> float:
        return _TICK_HZ / self.every


CAMERAS = tuple(
    LoadTopic(f"camera/{name}/image_raw/compressed", CompressedImage, qos.SENSOR, 4) for name in ("ego_view", "side")
)
TOPICS = (
    *CAMERAS,
    *(LoadTopic(name, JointState, qos.SENSOR, 1) for name in ("joint_states", "hands/joint_states")),
    *(LoadTopic(f"{name}joint_trajectory", JointTrajectory, qos.COMMAND, 1) for name in ("", "teleop/", "policy/")),
    LoadTopic("conditioning_tokens", ConditioningTokens, qos.NEWEST, 12),
)


class Load:
    """Sends; ``sent`` counts the messages by full topic name."""

    def __init__(self, node: Node, topics: Sequence[LoadTopic] = TOPICS) -> None:
        self._publishers = [(topic, node.create_publisher(topic.kind, topic.name, topic.profile)) for topic in topics]
        self.sent = {publisher.topic_name: 0 for _, publisher in self._publishers}
        self._pictures = [array("B", os.urandom(_JPEG_BYTES)) for _ in range(_PICTURES)]
        self._tokens = array("B", os.urandom(_TOKEN_BYTES))
        self._names = [f"joint_{i}" for i in range(_JOINTS)]

    def tick(self, number: int) -> None:
        for topic, publisher in self._publishers:
            if number % topic.every == 0:
                publisher.publish(self._message(topic.kind, number))
                self.sent[publisher.topic_name] += 1

    def _message(self, kind: type, number: int) -> Any:
        stamp, values = stamp_from_ns(time.time_ns()), array("d", [number / _TICK_HZ] * _JOINTS)
        if kind is JointTrajectory:
            message = JointTrajectory(joint_names=self._names, points=[JointTrajectoryPoint(positions=values)])
        elif kind is JointState:
            message = JointState(name=self._names, position=values, velocity=values)
        elif kind is CompressedImage:
            message = CompressedImage(format="jpeg", data=self._pictures[number % _PICTURES])
        else:
            message = ConditioningTokens(data=self._tokens, sequence=number)
        message.header.stamp = stamp
        return message


def main() -> int:
    """Send until told to stop; write the counts to the file named on the command line."""
    with ros_until_stopped() as is_stopped:
        topics = CAMERAS if sys.argv[2:3] == ["cameras"] else TOPICS
        load = Load(Node("record_load", start_parameter_services=False), topics)
        tick, next_s = 0, time.monotonic()
        while not is_stopped():
            load.tick(tick)
            tick, next_s = tick + 1, next_s + 1 / _TICK_HZ
            time.sleep(max(next_s - time.monotonic(), 0.0))
            next_s = max(next_s, time.monotonic() - 1 / _TICK_HZ)  # a late tick is not made up for by a burst
        time.sleep(_LINGER_S)
        Path(sys.argv[1]).write_text(json.dumps(load.sent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
