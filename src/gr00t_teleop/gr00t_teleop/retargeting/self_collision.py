# SPDX-License-Identifier: Apache-2.0
"""Distances between the robot's parts, and how each changes with the joints: rows for the quadratic program, and a veto."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.retargeting.spheres import Sphere, arm_spheres, body_spheres, upper_arm_spheres

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class NearPairs:
    """The closest pairs: gaps (K,) [m] between surfaces, and gradients (K, J) [m/rad] of the gaps."""

    gaps: Vector
    gradients: Matrix


class SelfCollision:
    """Pairs of spheres that must not meet: arm against the other arm, forearms and hands against the body.

    Works on what ``model`` was last updated with; one owner.
    """

    def __init__(self, model: RobotModel) -> None:
        self._model = model
        parts = (arm_spheres("left"), arm_spheres("right"), upper_arm_spheres("left"), upper_arm_spheres("right"))
        spheres = [sphere for part in (*parts, body_spheres()) for sphere in part]
        self._rows = len(parts[0]) + len(parts[1])
        part_of = np.repeat(np.arange(5), [*map(len, parts), len(spheres) - sum(map(len, parts))])
        radii = np.array([sphere.radius_m for sphere in spheres])
        self._reach = radii[: self._rows, None] + radii
        is_pair = [
            [_may_meet(int(part_of[a]), int(part_of[b]), spheres[a], spheres[b]) for b in range(len(spheres))]
            for a in range(self._rows)
        ]
        self._reach[~np.array(is_pair)] = -np.inf  # what is no pair is infinitely far apart
        self._place(spheres)

    @property
    def pair_count(self) -> int:
        return int(np.isfinite(self._reach).sum())

    def gaps(self) -> Matrix:
        """[m] between the surfaces of every pair, negative inside each other; infinite for what is no pair."""
        return self._gaps(self._centres())

    def nearest(self, count: int, within_m: float) -> NearPairs:
        """At most ``count`` pairs that are nearer than ``within_m``, nearest first. Needs the model's Jacobians."""
        centres = self._centres()
        gaps = self._gaps(centres).ravel()
        near = np.flatnonzero(gaps < within_m)
        if len(near) > count:
            near = near[np.argpartition(gaps[near], count)[:count]]
        near = near[np.argsort(gaps[near])]
        first, second = np.divmod(near, len(centres))
        away = centres[first] - centres[second]
        normals = away / np.sqrt((away * away).sum(axis=1))[:, None]
        shift, turn = self._model.spatial_jacobian()
        gradients = self._motion(centres, first, normals, shift, turn)
        gradients -= self._motion(centres, second, normals, shift, turn)
        return NearPairs(gaps[near], gradients)

    def _motion(self, centres: Matrix, which: Matrix, normals: Matrix, shift: Matrix, turn: Matrix) -> Matrix:
        """(K, J): how fast each centre moves along its normal: n . (v + w x c) = n . v + (c x n) . w."""
        return np.asarray((normals @ shift + _cross(centres[which], normals) @ turn) * self._moves[which])

    def _gaps(self, centres: Matrix) -> Matrix:
        arms = centres[: self._rows]
        squares = (centres * centres).sum(axis=1)
        apart = squares[: self._rows, None] + squares - 2.0 * (arms @ centres.T)
        return np.asarray(np.sqrt(np.maximum(apart, 0.0)) - self._reach)

    def _centres(self) -> Matrix:
        rotations, origins = self._model.joint_placements(self._joints)
        turned = (rotations[self._body] @ self._offsets[:, :, None])[:, :, 0]
        return np.asarray(turned + origins[self._body])

    def _place(self, spheres: list[Sphere]) -> None:
        """Fix every sphere to the joint that carries it."""
        attachments = [self._model.attachment(sphere.link) for sphere in spheres]
        self._joints = sorted({joint for joint, _, _ in attachments})
        self._body = np.array([self._joints.index(joint) for joint, _, _ in attachments])
        self._offsets = np.array(
            [
                rotation @ np.array(sphere.centre) + origin
                for sphere, (_, rotation, origin) in zip(spheres, attachments, strict=True)
            ]
        )
        self._moves = np.array([self._model.moved_by(joint) for joint, _, _ in attachments], np.float64)


def _cross(first: Matrix, second: Matrix) -> Matrix:
    """Row by row; numpy's own takes ten times as long for so few rows."""
    x, y, z = first.T
    a, b, c = second.T
    return np.stack([y * c - z * b, z * a - x * c, x * b - y * a], axis=1)


_LEFT, _RIGHT, _LEFT_UPPER, _RIGHT_UPPER, _BODY = range(5)
_MEETS = {_LEFT: (_RIGHT, _RIGHT_UPPER, _BODY), _RIGHT: (_LEFT_UPPER, _BODY)}


def _may_meet(part: int, other_part: int, sphere: Sphere, other: Sphere) -> bool:
    """Each pair once. An elbow hangs beside the torso from the shoulder: the two are near in every natural pose."""
    is_elbow_beside_torso = "lower_arm" in sphere.link and other.link == "torso_link"
    return other_part in _MEETS[part] and not is_elbow_beside_torso
