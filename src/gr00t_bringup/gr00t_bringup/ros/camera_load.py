# SPDX-License-Identifier: Apache-2.0
"""A camera that sends raw pictures of 640x480 at 30 Hz until it is told to stop: load for measurements. A program."""

import os
import sys
import time

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from gr00t_bringup.ros.token_sender import CAMERA
from gr00t_bringup.ros.until_stopped import ros_until_stopped
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import rgb_to_image
from gr00t_policy.runtime.pacing import sleep_until_ns

_RATE_HZ = 30
_HEIGHT, _WIDTH = 480, 640


def main() -> int:
    picture = np.frombuffer(os.urandom(_HEIGHT * _WIDTH * 3), np.uint8).reshape(_HEIGHT, _WIDTH, 3)
    with ros_until_stopped() as is_stopped:
        publisher = Node("camera_load", start_parameter_services=False).create_publisher(Image, CAMERA, qos.SENSOR)
        next_ns = time.monotonic_ns()
        while not is_stopped():
            publisher.publish(rgb_to_image(picture, time.time_ns(), "camera"))
            next_ns = max(next_ns + 1_000_000_000 // _RATE_HZ, time.monotonic_ns())
            sleep_until_ns(next_ns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
