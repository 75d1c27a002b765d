# SPDX-License-Identifier: Apache-2.0
"""From a head's rotation to the GR-1's neck: roll, then pitch, then yaw, each about the axis the one before has turned."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import from_matrix, to_matrix

_ORDER = "euler_angles_rpy"
JOINTS = ("head_roll_joint", "head_pitch_joint", "head_yaw_joint")


def neck_rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) of the head in the torso for roll, pitch, yaw (3,) [rad]."""
    return to_matrix(angles, _ORDER)


def neck_angles(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of ``neck_rotation`` for pitch within a quarter turn."""
    return from_matrix(rotation, _ORDER)
