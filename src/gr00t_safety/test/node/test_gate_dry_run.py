# SPDX-License-Identifier: Apache-2.0
"""In a dry run no robot hears the gate, wherever somebody has renamed the robot's topic to."""

from peers import Robot
from rclpy.node import Node
from spinner import Spinner
from trajectory_msgs.msg import JointTrajectory
from watched_node import until

from gr00t_policy.ros import qos

APART = "/dry"  # a namespace beside the gate that other tests share


def test_commands_of_a_dry_run_go_to_its_own_topic_also_where_the_robots_is_renamed(context, start_gate):
    node = Node("peers", namespace=APART, context=context)
    heard: list[str] = []
    for topic in ("/drives/joint_trajectory", "dry_run/joint_trajectory"):
        node.create_subscription(JointTrajectory, topic, lambda _, topic=topic: heard.append(topic), qos.COMMAND)
    robot, spinner = Robot(node), Spinner(context, node)
    robot.loop.start()
    renamed = ("-r", f"__ns:={APART}", "-r", "joint_trajectory:=/drives/joint_trajectory")
    start_gate(*renamed, "-p", "dry_run:=true", "-p", "autostart:=true")
    try:
        until(lambda: len(heard) >= 60, 20.0)
        assert set(heard) == {"dry_run/joint_trajectory"}
        assert not robot.applied
    finally:
        robot.loop.stop()
        spinner.close()
        node.destroy_node()
