# SPDX-License-Identifier: Apache-2.0
"""The person: a head and two hands that are told to move and do so as people do; what a headset sees of them at each instant.

Intentions are in the frame of what the person looks at: x ahead of them, y left, z up. Where in the room they stand and
which way they face is theirs alone, and the robot must not depend on it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.person.human_hand import RELAXED, HandShape, blend, keypoints
from gr00t_teleop.person.movement import POSITION_M, ROTATION_RAD, Tremor, reach_time_s, smooth_share
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector, turn_about_z
from gr00t_teleop.testing import quaternion

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

SIDES = ("left", "right")
_ALONG_ERROR, _ASIDE_ERROR = 0.04, 0.03  # of the length of a reach: where it really ends
_KEYPOINT_NOISE_M = 0.0008
_HEAD_SWAY_M = 0.004


@dataclass(frozen=True)
class Build:
    """Who it is: heading [rad] about the room's vertical, place of the feet (2,) [m], height of the head [m], size of the
    hands in adults' hands, and how each hand is turned when the person begins (3, 3), in what they look at."""

    heading_rad: float
    feet: Vector
    head_m: float
    hand_size: float
    hands: dict[str, Matrix]


def random_build(rng: np.random.Generator, hands: dict[str, Matrix], askew_rad: float = 0.12) -> Build:
    """Anybody. hands: how they mean to hold their hands at first; they do so to ``askew_rad``."""
    return Build(
        heading_rad=float(rng.uniform(-0.6, 0.6)),
        feet=rng.uniform(-0.5, 0.5, 2),
        head_m=float(rng.uniform(1.5, 1.8)),
        hand_size=float(rng.uniform(0.9, 1.1)),
        hands={side: rotation_from_vector(askew_rad * rng.normal(size=3)) @ turned for side, turned in hands.items()},
    )


@dataclass
class _Hand:
    """start and end of a movement, and how far it is; the same for the fingers."""

    begin: Pose
    shift: Vector
    turn: Vector
    shapes: tuple[HandShape, HandShape]
    left_s: float = 0.0
    whole_s: float = 1.0
    fingers_left_s: float = 0.0
    fingers_whole_s: float = 1.0

    def pose(self) -> Pose:
        share = smooth_share(1.0 - self.left_s / self.whole_s)
        turned = rotation_from_vector(share * self.turn) @ self.begin.rotation
        return Pose(self.begin.position + share * self.shift, turned)

    def shape(self) -> HandShape:
        return blend(*self.shapes, smooth_share(1.0 - self.fingers_left_s / self.fingers_whole_s))

    @property
    def rests(self) -> bool:
        return self.left_s <= 0.0 and self.fingers_left_s <= 0.0


class Person:
    """Told what to do by ``move`` and ``bend``; lives by ``advance``. Same generator and calls, same motion."""

    def __init__(self, build: Build, rng: np.random.Generator) -> None:
        self._build, self._rng = build, rng
        self._room = turn_about_z(build.heading_rad)
        self._shakes = {name: Tremor(rng, POSITION_M) for name in ("head", *SIDES)}
        self._trembles = {name: Tremor(rng, ROTATION_RAD) for name in SIDES}
        self._hands = {
            side: _Hand(
                Pose(np.array([0.38, 0.22 if side == "left" else -0.22, build.head_m - 0.5]), build.hands[side]),
                np.zeros(3),
                np.zeros(3),
                (RELAXED, RELAXED),
            )
            for side in SIDES
        }
        self._seen: dict[str, NDArray[np.float64]] = {}
        self.advance(0.0)

    def move(self, side: str, shift: Vector, turn: Vector) -> None:
        """Move a hand by ``shift`` (3,) [m] and turn it about itself by ``turn`` (3,) [rad], as well as a person can."""
        hand = self._hands[side]
        now, size = hand.pose(), float(np.linalg.norm(shift))
        astray = (1.0 + _ALONG_ERROR * self._rng.normal()) * shift + _ASIDE_ERROR * size * self._rng.normal(size=3)
        hand.begin, hand.shift, hand.turn = now, astray, (1.0 + _ALONG_ERROR * self._rng.normal()) * turn
        hand.left_s = hand.whole_s = reach_time_s(size, float(np.linalg.norm(turn)))

    def bend(self, side: str, shape: HandShape, seconds: float) -> None:
        """Bring the fingers of a hand into a shape."""
        hand = self._hands[side]
        hand.shapes = (hand.shape(), shape)
        hand.fingers_left_s = hand.fingers_whole_s = seconds

    @property
    def rests(self) -> bool:
        """Whether all that was told is done."""
        return all(hand.rests for hand in self._hands.values())

    def advance(self, dt_s: float) -> None:
        """Let time go on."""
        for hand in self._hands.values():
            hand.left_s = max(hand.left_s - dt_s, 0.0)
            hand.fingers_left_s = max(hand.fingers_left_s - dt_s, 0.0)
        sway = self._shakes["head"].step(dt_s) * (_HEAD_SWAY_M / POSITION_M.drift)
        self._seen = {"head": self._numbers(Pose(np.array([0.0, 0.0, self._build.head_m]) + sway, np.eye(3)))}
        for side, hand in self._hands.items():
            meant = hand.pose()
            tilt = rotation_from_vector(self._trembles[side].step(dt_s))
            wrist = self._in_room(Pose(meant.position + self._shakes[side].step(dt_s), tilt @ meant.rotation))
            points = keypoints(side, hand.shape(), wrist, self._build.hand_size)
            points[1:, :3] += _KEYPOINT_NOISE_M * self._rng.normal(size=(len(points) - 1, 3))
            self._seen[f"{side}_wrist"], self._seen[f"{side}_hand"] = points[0], points

    def sample(self, stamp_ns: int, sequence: int, epoch: int = 1, *, clutch: bool = False) -> DeviceSample:
        """What a headset sees now, in the suite's axes. clutch: whether a button is held."""
        return DeviceSample(stamp_ns, sequence, epoch, clutch, **self._seen)

    def _in_room(self, pose: Pose) -> Pose:
        return Pose(self._room @ pose.position + np.array([*self._build.feet, 0.0]), self._room @ pose.rotation)

    def _numbers(self, pose: Pose) -> NDArray[np.float64]:
        placed = self._in_room(pose)
        return np.concatenate([placed.position, quaternion(placed.rotation)])
