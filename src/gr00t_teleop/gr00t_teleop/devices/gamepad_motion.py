# SPDX-License-Identifier: Apache-2.0
"""What a gamepad does to a made-up person. The layout is that of ROS' ``game_controller_node``, the same for all pads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.dead_man import DeadMan
from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.made_up_person import MadeUpPerson

# SDL's order: sticks left x, left y, right x, right y, then the triggers; left and up are positive in ROS.
AXES, LEAST_BUTTONS = 6, 15
CLOSE, LET_GO, OTHER_HAND, DEAD_MAN = 0, 1, 3, 9  # A, B, Y, left shoulder
_STICKS = ((1, 0), (0, 1), (3, 2), (2, 5))  # axis of the pad, axis of the wrist (x y z, roll pitch yaw)
_DPAD = ((13, 3, -1.0), (14, 3, 1.0), (11, 4, -1.0), (12, 4, 1.0))  # button, axis of the wrist, direction
_DEAD_ZONE = 0.1  # the node's own is 0.05, worn sticks rest at up to 0.1
_TOO_FAR = 1.01  # float32 round-off of an axis at its end
# A deflected stick of a live pad trembles or is moved; a receiver whose pad is gone repeats the last state for ever.
_STUCK_NS = 2_000_000_000

HELP = (
    "hold the left shoulder button to drive: left stick ahead, back and sideways, right stick up, down and yaw, "
    "pad of arrows pitch and roll, A closes or opens the hand, Y the other hand, B lets go at once"
)


class GamepadMotion:
    """Owned by one thread. Times are those of a steady clock [ns].

    stuck: how often a pad repeated itself too long. is_stuck: it still does.
    """

    def __init__(self, speed_m_s: float, turn_rad_s: float) -> None:
        self._speeds = np.repeat([speed_m_s, turn_rad_s], 3)
        self._person = MadeUpPerson()
        self._dead_man = DeadMan()
        self._deflection = np.zeros(6)
        self._state: tuple[tuple[float, ...], tuple[int, ...]] | None = None
        self._changed_ns = 0
        self.stuck = 0
        self.is_stuck = False

    def hear(self, axes: Sequence[float], buttons: Sequence[int], now_ns: int) -> None:
        """A state of the pad for which ``flaw`` finds nothing."""
        state = tuple(axes), tuple(buttons)
        before = self._state[1] if self._state is not None else state[1]
        if state != self._state:
            self._changed_ns, self.is_stuck = now_ns, False
        self._state, self._deflection = state, deflection(axes, buttons)
        self._dead_man.hear(bool(buttons[DEAD_MAN]), now_ns)
        if pressed(OTHER_HAND, before, buttons):
            self._person.other_side()
            self._dead_man.lose()  # the other wrist starts with an open clutch
        if buttons[LET_GO]:
            self._dead_man.lose()
        if pressed(CLOSE, before, buttons) and self._dead_man.is_closed(now_ns):
            self._person.grip()
        if self._deflection.any() and self._dead_man.is_closed(now_ns) and now_ns - self._changed_ns > _STUCK_NS:
            self.stuck, self.is_stuck = self.stuck + 1, True
            self.lose()

    def lose(self) -> None:
        """The pad cannot be believed: nothing moves until the dead-man button was seen released."""
        self._dead_man.lose()
        self._deflection = np.zeros(6)

    def is_silent(self, now_ns: int) -> bool:
        return self._dead_man.is_silent(now_ns)

    def advance(self, now_ns: int) -> DeviceSample:
        """The person now, having moved since the call before; lost when the pad is silent."""
        if self._dead_man.is_silent(now_ns):
            self._deflection = np.zeros(6)
            return self._person.lost(now_ns)
        is_closed = self._dead_man.is_closed(now_ns)
        velocity = self._deflection * self._speeds if is_closed else np.zeros(6)
        return self._person.advance(velocity, is_closed, now_ns)


def flaw(axes: Sequence[float], buttons: Sequence[int]) -> str:
    """Why this is no state of a pad in our layout; empty when it is."""
    if len(axes) != AXES or len(buttons) < LEAST_BUTTONS:
        return (
            f"'joy' has {len(axes)} axes and {len(buttons)} buttons, expected {AXES} and {LEAST_BUTTONS} or more; "
            "start `ros2 run joy game_controller_node`, whose layout is the same for all pads"
        )
    values = np.asarray(axes, np.float64)
    if not np.isfinite(values).all() or np.abs(values).max() > _TOO_FAR:
        return f"'joy' has an axis of {values[np.argmax(~(np.abs(values) <= _TOO_FAR))]:.3g}, expected -1 to 1"
    return ""


def deflection(axes: Sequence[float], buttons: Sequence[int]) -> NDArray[np.float64]:
    """Share of full speed (6,), -1 to 1, along and about the wrist's axes; 0 in the dead zone and growing from there."""
    shares = np.zeros(6)
    for axis, way in _STICKS:
        beyond = max(abs(axes[axis]) - _DEAD_ZONE, 0.0) / (1.0 - _DEAD_ZONE)
        shares[way] = np.sign(axes[axis]) * min(beyond, 1.0)
    for button, way, direction in _DPAD:
        shares[way] += direction * bool(buttons[button])
    return shares


def pressed(button: int, before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether the button went down between two states."""
    return bool(now[button]) and len(before) > button and not before[button]
