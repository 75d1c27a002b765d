# SPDX-License-Identifier: Apache-2.0
"""How far each joint may go in one tick: position, velocity and acceleration limits as one box.

A joint may only be as fast as it can still stop before its limit. The bounds are those of the command gate, so that it has
little to change and the robot stays near the path that was checked for self-collision.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Joint

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class JointLimits:
    """Limits of N joints (N,): positions [rad], largest step and change of step per tick [rad]."""

    lower: Vector
    upper: Vector
    max_step: Vector
    max_change: Vector

    def slower(self, factor: float) -> "JointLimits":
        """The same with speed and acceleration times ``factor``."""
        return JointLimits(self.lower, self.upper, factor * self.max_step, factor * self.max_change)


def joint_limits(
    joints: tuple[Joint, ...], dt_s: float, speed: float, acceleration: float, margin_rad: float
) -> JointLimits:
    """Of ``joints`` for ticks of ``dt_s``; speed and acceleration: factors on the table's; margin_rad: kept from both ends."""
    return JointLimits(
        lower=np.array([joint.lower_rad for joint in joints]) + margin_rad,
        upper=np.array([joint.upper_rad for joint in joints]) - margin_rad,
        max_step=np.array([joint.max_velocity_rad_s for joint in joints]) * dt_s * speed,
        max_change=np.array([joint.max_acceleration_rad_s2 for joint in joints]) * dt_s**2 * acceleration,
    )


def step_bounds(limits: JointLimits, positions: Vector, last_step: Vector) -> tuple[Vector, Vector]:
    """Smallest and largest step (N,) [rad] for this tick. A joint beyond a limit may come back but not go further.

    Lower is never above upper; braking for a position limit wins over the acceleration limit.
    """
    change = limits.max_change
    room = np.array([limits.upper - positions, positions - limits.lower])
    most_up, most_down = np.minimum(limits.max_step, _stoppable(room, change))
    high = np.minimum(most_up, np.maximum(last_step + change, -most_down))
    low = np.maximum(-most_down, np.minimum(last_step - change, most_up))
    return np.minimum(low, high), high


def braking_step(limits: JointLimits, last_step: Vector) -> Vector:
    """The step (N,) that brings joints to rest as fast as their acceleration limit allows."""
    return np.asarray(np.sign(last_step) * np.maximum(np.abs(last_step) - limits.max_change, 0.0))


def step_towards(limits: JointLimits, positions: Vector, goal: Vector, last_step: Vector) -> Vector:
    """The step (N,) towards ``goal`` (N,) within all limits that arrives there at rest, as fast as they allow."""
    low, high = step_bounds(limits, positions, last_step)
    way = goal - positions
    step = np.sign(way) * _stoppable(np.abs(way), limits.max_change)
    return np.minimum(np.maximum(step, low), high)


def _stoppable(room: Vector, change: Vector) -> Vector:
    """Longest step after which steps that shrink by ``change`` per tick still end within ``room``; 0 without room.

    After a step s with n = floor(s / c) come s - c, s - 2c, ... s - nc: in all (n + 1) s - c n (n + 1) / 2.
    """
    room = np.maximum(room, 0.0)
    n = np.floor(np.sqrt(room * (2.0 / change) + 0.25) - 0.5)
    return np.asarray(room / (n + 1.0) + n * (change / 2.0))
