# SPDX-License-Identifier: Apache-2.0
"""What a device says about a person, as arrays. No ROS, no device, no clock.

All poses of one sample are in one frame, right-handed, x forward, y left, z up, metres. A pose is 7 numbers: position
x y z, then the unit quaternion x y z w, as in messages. What is not tracked is NaN in every number of its pose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError

# Wrist, thumb (4), then five per finger from the palm outwards: the order of WebXR. OpenXR's own array has the palm
# first, so its indices are one higher; that is why messages carry these names beside the poses.
KEYPOINTS: tuple[str, ...] = (
    "wrist",
    "thumb_metacarpal",
    "thumb_proximal",
    "thumb_distal",
    "thumb_tip",
    *(
        f"{finger}_{part}"
        for finger in ("index", "middle", "ring", "little")
        for part in ("metacarpal", "proximal", "intermediate", "distal", "tip")
    ),
)
POSE_SIZE = 7
_QUATERNION_TOLERANCE = 1e-3  # float32 round-off of a device's unit quaternion is below 1e-6; a wrong order is not


@dataclass(frozen=True)
class OperatorState:
    """One sample of the person who drives the robot.

    head, left_wrist, right_wrist: (7,) poses. left_hand, right_hand: (25, 7) key points in the order of ``KEYPOINTS``.
    stamp_ns: when the device sampled. frame: name of the frame of all poses. engaged: the person holds the clutch.
    sequence: counts this device's samples; a gap is a lost sample. Raises MessageError on wrong shapes and quaternions.
    """

    stamp_ns: int
    frame: str
    source: str
    sequence: int
    engaged: bool
    head: NDArray[np.float64]
    left_wrist: NDArray[np.float64]
    right_wrist: NDArray[np.float64]
    left_hand: NDArray[np.float64]
    right_hand: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("head", "left_wrist", "right_wrist"):
            _check_poses(name, getattr(self, name), (POSE_SIZE,))
        for name in ("left_hand", "right_hand"):
            _check_poses(name, getattr(self, name), (len(KEYPOINTS), POSE_SIZE))


def tracked(poses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the poses (..., 7) may be used: (...) bool, false where any number is not finite."""
    return np.asarray(np.isfinite(poses).all(axis=-1))


def untracked(count: int | None = None) -> NDArray[np.float64]:
    """The pose (7,), or ``count`` poses (count, 7), of what the device does not see."""
    return np.full((POSE_SIZE,) if count is None else (count, POSE_SIZE), np.nan)


def _check_poses(name: str, poses: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if poses.shape != shape:
        raise MessageError(f"operator state: '{name}' has shape {poses.shape}, expected {shape}")
    norms = np.linalg.norm(poses[tracked(poses)][..., 3:], axis=-1)
    wrong = norms[np.abs(norms - 1.0) > _QUATERNION_TOLERANCE]
    if wrong.size:
        raise MessageError(f"operator state: '{name}' has a quaternion (x y z w) of length {wrong[0]:.3g}, expected 1")
