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
_SHAPES = {
    **dict.fromkeys(("head", "left_wrist", "right_wrist"), (POSE_SIZE,)),
    **dict.fromkeys(("left_hand", "right_hand"), (len(KEYPOINTS), POSE_SIZE)),
}


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
        for name, shape in _SHAPES.items():
            if getattr(self, name).shape != shape:
                raise MessageError(f"operator state: '{name}' has shape {getattr(self, name).shape}, expected {shape}")
        parts = [self.head, self.left_wrist, self.right_wrist, self.left_hand.ravel(), self.right_hand.ravel()]
        if _wrong_length(np.concatenate(parts).reshape(-1, POSE_SIZE)) is None:  # at once: ten small checks take 0.1 ms
            return
        for name in _SHAPES:
            length = _wrong_length(getattr(self, name).reshape(-1, POSE_SIZE))
            if length is not None:
                raise MessageError(
                    f"operator state: '{name}' has a quaternion (x y z w) of length {length:.3g}, expected 1"
                )


def tracked(poses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the poses (..., 7) may be used: (...) bool, false where any number is not finite."""
    return np.asarray(np.isfinite(poses).all(axis=-1))


def untracked(count: int | None = None) -> NDArray[np.float64]:
    """The pose (7,), or ``count`` poses (count, 7), of what the device does not see."""
    return np.full((POSE_SIZE,) if count is None else (count, POSE_SIZE), np.nan)


def _wrong_length(poses: NDArray[np.float64]) -> float | None:
    """Of the first quaternion of tracked poses (N, 7) that is no rotation; None when all are."""
    turns = poses[:, 3:]
    lengths = np.sqrt((turns * turns).sum(axis=1))
    wrong = lengths[(np.abs(lengths - 1.0) > _QUATERNION_TOLERANCE) & tracked(poses)]
    return float(wrong[0]) if wrong.size else None
