# SPDX-License-Identifier: Apache-2.0
"""``gr00t_msgs/OperatorState`` -> ``OperatorState``, for messages of ROS and of a bag alike. Imports no ROS."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.types import KEYPOINTS, POSE_SIZE, OperatorState, untracked

_PLACE = {name: place for place, name in enumerate(KEYPOINTS)}


def state_from_message(message: Any) -> OperatorState:
    """The sample of a message. What is not valid, and key points that are not named, are NaN. Raises MessageError."""
    stamp = message.header.stamp
    return OperatorState(
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        frame=message.header.frame_id,
        source=message.source,
        sequence=int(message.sequence),
        engaged=bool(message.engaged),
        head=_pose(message.head, message.head_is_valid),
        left_wrist=_pose(message.left_wrist, message.left_wrist_is_valid),
        right_wrist=_pose(message.right_wrist, message.right_wrist_is_valid),
        left_hand=_hand(message.left_hand),
        right_hand=_hand(message.right_hand),
    )


def pose_numbers(pose: Any) -> NDArray[np.float64]:
    """geometry_msgs/Pose -> (7,) position x y z and quaternion x y z w, unchecked."""
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w], np.float64)


def _pose(pose: Any, is_valid: bool) -> NDArray[np.float64]:
    return pose_numbers(pose) if is_valid else untracked()


def _hand(hand: Any) -> NDArray[np.float64]:
    names = list(hand.names)
    if len(hand.poses) != len(names) or len(hand.is_valid) != len(names):
        raise MessageError(
            f"hand key points: {len(names)} names, {len(hand.poses)} poses, {len(hand.is_valid)} is_valid; expected equal"
        )
    unknown = [name for name in names if name not in _PLACE]
    if unknown:
        raise MessageError(f"hand key points: unknown name '{unknown[0]}'; known: {', '.join(KEYPOINTS)}")
    points = np.full((len(KEYPOINTS), POSE_SIZE), np.nan)
    for name, pose, is_valid in zip(names, hand.poses, hand.is_valid, strict=True):
        points[_PLACE[name]] = _pose(pose, is_valid)
    return points
