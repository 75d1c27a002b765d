# SPDX-License-Identifier: Apache-2.0
"""A person who moves smoothly, in a headset's frame (x right, y up, z back) and as samples in ours."""

from typing import Literal

import numpy as np

from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.frames import poses_from_y_up
from gr00t_teleop.types import KEYPOINTS

_FINGERS_ACROSS_M = {"thumb": 0.05, "index": 0.03, "middle": 0.01, "ring": -0.01, "little": -0.03}
_PARTS_AHEAD_M = (0.03, 0.09, 0.12, 0.14, 0.16)


def turn(axis: int, angle: float) -> np.ndarray:
    """4x4 rotation about one axis."""
    matrix, (b, c) = np.eye(4), ((axis + 1) % 3, (axis + 2) % 3)
    matrix[b, b] = matrix[c, c] = np.cos(angle)
    matrix[c, b], matrix[b, c] = np.sin(angle), -np.sin(angle)
    return matrix


def shift(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def open_hand(side: Literal["left", "right"]) -> np.ndarray:
    """Joints (25, 4, 4) relative to a WebXR wrist (-z along the hand, y out of its back), flat and spread."""
    thumb_side = -1.0 if side == "right" else 1.0  # palm down, the right thumb points left
    joints = [np.eye(4)]
    for finger in ("thumb", "index", "middle", "ring", "little"):
        ahead = _PARTS_AHEAD_M[1:] if finger == "thumb" else _PARTS_AHEAD_M
        joints += [shift(thumb_side * _FINGERS_ACROSS_M[finger], 0.0, -along) for along in ahead]
    return np.array(joints)


def moving(side: Literal["head", "left", "right"], t: float) -> np.ndarray:
    """4x4 pose at time t [s]: slow swings no device would call a jump, never the same twice."""
    across = {"head": 0.0, "left": -0.2, "right": 0.2}[side]
    height, ahead = (1.6, 0.0) if side == "head" else (1.1, 0.35)
    swing = shift(across + 0.1 * np.sin(1.1 * t + across), height + 0.1 * np.sin(1.7 * t), -ahead)
    return swing @ turn(1, 0.3 * np.sin(0.9 * t)) @ turn(0, 0.2 * np.sin(1.3 * t))


def sample(t: float, sequence: int = 0, epoch: int = 1, clutch: bool = False, **poses: np.ndarray) -> DeviceSample:
    """What a device says of the moving person at t [s], on a device clock that began at 0."""
    made = {
        "head": poses_from_y_up(moving("head", t)),
        "left_wrist": poses_from_y_up(moving("left", t)),
        "right_wrist": poses_from_y_up(moving("right", t)),
        "left_hand": poses_from_y_up(moving("left", t) @ open_hand("left")),
        "right_hand": poses_from_y_up(moving("right", t) @ open_hand("right")),
    }
    return DeviceSample(int(t * 1e9), sequence, epoch, clutch, **{**made, **poses})


assert len(open_hand("left")) == len(KEYPOINTS)
