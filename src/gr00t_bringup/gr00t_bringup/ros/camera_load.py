# SPDX-License-Identifier: Apache-2.0
"""A camera that sends raw pictures of 640x480 at 30 Hz until it is told to stop: load for measurements. A program."""

import os
import signal
import sys
import time
from types import FrameType

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from gr00t_bringup.ros.token_sender import CAMERA
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import rgb_to_image
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.pacing import sleep_until_ns

_RATE_HZ = 30
_HEIGHT, _WIDTH = 480, 640


def main() -> int:
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    init_ros(args=sys.argv)
    publisher = Node("camera_load", start_parameter_services=False).create_publisher(Image, CAMERA, qos.SENSOR)
    picture = np.frombuffer(os.urandom(_HEIGHT * _WIDTH * 3), np.uint8).reshape(_HEIGHT, _WIDTH, 3)
    next_ns = time.monotonic_ns()
    while not stopped:
        publisher.publish(rgb_to_image(picture, time.time_ns(), "camera"))
        next_ns = max(next_ns + 1_000_000_000 // _RATE_HZ, time.monotonic_ns())
        sleep_until_ns(next_ns)
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
