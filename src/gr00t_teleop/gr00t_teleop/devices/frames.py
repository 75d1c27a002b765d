# SPDX-License-Identifier: Apache-2.0
"""Poses of headsets in the suite's frame: the one place where axes are turned.

Headsets (WebXR, ARKit, OpenXR): x right, y up, z backwards. The suite (REP 103): x forward, y left, z up. Both the
world's axes and the body's own are turned, so an upright head that looks ahead, and a hand with the palm down and the
fingers ahead, have no rotation: x of a wrist points along the hand, z out of its back.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import from_matrix, to_matrix
from gr00t_teleop.types import KEYPOINTS

Array = NDArray[np.float64]

# Columns: where a headset's x (right), y (up) and z (back) go.
ROS_FROM_Y_UP: Array = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# MVN's world is ours; its segments have the world's axes in a T pose, palms down: a left hand then points to y, a right
# one to -y. The turns (7,) from a hand's or finger's segment to our axes, x along it and z out of its back.
OURS_FROM_MVN_HAND: dict[str, Array] = {
    "left": np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]),
    "right": np.array([0.0, 0.0, 0.0, 0.0, 0.0, -np.sqrt(0.5), np.sqrt(0.5)]),
}
# Our wrist in WebXR's gripSpace, by hand. A grip's z lies along a rod in the fist, away from the thumb; its x is normal to the
# palm, out of the back of a right hand and out of the palm of a left one (WebXR Device API, XRInputSource.gripSpace), hence
# its y runs from the fingers back to the forearm. Its origin is the middle of the fist, 65 mm ahead of the wrist joint
# and 40 mm to the palm's side: so between grip and wrist of the hand that Meta's emulator has recorded.
WRIST_IN_GRIP: dict[str, Array] = {
    "left": np.array([[0.0, 0.0, -1.0, -0.04], [-1.0, 0.0, 0.0, 0.065], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
    "right": np.array([[0.0, 0.0, 1.0, 0.04], [-1.0, 0.0, 0.0, 0.065], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
}
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]
_NO_TURN: Array = np.eye(3)
_NOT_ORTHONORMAL = 1e-2  # float32 round-off of a headset's matrix is below 1e-5; a wrong layout is not
_WRIST, _MIDDLE = KEYPOINTS.index("wrist"), KEYPOINTS.index("middle_proximal")
_INDEX, _LITTLE = KEYPOINTS.index("index_proximal"), KEYPOINTS.index("little_proximal")


def poses_from_y_up(matrices: NDArray[np.floating], body_axes: Array = ROS_FROM_Y_UP.T) -> Array:
    """Rigid transforms (..., 4, 4), acting on columns, in a headset's frame -> poses (..., 7) in ours.

    body_axes (3, 3): its columns are our x, y, z in the body's own axes; the default is for bodies with the world's.
    What is no rotation (NaN, all zero, a reflection) becomes a quaternion of NaN.
    """
    given = np.asarray(matrices, np.float64)
    turned = np.broadcast_to(np.eye(4), given.shape).copy()
    with np.errstate(invalid="ignore"):
        turned[..., :3, :3] = ROS_FROM_Y_UP @ given[..., :3, :3] @ body_axes
        turned[..., :3, 3] = given[..., :3, 3] @ ROS_FROM_Y_UP.T
    return poses_from_matrices(turned)


def wrist_from_grip(grip: NDArray[np.floating], side: Literal["left", "right"]) -> Array:
    """WebXR's pose of what is held in a hand, a transform (4, 4) -> pose (7,) of that hand's wrist in our frame."""
    wrist = WRIST_IN_GRIP[side]
    with np.errstate(invalid="ignore"):
        given = np.asarray(grip, np.float64).copy()
        given[:3, 3] = given[:3, :3] @ wrist[:3, 3] + given[:3, 3]
    return poses_from_y_up(given, wrist[:3, :3])


def turned_from_y_up(poses: Array) -> Array:
    """Poses (..., 7) in axes x right, y up, z back, bodies too -> poses (..., 7) in ours; NaN stays where it was.

    What ``poses_from_y_up`` does, for poses that come as numbers: conjugation turns the axis of a rotation, not its angle.
    """
    turned = np.array(poses, np.float64)
    turned[..., :3] = poses[..., :3] @ ROS_FROM_Y_UP.T
    turned[..., 3:6] = poses[..., 3:6] @ ROS_FROM_Y_UP.T
    return turned


def composed(first: Array, second: Array) -> Array:
    """The pose ``second`` (..., 7), given in the frame of ``first`` (..., 7), in the frame that ``first`` is given in."""
    v, w = first[..., 3:6], first[..., 6:7]
    position = first[..., :3] + _rotated(v, w, second[..., :3])
    other_v, other_w = second[..., 3:6], second[..., 6:7]
    vector = w * other_v + other_w * v + _cross(v, other_v)
    scalar = w * other_w - (v * other_v).sum(axis=-1, keepdims=True)
    return np.concatenate([position, vector, scalar], axis=-1)


def inverse(pose: Array) -> Array:
    """The pose (..., 7) that, composed with ``pose``, is none."""
    back = pose[..., 3:6] * -1.0
    return np.concatenate([-_rotated(back, pose[..., 6:7], pose[..., :3]), back, pose[..., 6:7]], axis=-1)


def mirrored(poses: Array) -> Array:
    """Poses (..., 7) of left-handed axes in right-handed ones, and the other way: x turns its sign."""
    return np.asarray(poses * np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0]))


def _rotated(v: Array, w: Array, points: Array) -> Array:
    return np.asarray(points + 2.0 * _cross(v, _cross(v, points) + w * points))


def _cross(a: Array, b: Array) -> Array:
    """What ``numpy.cross`` gives for (..., 3), in less than half its time for so few numbers."""
    return np.asarray(a[..., _NEXT] * b[..., _AFTER] - a[..., _AFTER] * b[..., _NEXT])


def matrices_to_y_up(poses: Array) -> Array:
    """Inverse of ``poses_from_y_up`` for bodies with the world's axes: poses (..., 7) -> transforms (..., 4, 4).

    A quaternion of zeros, which is nothing that was seen, becomes no turn.
    """
    quaternions = poses[..., [6, 3, 4, 5]].copy()
    quaternions[(quaternions == 0.0).all(axis=-1), 0] = 1.0
    turned = np.zeros((*poses.shape[:-1], 4, 4))
    turned[..., :3, :3] = ROS_FROM_Y_UP.T @ to_matrix(quaternions, "quaternion") @ ROS_FROM_Y_UP
    turned[..., :3, 3] = poses[..., :3] @ ROS_FROM_Y_UP
    turned[..., 3, 3] = 1.0
    return turned


def poses_from_matrices(matrices: Array) -> Array:
    """Rigid transforms (..., 4, 4) -> poses (..., 7) without turning any axis; a quaternion of NaN where it is none."""
    rigid = is_rigid(matrices)
    rotations = np.where(rigid[..., None, None], matrices[..., :3, :3], _NO_TURN)
    wxyz = from_matrix(rotations, "quaternion")
    quaternions = np.where(rigid[..., None], wxyz[..., [1, 2, 3, 0]], np.nan)
    return np.concatenate([matrices[..., :3, 3], quaternions], axis=-1)


def is_rigid(matrices: Array) -> NDArray[np.bool_]:
    """Which of (..., 4, 4) are a finite rotation with a translation."""
    with np.errstate(invalid="ignore"):
        rotation = matrices[..., :3, :3]
        error = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - _NO_TURN).max(axis=(-1, -2))
        turns = _cross(rotation[..., 0], rotation[..., 1])
        handed = (turns * rotation[..., 2]).sum(axis=-1)
        finite = np.isfinite(matrices).all(axis=(-1, -2))
        return np.asarray(finite & (error < _NOT_ORTHONORMAL) & (handed > 0))


def wrist_axes_of_hand(joints: Array, hand: Literal["left", "right"]) -> Array | None:
    """How a device's wrist axes lie in our wrist: (3, 3) of whole numbers, columns are our axes in the device's.

    Devices disagree about the axes of a wrist, and some between their own left and right; the key points tell:
    joints (25, 3) are positions in the device's wrist frame. None while the hand gives no clear answer (a fist, NaN).
    """
    forward = joints[_MIDDLE] - joints[_WRIST]
    across = joints[_INDEX] - joints[_LITTLE] if hand == "right" else joints[_LITTLE] - joints[_INDEX]
    up = np.cross(forward, across)
    if not np.isfinite(up).all() or np.linalg.norm(up) < 1e-4:  # 1 cm by 1 cm: smaller than any palm
        return None
    x, z = _nearest_axis(forward), _nearest_axis(up)
    return np.stack([x, np.cross(z, x), z], axis=-1) if abs(x @ z) == 0 else None


def _nearest_axis(vector: Array) -> Array:
    axis = np.zeros(3)
    largest = int(np.abs(vector).argmax())
    axis[largest] = np.sign(vector[largest])
    return axis
