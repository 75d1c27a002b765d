# SPDX-License-Identifier: Apache-2.0
"""A person who is not there: two wrists and hands that keys or sticks move, for devices that see nobody."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import from_matrix, to_matrix
from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.simple_hand import simple_hand
from gr00t_teleop.types import KEYPOINTS, untracked

Array = NDArray[np.float64]
Side = Literal["left", "right"]

_START = {"left": (0.35, 0.2, 1.1), "right": (0.35, -0.2, 1.1)}
_HEAD = (0.0, 0.0, 1.6, 0.0, 0.0, 0.0, 1.0)
_GRIP_PER_S = 2.0
_LONGEST_STEP_S = 0.1  # of a thread that was kept waiting: no leap


@dataclass
class _Hand:
    position: Array
    rotation: Array = field(default_factory=lambda: np.eye(3))
    closing: float = 0.0
    wants_closed: bool = False

    def pose(self) -> Array:
        return np.concatenate([self.position, from_matrix(self.rotation, "quaternion")[[1, 2, 3, 0]]])


class MadeUpPerson:
    """Owned by one thread; ``side`` is the wrist that moves. Speeds are along and about x forward, y left, z up."""

    def __init__(self) -> None:
        self._hands = {side: _Hand(np.array(place)) for side, place in _START.items()}
        self.side: Side = "right"
        self._last_ns: int | None = None
        self._sequence = 0

    def other_side(self) -> None:
        self.side = "left" if self.side == "right" else "right"

    def grip(self) -> None:
        """Close the hand of the side, or open it when it closes."""
        self._hands[self.side].wants_closed ^= True

    def advance(self, velocity: Array, clutch: bool, now_ns: int, epoch: int = 0) -> DeviceSample:
        """The person at ``now_ns`` of a steady clock, having moved with ``velocity`` (6,) [m/s, rad/s] since the call before."""
        passed_s = 0.0 if self._last_ns is None else min((now_ns - self._last_ns) / 1e9, _LONGEST_STEP_S)
        self._last_ns = now_ns
        if velocity.any():
            self._move(self._hands[self.side], velocity * passed_s)
        for hand in self._hands.values():
            change = np.clip(float(hand.wants_closed) - hand.closing, -_GRIP_PER_S * passed_s, _GRIP_PER_S * passed_s)
            hand.closing += float(change)
        self._sequence += 1
        left, right = self._hands["left"], self._hands["right"]
        return DeviceSample(
            stamp_ns=None,
            sequence=self._sequence,
            epoch=epoch,
            clutch=clutch,
            head=np.array(_HEAD),
            left_wrist=left.pose(),
            right_wrist=right.pose(),
            left_hand=simple_hand(left.pose(), "left", left.closing),
            right_hand=simple_hand(right.pose(), "right", right.closing),
        )

    def lost(self, now_ns: int) -> DeviceSample:
        """The person when nobody tells any more what they do: an open clutch, and nothing to follow."""
        return replace(
            self.advance(np.zeros(6), False, now_ns),
            head=untracked(),
            left_wrist=untracked(),
            right_wrist=untracked(),
            left_hand=untracked(len(KEYPOINTS)),
            right_hand=untracked(len(KEYPOINTS)),
        )

    def _move(self, hand: _Hand, step: Array) -> None:
        hand.position = hand.position + step[:3]
        turned = to_matrix(step[3:], "axis_angle") @ hand.rotation
        hand.rotation = to_matrix(from_matrix(turned, "quaternion"), "quaternion")  # stays a rotation for hours
