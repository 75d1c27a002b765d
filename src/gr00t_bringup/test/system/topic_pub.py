# SPDX-License-Identifier: Apache-2.0
"""``ros2 topic pub TOPIC std_msgs/msg/String "data: ..."`` of ROS 2 Jazzy where its command line is not installed.

Does what that does: plain rclpy, the quality of service 'default' (reliable, volatile, 10), publishes once a second until it is
ended. Knows nothing of the suite.
"""

import sys
import time

import rclpy
from rclpy.qos import QoSPresetProfiles
from std_msgs.msg import String

_PERIOD_S = 1.0


def main() -> None:
    topic, text = sys.argv[1:]
    rclpy.init()
    node = rclpy.create_node("_ros2cli_1")
    publisher = node.create_publisher(String, topic, QoSPresetProfiles.get_from_short_key("default"))
    while True:
        publisher.publish(String(data=text))
        time.sleep(_PERIOD_S)


if __name__ == "__main__":
    main()
