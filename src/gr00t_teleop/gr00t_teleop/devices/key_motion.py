# SPDX-License-Identifier: Apache-2.0
"""What keys do to a made-up person: one wrist moves while its key is held, the clutch is closed while any is."""

import numpy as np

from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.made_up_person import MadeUpPerson, Side

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


class KeyMotion:
    """Owned by one thread. Times are those of a steady clock [ns]; speeds are of the moved wrist."""

    def __init__(self, speed_m_s: float, turn_rad_s: float) -> None:
        self._speeds = np.repeat([speed_m_s, turn_rad_s], 3)
        self._person = MadeUpPerson()
        self._move, self._moves_until_ns, self._held_until_ns = "", 0, 0

    @property
    def side(self) -> Side:
        """The hand that moves."""
        return self._person.side

    def press(self, key: str, now_ns: int) -> None:
        """A key came from the terminal; unknown ones do nothing."""
        if key in MOVES:
            self._move, self._moves_until_ns = key, now_ns + _MOVES_FOR_NS
        elif key == OTHER_HAND:
            self._person.other_side()
            self._moves_until_ns = self._held_until_ns = 0  # the other wrist starts with an open clutch
        elif key == GRIP:
            self._person.grip()
        if key in MOVES or key in (GRIP, HOLD):
            self._held_until_ns = now_ns + HELD_FOR_NS
        elif key == LET_GO:
            self._moves_until_ns = self._held_until_ns = 0

    def advance(self, now_ns: int) -> DeviceSample:
        """The person now, having moved since the call before."""
        velocity = np.zeros(6)
        if now_ns < self._moves_until_ns:
            axis, direction = MOVES[self._move]
            velocity[axis] = direction * self._speeds[axis]
        return self._person.advance(velocity, now_ns < self._held_until_ns, now_ns)
