# SPDX-License-Identifier: Apache-2.0
"""What keys do to a made-up person: one wrist moves while its key is held, the clutch is closed while any is."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.rotation import from_matrix, to_matrix
from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.simple_hand import simple_hand

Array = NDArray[np.float64]
_Side = Literal["left", "right"]

# key: (axis 0 to 2 of the position, 3 to 5 of the rotation; direction). x forward, y left, z up.
MOVES: dict[str, tuple[int, float]] = {
    "w": (0, 1.0),
    "s": (0, -1.0),
    "a": (1, 1.0),
    "d": (1, -1.0),
    "r": (2, 1.0),
    "f": (2, -1.0),
    "u": (3, -1.0),
    "o": (3, 1.0),
    "i": (4, -1.0),
    "k": (4, 1.0),
    "j": (5, 1.0),
    "l": (5, -1.0),
}
OTHER_HAND, GRIP, HOLD, LET_GO = "\t", "g", " ", "q"
HELP = (
    "hold a key to move: w/s ahead and back, a/d left and right, r/f up and down, u/o roll, i/k pitch, j/l yaw; "
    "Tab the other hand, g close or open it, space holds the clutch, q lets go at once"
)
# A terminal tells no release, only repeats: after 0.5 s the first, then about 30 a second.
_MOVES_FOR_NS = 120_000_000
HELD_FOR_NS = 600_000_000
_START = {"left": (0.35, 0.2, 1.1), "right": (0.35, -0.2, 1.1)}
_GRIP_PER_S = 2.0


@dataclass
class _Hand:
    position: Array
    rotation: Array = field(default_factory=lambda: np.eye(3))
    closing: float = 0.0
    wants_closed: bool = False

    def pose(self) -> Array:
        return np.concatenate([self.position, from_matrix(self.rotation, "quaternion")[[1, 2, 3, 0]]])


class KeyMotion:
    """Owned by one thread. Times are those of a steady clock [ns]; speeds are of the moved wrist."""

    def __init__(self, speed_m_s: float, turn_rad_s: float) -> None:
        self._speeds = np.repeat([speed_m_s, turn_rad_s], 3)
        self._hands = {side: _Hand(np.array(place)) for side, place in _START.items()}
        self.side: _Side = "right"
        self._move, self._moves_until_ns, self._held_until_ns = "", 0, 0
        self._last_ns: int | None = None
        self._sequence = 0

    def press(self, key: str, now_ns: int) -> None:
        """A key came from the terminal; unknown ones do nothing."""
        if key in MOVES:
            self._move, self._moves_until_ns = key, now_ns + _MOVES_FOR_NS
        elif key == OTHER_HAND:
            self.side = "left" if self.side == "right" else "right"
            self._moves_until_ns = self._held_until_ns = 0  # the other wrist starts with an open clutch
        elif key == GRIP:
            self._hands[self.side].wants_closed ^= True
        if key in MOVES or key in (GRIP, HOLD):
            self._held_until_ns = now_ns + HELD_FOR_NS
        elif key == LET_GO:
            self._moves_until_ns = self._held_until_ns = 0

    def advance(self, now_ns: int) -> DeviceSample:
        """The person now, having moved since the call before."""
        passed_s = 0.0 if self._last_ns is None else min((now_ns - self._last_ns) / 1e9, 0.1)
        self._last_ns = now_ns
        if now_ns < self._moves_until_ns:
            self._step(self._hands[self.side], passed_s)
        for hand in self._hands.values():
            change = np.clip(float(hand.wants_closed) - hand.closing, -_GRIP_PER_S * passed_s, _GRIP_PER_S * passed_s)
            hand.closing += float(change)
        self._sequence += 1
        left, right = self._hands["left"], self._hands["right"]
        return DeviceSample(
            stamp_ns=None,
            sequence=self._sequence,
            epoch=0,
            clutch=now_ns < self._held_until_ns,
            head=np.array([0.0, 0.0, 1.6, 0.0, 0.0, 0.0, 1.0]),
            left_wrist=left.pose(),
            right_wrist=right.pose(),
            left_hand=simple_hand(left.pose(), "left", left.closing),
            right_hand=simple_hand(right.pose(), "right", right.closing),
        )

    def _step(self, hand: _Hand, passed_s: float) -> None:
        axis, direction = MOVES[self._move]
        step = np.zeros(6)
        step[axis] = direction * self._speeds[axis] * passed_s
        hand.position = hand.position + step[:3]
        turned = to_matrix(step[3:], "axis_angle") @ hand.rotation
        hand.rotation = to_matrix(from_matrix(turned, "quaternion"), "quaternion")  # stays a rotation for hours
