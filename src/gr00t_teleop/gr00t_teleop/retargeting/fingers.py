# SPDX-License-Identifier: Apache-2.0
"""From the key points of a person's hand to the six driven joints of a Fourier hand: a small least-squares problem with limits.

Rows: every finger tip where the person has it, seen from its knuckle and in the size of the robot's finger; and the way from
each finger tip to the thumb's. When the person pinches these last weigh ten times as much: then the robot's tips must meet,
wherever that is. Fingers are measured against the palm, so that neither the wrist's pose nor the device's frame matters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.types import KEYPOINTS, tracked

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# The fingers of the hand's own joints and links; the person's little finger drives the pinky.
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
FINGER_RATIO, THUMB_RATIO = 0.975, 1.06  # coupled joints per driven joint, as in the manufacturer's URDF
PINCH_M = 0.040  # thumb and finger nearer than this: the person pinches
TOUCH_M = 0.012  # tips are inside the flesh: pads that touch are this far apart
_PINCH_WEIGHT = 10.0
_FADE_M = 0.015  # beyond ``PINCH_M``, over which the weight goes back to 1
_PALM_M = 0.01  # knuckles nearer than this to the wrist, or to one line with it, are no palm; a child's is 40 mm wide
_REACH_M = 1.0  # key points beyond this from the wrist are no hand
_DAMPING = 1e-6
_DAMPED = _DAMPING * np.eye(6)
_NO_ROWS = np.zeros((0, 6))  # of constraints beside the limits
_ITERATIONS = 2
_TRUST_RAD = 0.3

_HUMAN = {"pinky": "little"}
_CHAINS = {
    finger: [
        KEYPOINTS.index(f"{_HUMAN.get(finger, finger)}_{part}")
        for part in (
            ("metacarpal", "proximal", "distal", "tip")
            if finger == "thumb"
            else ("proximal", "intermediate", "distal", "tip")
        )
    ]
    for finger in FINGERS
}
_CHAIN_ROWS = np.array(list(_CHAINS.values()))  # (5, 4)
_PALM = [KEYPOINTS.index(name) for name in ("wrist", "index_proximal", "little_proximal")]
NEEDED = sorted({*_PALM, *(index for chain in _CHAINS.values() for index in chain)})


@dataclass(frozen=True)
class _Targets:
    """tips (5, 3) and ways from the four finger tips to the thumb's (4, 3), in the robot's palm [m]; weights (4,) of these."""

    tips: Matrix
    ways: Matrix
    weights: Vector


class HandRetargeting:
    """One hand: keeps the joint positions it last found, from which the next search starts."""

    def __init__(self, embodiment: Embodiment, side: str) -> None:
        mark = side[0].upper()
        joints = tuple(joint for joint in embodiment.joints if joint.group == f"{side}_hand")
        self.names = tuple(joint.name for joint in joints)
        self._lower = np.array([joint.lower_rad for joint in joints])
        self._upper = np.array([joint.upper_rad for joint in joints])
        self._model = RobotModel(embodiment, self.names, hand_followers(mark))
        self._tips = [self._model.frame(f"{mark}_{finger}_tip_link") for finger in FINGERS]
        self._model.update(np.zeros(len(joints)))
        palm = [self._origin(f"{mark}_{part}_link") for part in ("hand_base", "index_proximal", "pinky_proximal")]
        axes = palm_axes(*palm)
        assert axes is not None, "the robot's hand has no palm"
        self._palm = axes
        self._wrist = palm[0]
        knuckles = ["thumb_proximal_yaw", *(f"{finger}_proximal" for finger in FINGERS[1:])]
        self._knuckles = np.array([self._in_palm(self._origin(f"{mark}_{name}_link")) for name in knuckles])
        self._lengths = self._finger_lengths(mark)
        self.positions = np.zeros(len(joints))

    def reset(self, positions: Vector) -> None:
        """Search from these joint positions (6,) [rad]."""
        self.positions = np.clip(positions, self._lower, self._upper)

    def follow(self, hand: Matrix) -> Vector | None:
        """Joint positions (6,) [rad] for key points (25, 7), within limits.

        None when one that is needed is not tracked, or they are no hand: all at one place, on one line, or far apart.
        """
        if not tracked(hand[NEEDED]).all():
            return None
        targets = self._targets(hand[:, :3])
        if targets is None:
            return None
        positions = self.positions
        for _ in range(_ITERATIONS):
            positions = positions + self._improvement(positions, targets)
        if not np.isfinite(positions).all():  # the next search would start there, and never come back
            return None
        self.positions = positions
        return positions.copy()

    def tips(self, positions: Vector) -> Matrix:
        """Finger tips (5, 3) [m] in the palm for joint positions (6,)."""
        self._model.update(positions)
        return self._tips_in_palm()

    def _tips_in_palm(self) -> Matrix:
        """(5, 3) for the positions that the model has."""
        return np.asarray((self._model.origins(self._tips) - self._wrist) @ self._palm)

    def _targets(self, points: Matrix) -> _Targets | None:
        """None where the points (25, 3) are no hand."""
        if np.abs(points[NEEDED] - points[_PALM[0]]).max() > _REACH_M:
            return None
        axes = palm_axes(*points[_PALM])
        if axes is None:
            return None
        chains = points[_CHAIN_ROWS]  # (5, 4, 3)
        bones = chains[:, 1:] - chains[:, :-1]
        lengths = np.sqrt((bones * bones).sum(axis=2)).sum(axis=1)
        ends = chains[:, -1]
        scales = self._lengths / np.maximum(lengths, 1e-3)
        tips = self._knuckles + (ends - chains[:, 0]) @ axes * scales[:, None]
        ways = (ends[0] - ends[1:]) @ axes
        apart = np.sqrt((ways * ways).sum(axis=1))
        nearest = int(apart.argmin())
        # The thumb shall meet the nearest finger; to the others it keeps its place, so that the rows agree.
        ways = ways + ways[nearest] * (_closed(apart[nearest]) / max(apart[nearest], 1e-6) - 1.0)
        fading = np.clip((apart - PINCH_M) / _FADE_M, 0.0, 1.0)
        return _Targets(tips, ways, _PINCH_WEIGHT - (_PINCH_WEIGHT - 1.0) * fading)

    def _improvement(self, positions: Vector, targets: _Targets) -> Vector:
        """One Gauss-Newton step (6,) from ``positions`` inside the limits."""
        import daqp

        self._model.update_with_jacobians(positions)
        tips = self._tips_in_palm()
        moves = self._palm.T @ self._model.origin_jacobians(self._tips)  # (5, 3, 6)
        weights = targets.weights[:, None]
        missing = np.concatenate(
            [(targets.tips - tips).ravel(), (weights * (targets.ways - (tips[0] - tips[1:]))).ravel()]
        )
        rows = np.concatenate([moves.reshape(-1, 6), (weights[:, :, None] * (moves[0] - moves[1:])).reshape(-1, 6)])
        low = np.maximum(self._lower - positions, -_TRUST_RAD)
        high = np.minimum(self._upper - positions, _TRUST_RAD)
        hessian = rows.T @ rows + _DAMPED
        step, _, exit_flag, _ = daqp.solve(hessian, -rows.T @ missing, _NO_ROWS, high, low, np.zeros(6, np.int32))
        return np.minimum(np.maximum(step, low), high) if exit_flag == 1 else np.zeros(6)

    def _finger_lengths(self, mark: str) -> Vector:
        """From each knuckle along the bones to the tip."""
        links = {
            finger: ["proximal_yaw", "proximal_pitch", "distal", "tip"]
            if finger == "thumb"
            else ["proximal", "intermediate", "tip"]
            for finger in FINGERS
        }
        chains = [[self._origin(f"{mark}_{finger}_{part}_link") for part in parts] for finger, parts in links.items()]
        return np.array([np.linalg.norm(np.diff(chain, axis=0), axis=1).sum() for chain in chains])

    def _origin(self, link: str) -> Vector:
        return self._model.pose(self._model.frame(link)).position

    def _in_palm(self, point: Vector) -> Vector:
        return np.asarray(self._palm.T @ (point - self._wrist))


def _closed(apart_m: float) -> float:
    """How far apart the robot's tips shall be: 0 when the pads touch, unchanged from ``PINCH_M`` on."""
    return apart_m if apart_m > PINCH_M else max(apart_m - TOUCH_M, 0.0) * PINCH_M / (PINCH_M - TOUCH_M)


def palm_axes(wrist: Vector, index: Vector, little: Vector) -> Matrix | None:
    """(3, 3) axes of a palm as columns: to the knuckles, from little to index finger, and their cross product.

    None where the three are no palm: at one place, or on one line.
    """
    along = (index + little) / 2 - wrist
    length_m = np.sqrt(along @ along)
    if length_m < _PALM_M:
        return None
    along = along / length_m
    across = index - little
    across = across - along * (across @ along)
    width_m = np.sqrt(across @ across)
    if width_m < _PALM_M:
        return None
    across = across / width_m
    (a, b, c), (d, e, f) = along.tolist(), across.tolist()
    return np.array([[a, d, b * f - c * e], [b, e, c * d - a * f], [c, f, a * e - b * d]])


def hand_followers(mark: str) -> dict[str, tuple[str, float]]:
    """Coupled joint -> driving joint and ratio, for the hand 'L' or 'R'."""
    fingers = {f"{mark}_{f}_intermediate_joint": (f"{mark}_{f}_proximal_joint", FINGER_RATIO) for f in FINGERS[1:]}
    return {**fingers, f"{mark}_thumb_distal_joint": (f"{mark}_thumb_proximal_pitch_joint", THUMB_RATIO)}
