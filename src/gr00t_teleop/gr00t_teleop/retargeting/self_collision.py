# SPDX-License-Identifier: Apache-2.0
"""Distances between the robot's parts, and how each changes with the joints: rows for the quadratic program, and a veto."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.retargeting.spheres import (
    Sphere,
    arm_spheres,
    body_spheres,
    head_spheres,
    thumb_spheres,
    upper_arm_spheres,
)

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Gaps:
    """Of all P pairs of spheres in one pose: gaps (P,) [m] between their surfaces, negative inside each other.

    centres (3, N) [m] of the spheres; ways (3, P) from the second to the first of each pair, distances (P,) their lengths.
    """

    gaps: Vector
    centres: Matrix
    ways: Matrix
    distances: Vector


@dataclass(frozen=True)
class NearPairs:
    """The closest pairs: gaps (K,) [m] between surfaces, and gradients (K, J) [m/rad] of the gaps."""

    gaps: Vector
    gradients: Matrix


class SelfCollision:
    """Pairs of spheres that must not meet: arm against the other arm; forearms, hands and thumbs against head and body.

    Works on what ``model`` was last updated with; one owner. Vectors lie in columns: a loop over pairs is then one over
    neighbours in memory, and numpy needs half the time.
    """

    def __init__(self, model: RobotModel) -> None:
        self._model = model
        moving = [make(side) for make in (arm_spheres, upper_arm_spheres, thumb_spheres) for side in ("left", "right")]
        parts = (*moving, head_spheres(), body_spheres())
        spheres = [sphere for part in parts for sphere in part]
        rows = sum(map(len, moving))
        part_of = np.repeat(np.arange(len(parts)), [*map(len, parts)])
        is_pair = [
            [_may_meet(int(part_of[a]), int(part_of[b]), spheres[a], spheres[b]) for b in range(len(spheres))]
            for a in range(rows)
        ]
        self._first, self._second = np.nonzero(np.array(is_pair))
        radii = np.array([sphere.radius_m for sphere in spheres])
        self._reach = radii[self._first] + radii[self._second]
        self._place(spheres)

    @property
    def pair_count(self) -> int:
        return len(self._reach)

    def gaps(self) -> Gaps:
        """Of every pair, as the robot stands."""
        centres = self._centres()
        ways = centres.take(self._first, 1)
        ways -= centres.take(self._second, 1)
        x, y, z = ways * ways
        x += y
        x += z
        distances = np.sqrt(x, out=x)
        return Gaps(distances - self._reach, centres, ways, distances)

    def nearest(self, all_gaps: Gaps, count: int, within_m: float) -> NearPairs:
        """At most ``count`` pairs that are nearer than ``within_m``, the nearest there are. all_gaps: as the robot stands.

        Needs the model's Jacobians. A point c of a body moves along the normal n by n . (v + w x c) = n . v + (c x n) . w.
        The two centres of a pair lie on one normal, so c x n is the same for both; what differs is which joints move them.
        """
        gaps = all_gaps.gaps
        near = (gaps < within_m).nonzero()[0]
        if len(near) > count:
            near = near[gaps[near].argpartition(count)[:count]]
        normals = all_gaps.ways.take(near, 1) / all_gaps.distances[near]
        (x, y, z), (a, b, c) = all_gaps.centres.take(self._first[near], 1), normals
        lines = np.array([a, b, c, y * c - z * b, z * a - x * c, x * b - y * a])  # (6, K)
        return NearPairs(gaps[near], (lines.T @ self._model.spatial_jacobian()) * self._moves.take(near, 0))

    def _centres(self) -> Matrix:
        """(3, N): every offset seen from every joint, of which the sphere's own joint is taken."""
        everywhere = np.concatenate(self._rotations) @ self._offsets
        everywhere += np.concatenate(self._origins)[:, None]
        return everywhere.take(self._own)

    def _place(self, spheres: list[Sphere]) -> None:
        """Fix every sphere to the joint that carries it."""
        attachments = [self._model.attachment(sphere.link) for sphere in spheres]
        joints = sorted({joint for joint, _, _ in attachments})
        self._rotations, self._origins = self._model.joint_placements(joints)
        body = np.array([joints.index(joint) for joint, _, _ in attachments])
        self._own = (3 * body + np.arange(3)[:, None]) * len(spheres) + np.arange(len(spheres))
        self._offsets = np.array(
            [
                rotation @ np.array(sphere.centre) + origin
                for sphere, (_, rotation, origin) in zip(spheres, attachments, strict=True)
            ]
        ).T
        moves = np.array([self._model.moved_by(joint) for joint, _, _ in attachments], np.float64)
        self._moves = moves[self._first] - moves[self._second]  # (P, J)


_LEFT, _RIGHT, _LEFT_UPPER, _RIGHT_UPPER, _LEFT_THUMB, _RIGHT_THUMB, _HEAD, _BODY = range(8)
_MEETS = {
    _LEFT: (_RIGHT, _RIGHT_UPPER, _HEAD, _BODY),
    _RIGHT: (_LEFT_UPPER, _HEAD, _BODY),
    _LEFT_UPPER: (_HEAD,),
    _RIGHT_UPPER: (_HEAD,),
    _LEFT_THUMB: (_HEAD, _BODY),
    _RIGHT_THUMB: (_HEAD, _BODY),
}


def _may_meet(part: int, other_part: int, sphere: Sphere, other: Sphere) -> bool:
    """Each pair once. An elbow hangs beside the torso from the shoulder: the two are near in every natural pose."""
    is_elbow_beside_torso = "lower_arm" in sphere.link and other.link == "torso_link"
    return other_part in _MEETS[part] and not is_elbow_beside_torso
