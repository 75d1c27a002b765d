# SPDX-License-Identifier: Apache-2.0
"""The robot's camera as a program of its own, which can be killed alone. Shows noise, 20 times a second."""

import sys
import time

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from gr00t_bringup.ros.until_stopped import ros_until_stopped
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.ros import qos
from gr00t_policy.ros.messages import rgb_to_image
from gr00t_policy.runtime.pacing import PacedLoop

_PRIORITY = 25  # SCHED_FIFO, as the simulator's camera


def main() -> int:
    camera = load_embodiment("gr1").cameras[0]
    rng = np.random.default_rng(0)
    with ros_until_stopped() as is_stopped:
        node = Node("lone_camera", start_parameter_services=False)
        publisher = node.create_publisher(Image, f"camera/{camera.name}/image_raw", qos.SENSOR)

        def show(now_ns: int) -> None:
            stamp_ns = time.time_ns()
            picture = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
            publisher.publish(rgb_to_image(picture, stamp_ns, camera.frame_id))

        loop = PacedLoop("camera", camera.rate_hz, show, _PRIORITY)
        loop.start()
        while not is_stopped():
            time.sleep(0.1)
        loop.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
