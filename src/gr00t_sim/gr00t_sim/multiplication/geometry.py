# SPDX-License-Identifier: Apache-2.0
"""A hand's motion about a thing, carried over to where that thing stands in another scene, and the bridge that leads to it.

Things stand upright on a table, so what differs between two scenes is a place and a turn about the vertical.
Poses are homogeneous matrices (4, 4) in the world frame [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.experts.hand_expert import blend

Array = NDArray[np.float64]

_SAME_PLACE_M, _SAME_TURN_RAD = 1e-3, 1e-2  # nearer than this, no bridge is needed


@dataclass(frozen=True)
class Place:
    """Where a thing stands: position (3,) [m], and its yaw about the vertical [rad]."""

    position: Array
    yaw_rad: float

    @staticmethod
    def of(position: Array, rotation: Array) -> "Place":
        """From a body's position (3,) and rotation matrix (3, 3)."""
        return Place(np.array(position, float), float(np.arctan2(rotation[1, 0], rotation[0, 0])))


def turn_between(source_yaw_rad: float, new_yaw_rad: float, folds: int) -> float:
    """The smallest turn that brings a thing of ``folds``-fold symmetry from one yaw to the other; 0 folds: round, no turn."""
    if folds == 0:
        return 0.0
    sector = 2 * np.pi / folds
    return float((new_yaw_rad - source_yaw_rad + sector / 2) % sector - sector / 2)


def carried_over(source: Place, new: Place, folds: int) -> Array:
    """The motion (4, 4) of the world that takes the thing from ``source`` to ``new``; a round thing keeps the direction."""
    turn = turn_between(source.yaw_rad, new.yaw_rad, folds)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    motion[:3, 3] = new.position - motion[:3, :3] @ source.position
    return motion


def facing(place: Place, towards: Place) -> Place:
    """The same position with the yaw of the way to another place."""
    way = towards.position - place.position
    return Place(place.position, float(np.arctan2(way[1], way[0])))


def share_turned(first: Place, places: Sequence[Place], last: Place) -> Array:
    """How much of the turn from ``first`` to ``last`` each place has done: (N,), from 0 to 1."""
    whole = turn_between(first.yaw_rad, last.yaw_rad, 1)
    done = [turn_between(first.yaw_rad, place.yaw_rad, 1) for place in places]
    return np.clip(np.array(done) / (whole or 1.0), 0.0, 1.0)


def swung(poses: Array, source: Place, new: Place, shut: Array, last_turn_rad: float = 0.0) -> Array:
    """Poses (N, 4, 4) carried over with a thing on a hinge, which another scene finds open by more or by less.

    shut: (N,) how far it was shut in each row of the source, 0 as at first to 1. The poses are turned about the hinge as
    the thing is turned at first, and by ``last_turn_rad`` where it is shut, so that they end there from any opening.
    """
    first_turn_rad = turn_between(source.yaw_rad, new.yaw_rad, 1)
    yaws = source.yaw_rad + first_turn_rad + shut * (last_turn_rad - first_turn_rad)
    return np.array(
        [carried_over(source, Place(new.position, yaw), 1) @ pose for yaw, pose in zip(yaws, poses, strict=True)]
    )


def stretched(poses: Array, by: Array) -> Array:
    """Poses (N, 4, 4) shifted by a vector (3,), each by as much of it as it is far along the path: the first by nothing."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    longer = poses.copy()
    longer[:, :3, 3] += (along / max(along[-1], 1e-9))[:, None] * by
    return longer


def matrix(position: Array, rotation: Array) -> Array:
    """Pose (4, 4) from position (3,) and rotation (3, 3)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def bridge_steps(start: Array, end: Array, most_m: float, most_rad: float, least: int) -> int:
    """How many poses lie between two (4, 4): none when they agree, else ``least`` or more so that no step is too long."""
    distance = float(np.linalg.norm(end[:3, 3] - start[:3, 3]))
    angle = angle_between(start, end)
    if distance < _SAME_PLACE_M and angle < _SAME_TURN_RAD:
        return 0
    return max(least, int(np.ceil(distance / most_m)) - 1, int(np.ceil(angle / most_rad)) - 1)


def bridge(start: Array, end: Array, steps: int) -> Array:
    """Poses (steps, 4, 4) evenly between two, both left out: straight in position, along the shortest turn."""
    parts = np.arange(1, steps + 1) / (steps + 1)
    return np.array(
        [
            matrix(start[:3, 3] + part * (end[:3, 3] - start[:3, 3]), blend(start[:3, :3], end[:3, :3], part))
            for part in parts
        ]
    ).reshape(steps, 4, 4)


def angle_between(one: Array, two: Array) -> float:
    """The turn from one pose to the other [rad]."""
    cosine = (np.trace(one[:3, :3].T @ two[:3, :3]) - 1) / 2
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
