# SPDX-License-Identifier: Apache-2.0
"""A human hand as a headset sees it: 25 key points from the bend of the fingers. Proportions are a person's, not the robot's.

Axes of a wrist as everywhere in the suite: x along the hand, z out of its back; y points to the right hand's thumb and
away from the left hand's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import from_matrix
from gr00t_teleop.retargeting.pose import Matrix, Pose
from gr00t_teleop.types import KEYPOINTS

# An adult's right hand, 18.5 cm from wrist to middle finger tip, joint centres [m]: knuckles, then the three bones of
# each finger; tips lie inside the flesh, as headsets report them.
_KNUCKLES = {
    "index": (0.091, 0.026, 0.000),
    "middle": (0.092, 0.004, 0.002),
    "ring": (0.086, -0.016, 0.000),
    "little": (0.077, -0.034, -0.003),
}
_BONES = {
    "index": (0.044, 0.026, 0.019),
    "middle": (0.048, 0.030, 0.020),
    "ring": (0.045, 0.029, 0.020),
    "little": (0.035, 0.020, 0.018),
}
_SPLAY_RAD = {"index": 0.06, "middle": 0.0, "ring": -0.05, "little": -0.12}
_THUMB_ROOT, _THUMB_BONES = (0.022, 0.024, -0.010), (0.045, 0.033, 0.026)
_DISTAL_SHARE = 0.6  # the last joint of a finger bends with the one before
_MIRROR = np.diag([1.0, -1.0, 1.0])


@dataclass(frozen=True)
class HandShape:
    """How the fingers are bent [rad]. knuckles and middles: index, middle, ring, little; middles is the second joint.

    opposition: where the thumb points about the hand's x axis: 0 beside the hand, pi/2 straight out of the palm.
    spread: of the thumb from the x axis; thumb_bends: of its two outer joints, towards the fingers.
    """

    knuckles: tuple[float, float, float, float]
    middles: tuple[float, float, float, float]
    opposition: float
    spread: float
    thumb_bends: tuple[float, float]

    def numbers(self) -> NDArray[np.float64]:
        """All angles (12,), in the order of the fields."""
        return np.array([*self.knuckles, *self.middles, self.opposition, self.spread, *self.thumb_bends])


def shape_from(numbers: NDArray[np.float64]) -> HandShape:
    """Inverse of ``HandShape.numbers``."""
    one, two, three, four, *rest = (float(number) for number in numbers)
    return HandShape(
        (one, two, three, four), (rest[0], rest[1], rest[2], rest[3]), rest[4], rest[5], (rest[6], rest[7])
    )


def blend(start: HandShape, end: HandShape, part: float) -> HandShape:
    """The shape a ``part`` (0..1) of the way."""
    return shape_from((1.0 - part) * start.numbers() + part * end.numbers())


RELAXED = HandShape((0.35,) * 4, (0.40,) * 4, 0.7, 0.5, (0.15, 0.15))
OPEN = HandShape((0.05,) * 4, (0.08,) * 4, 1.45, 1.15, (0.05, 0.05))
"""Open around a thing of a fist's size: the thumb stands off the palm."""
GRASP = HandShape((0.95,) * 4, (1.00,) * 4, 1.50, 0.95, (0.35, 0.35))
"""Closed about as far as around a broomstick."""
CLUTCH = HandShape((0.30, 0.35, 0.50, 0.95), (0.30, 0.40, 0.60, 0.75), 2.25, 1.15, (0.35, 0.35))
"""The thumb on the little finger: the gesture that closes or opens the clutch."""


def keypoints(side: str, shape: HandShape, wrist: Pose, size: float = 1.0) -> NDArray[np.float64]:
    """Poses (25, 7) of a hand of ``size`` times an adult's; x of each points along its bone, z out of the hand's back."""
    placed: dict[str, tuple[NDArray[np.float64], Matrix]] = {"wrist": (np.zeros(3), np.eye(3))}
    placed |= _thumb(shape)
    for index, finger in enumerate(_KNUCKLES):
        placed |= _finger(finger, shape.knuckles[index], shape.middles[index])
    points = np.array([placed[name][0] for name in KEYPOINTS])
    turned = np.array([placed[name][1] for name in KEYPOINTS])
    if side == "left":
        points, turned = points @ _MIRROR, _MIRROR @ turned @ _MIRROR
    places = wrist.position + size * points @ wrist.rotation.T
    return np.hstack([places, from_matrix(wrist.rotation @ turned, "quaternion")[:, [1, 2, 3, 0]]])


def _finger(name: str, knuckle: float, middle: float) -> dict[str, tuple[NDArray[np.float64], Matrix]]:
    point = np.array(_KNUCKLES[name])
    placed = {f"{name}_metacarpal": (0.35 * point, np.eye(3))}
    splay, bend = _about_z(_SPLAY_RAD[name] * np.cos(knuckle)), 0.0
    turns = (knuckle, middle, _DISTAL_SHARE * middle)
    for part, turn, length in zip(("proximal", "intermediate", "distal"), turns, _BONES[name], strict=True):
        bend += turn
        turned = splay @ _about_y(bend)
        placed[f"{name}_{part}"] = (point, turned)
        point = point + length * turned[:, 0]
    placed[f"{name}_tip"] = (point, turned)
    return placed


def _thumb(shape: HandShape) -> dict[str, tuple[NDArray[np.float64], Matrix]]:
    """In the plane through the hand's x axis that the opposition chooses; its bends turn it towards the x axis."""
    aside = np.array([0.0, np.cos(shape.opposition), -np.sin(shape.opposition)])
    normal = np.cross(np.array([1.0, 0.0, 0.0]), aside)
    point, angle, placed = np.array(_THUMB_ROOT), shape.spread, {}
    bends = (0.0, *shape.thumb_bends)
    for part, bend, length in zip(("metacarpal", "proximal", "distal"), bends, _THUMB_BONES, strict=True):
        angle -= bend
        along = np.array([np.cos(angle), 0.0, 0.0]) + np.sin(angle) * aside
        turned = np.stack([along, np.cross(normal, along), normal], axis=1)
        placed[f"thumb_{part}"] = (point, turned)
        point = point + length * along
    placed["thumb_tip"] = (point, turned)
    return placed


def _about_y(angle: float) -> Matrix:
    """Bends a finger that points along x towards the palm (-z)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def _about_z(angle: float) -> Matrix:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
