# SPDX-License-Identifier: Apache-2.0
"""Position, velocity and acceleration bounds that hold on every tick, for all joints at once.

The limiter solves for all three bounds together: a step is only taken if, braking at the acceleration limit from then
on, the joint stops before its position limit. So no bound ever has to give way to another. It knows joints as vectors
in the model convention and nothing of streams, clocks or ROS.
"""

import math

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError

Vector = NDArray[np.float64]

# The bounds used are this much tighter than promised, so that rounding (1e-16) cannot break the promise.
_SHAVE = 1.0 - 1e-9
# How long a stop may take for the sake of its direction, at the robot's full accelerations. The slowest of the GR-1 needs 0.15 s.
_TOGETHER_S = 0.2
_ROUNDING_TICKS = 1e-6


class JointLimiter:
    """Owns the positions last given to the robot; ``follow`` and ``brake`` make the next ones, one fixed tick later.

    Promise, for every joint and tick after ``seed``: |dq| <= v dt, |d2q| <= a dt^2, lower <= q <= upper. A joint that
    starts outside its position limits is never moved further out, and stays inside once it is in.
    """

    def __init__(
        self,
        lower_rad: Vector,
        upper_rad: Vector,
        max_step_rad: Vector,
        max_step_change_rad: Vector,
        together_ticks: float = math.inf,
    ) -> None:
        """Bounds (J,): position [rad], change of position per tick [rad], change of that change per tick [rad].

        together_ticks: joints that can stop within so many slow down together. Raises ConfigError.
        """
        bounds = np.stack([lower_rad, upper_rad, max_step_rad, max_step_change_rad]).astype(np.float64)
        if not (np.isfinite(bounds).all() and (bounds[0] < bounds[1]).all() and (bounds[2:] > 0).all()):
            raise ConfigError("limits must be finite, lower below upper, velocity and acceleration above zero")
        self._lower, self._upper = bounds[0], bounds[1]
        self._max_step, self._max_change = bounds[2] * _SHAVE, bounds[3] * _SHAVE
        self._together_ticks = together_ticks
        self._braked = 0  # ticks, since something was followed
        self._positions: Vector | None = None
        self._step = np.zeros_like(self._lower)
        self._target: Vector | None = None

    @property
    def seeded(self) -> bool:
        return self._positions is not None

    @property
    def positions(self) -> Vector:
        """What was last given to the robot (J,) [rad]."""
        assert self._positions is not None, "seed the limiter with the measured pose first"
        return self._positions.copy()

    @property
    def at_rest(self) -> bool:
        return not self._step.any()

    def seed(self, positions: Vector) -> None:
        """Start at rest at the measured pose (J,), whatever was given to the robot before."""
        assert np.isfinite(positions).all()
        self._positions = np.array(positions, dtype=np.float64)
        self._step = np.zeros_like(self._lower)
        self._target, self._braked = None, 0

    def forget(self) -> None:
        """Give up the present pose: nothing can be given to the robot before the next ``seed``."""
        self._positions = None
        self._step = np.zeros_like(self._lower)
        self._target = None

    def follow(self, target: Vector, speed_scale: float = 1.0, acceleration_scale: float = 1.0) -> Vector:
        """The next positions (J,) on the way to ``target`` (J,), which may move.

        A target that keeps within the bounds is met exactly, without lag. Any other is approached as fast as the
        bounds allow and met with its own speed. The scales (0 to 1) bound speed, and acceleration while speeding up;
        braking always has the full limit. A target that is not finite is taken for no target: brake.
        """
        if not np.isfinite(target).all():
            return self.brake()
        assert self._positions is not None, "seed the limiter with the measured pose first"
        target = np.minimum(np.maximum(target, self._lower), self._upper)
        before = target if self._target is None else self._target
        self._target, self._braked = target, 0
        target_step = np.minimum(np.maximum(target - before, -self._max_step), self._max_step)
        return self._advance(target_step, target - target_step - self._positions, speed_scale, acceleration_scale)

    def brake(self) -> Vector:
        """The next positions (J,) on the way to a stop; then the same ones for ever.

        Joints slow down in proportion, so that the robot stops on the line that it was moving along: as soon as the one of
        them that needs longest can. Were each to brake as hard as it may, those that had kept two parts apart could rest
        while those that bring them together still move. A joint that needs longer than ``together_ticks`` brakes alone, as
        hard as it may, and the others do not wait for it: they would move on for as long.
        """
        self._target = None
        ticks = np.maximum(np.abs(self._step) / self._max_change, 1.0)  # (J,) until each can be at rest
        together = ticks <= self._together_ticks - self._braked + _ROUNDING_TICKS
        self._braked += 1
        ticks[together] = ticks.max(where=together, initial=1.0)
        return self._advance((1.0 - 1.0 / ticks) * self._step, np.zeros_like(self._step), 1.0, 1.0)

    def _advance(self, step: Vector, behind: Vector, speed_scale: float, acceleration_scale: float) -> Vector:
        """Take ``step`` and as much of ``behind`` as can be caught up without overshoot, within all bounds."""
        assert self._positions is not None, "seed the limiter with the measured pose first"
        here = self._positions
        lower, upper = np.minimum(self._lower, here), np.maximum(self._upper, here)
        down, catch_up, up = _longest_step(np.stack([here - lower, np.abs(behind), upper - here]), self._max_change)
        low, high = self._reachable(acceleration_scale)
        fastest = self._max_step * speed_scale
        # Where the speed is above ``fastest`` (the scale fell) or rounding leaves no room, braking as hard as possible
        # is the only step; everything else stays within speed and room.
        ceiling = np.maximum(np.minimum(np.minimum(high, fastest), up), low)
        floor = np.minimum(np.maximum(np.maximum(low, -fastest), -down), high)
        step = np.minimum(np.maximum(step + np.copysign(catch_up, behind), floor), ceiling)
        after = np.minimum(np.maximum(here + step, lower), upper)
        self._step = np.where(step == 0.0, 0.0, after - here)
        self._positions = after
        return np.array(after)

    def _reachable(self, acceleration_scale: float) -> tuple[Vector, Vector]:
        """Smallest and largest next step: full braking towards rest, scaled acceleration away from it."""
        full, gentle = self._max_change, self._max_change * acceleration_scale
        low = np.where(self._step > 0, np.maximum(self._step - full, -gentle), self._step - gentle)
        high = np.where(self._step < 0, np.minimum(self._step + full, gentle), self._step + gentle)
        return low, high


