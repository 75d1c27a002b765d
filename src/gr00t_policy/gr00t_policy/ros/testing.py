# SPDX-License-Identifier: Apache-2.0
"""Messages of joints as rclpy's objects, for tests and their peers. The nodes themselves send and read bytes (``core``)."""

from array import array

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.types import JointCommand
from gr00t_policy.ros.messages import NS_PER_S, stamp_from_ns


def joint_state_message(order: JointOrder, positions: NDArray[np.floating], stamp_ns: int = 0) -> JointState:
    """Of (J,) positions [rad], model convention."""
    message = JointState(name=list(order.names), position=array("d", order.to_ros(positions).tobytes()))
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def command_message(command: JointCommand, order: JointOrder, from_ns: int) -> JointTrajectory:
    """One-point trajectory: header.stamp = ``from_ns``, the joint state it was computed from; reached at its stamp."""
    reach_ns = max(command.stamp_ns - from_ns, 0)
    point = JointTrajectoryPoint(
        positions=array("d", order.to_ros(command.positions).tobytes()),
        time_from_start=Duration(sec=reach_ns // NS_PER_S, nanosec=reach_ns % NS_PER_S),
    )
    return JointTrajectory(header=Header(stamp=stamp_from_ns(from_ns)), joint_names=list(order.names), points=[point])
