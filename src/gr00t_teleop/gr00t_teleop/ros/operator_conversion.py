# SPDX-License-Identifier: Apache-2.0
"""``OperatorState`` -> message. The way back needs no ROS and is in ``gr00t_teleop.operator_message``."""

from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from gr00t_msgs.msg import HandKeypoints
from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from numpy.typing import NDArray
from std_msgs.msg import Header

from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_teleop.types import KEYPOINTS, OperatorState, tracked


def state_to_message(state: OperatorState) -> OperatorStateMsg:
    """The message of a sample; what is not tracked has the identity as its pose and is marked not valid."""
    return OperatorStateMsg(
        header=Header(stamp=stamp_from_ns(state.stamp_ns), frame_id=state.frame),
        source=state.source,
        sequence=state.sequence,
        engaged=state.engaged,
        left_hand=_hand(HandKeypoints.LEFT, state.left_hand),
        right_hand=_hand(HandKeypoints.RIGHT, state.right_hand),
        **_part("head", state.head),
        **_part("left_wrist", state.left_wrist),
        **_part("right_wrist", state.right_wrist),
    )


def _part(name: str, pose: NDArray[np.float64]) -> dict[str, Any]:
    is_valid = bool(tracked(pose))
    return {name: _pose(pose.tolist()) if is_valid else Pose(), f"{name}_is_valid": is_valid}


def _hand(hand: int, points: NDArray[np.float64]) -> HandKeypoints:
    valid: list[bool] = tracked(points).tolist()
    if not any(valid):
        return HandKeypoints(hand=hand)
    poses = [_pose(row) if good else Pose() for row, good in zip(points.tolist(), valid, strict=True)]
    return HandKeypoints(hand=hand, names=list(KEYPOINTS), poses=poses, is_valid=valid)


def _pose(numbers: list[float]) -> Pose:
    x, y, z, qx, qy, qz, qw = numbers
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
