# SPDX-License-Identifier: Apache-2.0
"""Key points of a plain hand, more or less closed, for devices that have a button instead of fingers."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import to_matrix
from gr00t_teleop.devices.frames import poses_from_matrices
from gr00t_teleop.types import KEYPOINTS

Array = NDArray[np.float64]

# An adult's hand, rounded to 5 mm [m]: from the wrist to the knuckle ahead and to the thumb's side, then three bones.
_KNUCKLES_M = {
    "thumb": (0.025, 0.03),
    "index": (0.09, 0.025),
    "middle": (0.09, 0.005),
    "ring": (0.085, -0.015),
    "little": (0.08, -0.035),
}
_BONES_M = {"thumb": (0.045, 0.03, 0.025)} | dict.fromkeys(("index", "middle", "ring", "little"), (0.045, 0.025, 0.02))
_METACARPAL_AHEAD_M = 0.03
_CLOSED_RAD = (1.2, 1.4, 0.9)  # bend of the three joints of a finger in a fist around a handle
_STEPS = 100  # of closing: finer than any finger of a robot is driven
_THUMB_AWAY_RAD = 0.7  # an open thumb points to its side


def simple_hand(wrist: Array, side: Literal["left", "right"], closing: float) -> Array:
    """Key points (25, 7) in the frame of the wrist's pose (7,); closing from 0 (flat) to 1 (fist)."""
    base = np.eye(4)
    base[:3, :3], base[:3, 3] = to_matrix(wrist[[6, 3, 4, 5]], "quaternion"), wrist[:3]
    return poses_from_matrices(base @ _relative(side, round(closing * _STEPS) / _STEPS))


@lru_cache(maxsize=2 * (_STEPS + 1))
def _relative(side: Literal["left", "right"], closing: float) -> Array:
    """Joints (25, 4, 4) relative to the wrist; kept, since a hand mostly rests."""
    to_thumb = 1.0 if side == "right" else -1.0  # palm down, y to the left
    points = [np.eye(4)]
    for finger in _KNUCKLES_M:
        points += _finger(finger, to_thumb, closing)
    assert len(points) == len(KEYPOINTS)
    return np.stack(points)


def _finger(finger: str, to_thumb: float, closing: float) -> list[Array]:
    """Joints of one finger from the palm outwards, 4 for the thumb and 5 for the others."""
    ahead_m, across_m = _KNUCKLES_M[finger]
    place = np.eye(4)
    place[:2, 3] = ahead_m, to_thumb * across_m
    if finger == "thumb":
        place[:3, :3] = to_matrix(np.array([0.0, 0.0, to_thumb * _THUMB_AWAY_RAD * (1 - closing)]), "axis_angle")
        joints = [place]
    else:
        metacarpal = place.copy()
        metacarpal[0, 3] = _METACARPAL_AHEAD_M
        joints = [metacarpal, place]
    for bone_m, closed_rad in zip(_BONES_M[finger], _CLOSED_RAD, strict=True):
        bend = np.eye(4)
        bend[:3, :3] = to_matrix(np.array([0.0, closing * closed_rad, 0.0]), "axis_angle")
        bend[:3, 3] = bend[:3, :3] @ (bone_m, 0.0, 0.0)
        joints.append(joints[-1] @ bend)
    return joints
