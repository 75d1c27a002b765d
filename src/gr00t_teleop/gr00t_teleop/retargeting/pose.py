# SPDX-License-Identifier: Apache-2.0
"""Rigid poses as position and rotation matrix, and the few things that retargeting does with them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """position (3,) [m] and rotation (3, 3): the frame's axes are its columns."""

    position: Vector
    rotation: Matrix


def pose_from_numbers(numbers: Vector) -> Pose:
    """From x y z and the unit quaternion x y z w (7,), as in messages. Not for poses that are not tracked."""
    import pinocchio

    turn = pinocchio.Quaternion(numbers[3:7])  # x y z w
    turn.normalize()
    return Pose(numbers[:3].copy(), turn.toRotationMatrix())


def rotation_vector(rotation: Matrix) -> Vector:
    """Axis times angle (3,) [rad] of a rotation; the angle is 0 to pi."""
    import pinocchio

    return np.asarray(pinocchio.log3(rotation), np.float64)


def rotation_from_vector(vector: Vector) -> Matrix:
    """Inverse of ``rotation_vector``."""
    import pinocchio

    return np.asarray(pinocchio.exp3(vector), np.float64)


def turn_about_z(angle_rad: float) -> Matrix:
    """(3, 3) rotation about the upward axis."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