def limiter_for(
    embodiment: Embodiment,
    tick_s: float,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    position_margin_rad: float = 0.0,
) -> JointLimiter:
    """The limiter of all driven joints of a robot. Scales and margin can only tighten. Raises ConfigError."""
    if not (0 < velocity_scale <= 1 and 0 < acceleration_scale <= 1 and position_margin_rad >= 0 and tick_s > 0):
        raise ConfigError(
            f"limits can only be tightened: velocity_scale {velocity_scale} and acceleration_scale "
            f"{acceleration_scale} must lie in (0, 1], position_margin_rad {position_margin_rad} must not be negative"
        )
    joints = embodiment.joints
    return JointLimiter(
        np.array([joint.lower_rad + position_margin_rad for joint in joints]),
        np.array([joint.upper_rad - position_margin_rad for joint in joints]),
        np.array([joint.max_velocity_rad_s * velocity_scale * tick_s for joint in joints]),
        np.array([joint.max_acceleration_rad_s2 * acceleration_scale * tick_s**2 for joint in joints]),
        _TOGETHER_S / (acceleration_scale * tick_s),
    )


def _longest_step(room: Vector, max_change: Vector) -> Vector:
    """The longest step (..., J) after which, braking by ``max_change`` per tick, the way is at most ``room`` >= 0.

    A step d with n = floor(d / c) is followed by d - c, d - 2c, ... d - nc: in all (n + 1) d - c n (n + 1) / 2.
    """
    n = np.floor((np.sqrt(1.0 + 8.0 * room / max_change) - 1.0) / 2.0)
    longest: Vector = (room + max_change * n * (n + 1.0) / 2.0) / (n + 1.0)
    return longest
