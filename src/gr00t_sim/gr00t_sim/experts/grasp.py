# SPDX-License-Identifier: Apache-2.0
"""Where a hand must be to pick an object from above, and how its fingers stand open and closed.

Written for the right hand in the world frame; the left hand is its mirror image in the x-z plane.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIRROR = np.diag([1.0, -1.0, 1.0])
PICK_YAW_RAD = 0.42
PLACE_YAW_RAD = 0.67
_PITCH_RAD, _ROLL_RAD = 0.55, -1.38
_SITE_OFFSET_M = np.array([-0.006, -0.014, 0.010])  # grasp site relative to the object's centre


@dataclass(frozen=True)
class HandShape:
    """Finger joints open and closed (6,): little, ring, middle, index, thumb yaw, thumb pitch [rad]."""

    open: NDArray[np.float64]
    closed: NDArray[np.float64]


TOP_GRASP = HandShape(
    np.array([0.09, 0.09, 0.09, 0.09, 1.63, 0.09]),
    np.array([0.92, 0.92, 0.92, 0.92, 1.63, 0.80]),
)


PINCH = HandShape(np.array([0.16, 0.16, 0.16, 0.16, 1.63, 0.10]), np.array([1.09, 1.09, 1.09, 1.09, 1.63, 0.80]))
FIST = HandShape(TOP_GRASP.open, np.array([1.50, 1.50, 1.50, 1.50, 0.60, 0.30]))
SIDE_GRASP = HandShape(np.array([0.05, 0.05, 0.05, 0.05, 1.65, 0.05]), np.array([1.30, 1.30, 1.30, 1.30, 1.65, 0.90]))
"""For upright cylinders of 5 to 7 cm, grasped from the side."""
FLAT = HandShape(TOP_GRASP.open, np.array([0.60, 0.60, 0.60, 0.60, 0.30, 0.20]))
"""For pushing: fingers slightly bent, thumb out of the way."""


def hand_rotation(side: str, yaw_rad: float, pitch_rad: float, roll_rad: float) -> NDArray[np.float64]:
    """Rotation (3, 3) of the grasp site, yaw then pitch then roll as for the right hand; mirrored for the left."""
    rotation = _rz(yaw_rad) @ _ry(pitch_rad) @ _rx(roll_rad)
    return rotation if side == "right" else MIRROR @ rotation @ MIRROR


def top_grasp_rotation(side: str, yaw_rad: float) -> NDArray[np.float64]:
    """Rotation (3, 3) of the grasp site for a grasp from above; yaw is the right hand's, mirrored for the left."""
    return hand_rotation(side, yaw_rad, _PITCH_RAD, _ROLL_RAD)


def top_grasp_position(side: str, object_centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position (3,) of the grasp site that closes the fingers around an object's centre."""
    offset = _SITE_OFFSET_M if side == "right" else MIRROR @ _SITE_OFFSET_M
    return object_centre + offset


def face_aligned_yaw(side: str, cube_yaw_rad: float) -> float:
    """The grasp yaw that meets a cube's faces, nearest to the comfortable one (right hand's convention)."""
    yaw = cube_yaw_rad if side == "right" else -cube_yaw_rad
    return PICK_YAW_RAD + float((yaw - PICK_YAW_RAD + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _rx(a: float) -> NDArray[np.float64]:
    return np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])


def _ry(a: float) -> NDArray[np.float64]:
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def _rz(a: float) -> NDArray[np.float64]:
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
