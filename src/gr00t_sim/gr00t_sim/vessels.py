# SPDX-License-Identifier: Apache-2.0
"""Hollow things: a cup that holds beads and a bowl to pour them into. Walls are boxes in a ring."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.objects import COLOURS
from gr00t_sim.scene import TABLE_TOP_M, BinKind, ObjectKind

_G = mujoco.mjtGeom
_OVERLAP = 1.03  # of neighbouring walls, so that nothing slips through
BEAD_RADIUS_M = 0.008


@dataclass(frozen=True)
class CupKind(ObjectKind):
    """An open cup. size: outer radius and half height, as of the cylinder that it fills; the floor is as thick as the wall."""

    wall_m: float = 0.006

    @property
    def inner_radius_m(self) -> float:
        return self.size[0] - self.wall_m

    @property
    def floor_m(self) -> float:
        """The inside's floor above the table when the cup stands."""
        return self.wall_m

    def holds(self, offset: NDArray[np.float64]) -> bool:
        """Whether something is in it, its centre at ``offset`` (3,) from the cup's centre in the cup's frame."""
        inside = float(np.hypot(*offset[:2])) < self.inner_radius_m
        return inside and abs(float(offset[2])) < self.size[1]

    def add_shape(self, body: mujoco.MjsBody) -> None:
        """Floor and walls."""
        radius, half, wall = self.size[0] - self.wall_m / 2, self.size[1], self.wall_m / 2
        look = {"rgba": [*self.rgb, 1], "friction": [1, 0.02, 0.001], "condim": 4, "solref": [0.01, 1]}
        _add_ring(body, 10, radius, wall, half, 0.0, mass=0.8 * self.mass_kg / 10, **look)
        floor = [radius, wall, 0]
        body.add_geom(type=_G.mjGEOM_CYLINDER, size=floor, pos=[0, 0, wall - half], mass=0.2 * self.mass_kg, **look)


@dataclass(frozen=True)
class BowlKind(BinKind):
    """A round bowl, fixed on the table."""

    radius_m: float = 0.070
    height_m: float = 0.06

    def holds(self, offset: NDArray[np.float64], height_m: float) -> bool:
        """Whether something lies within its walls."""
        x, y, z = offset
        return bool(np.hypot(x, y) < self.radius_m and -0.01 < z < self.height_m + 0.02)

    def add(self, world: mujoco.MjsBody) -> None:
        """A disc and a ring of walls, fixed."""
        body = world.add_body(name=self.name, pos=[0.42, 0, TABLE_TOP_M])
        look = {"rgba": [*self.rgb, 1]}
        _add_ring(body, 14, self.radius_m, 0.004, self.height_m / 2, self.height_m / 2, **look)
        body.add_geom(type=_G.mjGEOM_CYLINDER, size=[self.radius_m, 0.003, 0], pos=[0, 0, 0.003], **look)


@dataclass(frozen=True)
class BeadKind(ObjectKind):
    """A small ball that rolls less well than it could, as beads do."""

    def add_shape(self, body: mujoco.MjsBody) -> None:
        """A sphere."""
        look = {"rgba": [*self.rgb, 1], "friction": [0.5, 0.005, 0.0005], "condim": 4}
        body.add_geom(name=self.name, type=self.geom, size=self.size, mass=self.mass_kg, **look)


def cup(name: str, colour: str, height_m: float = 0.14, radius_m: float = 0.034) -> CupKind:
    """A light cup; grasped from the side."""
    return CupKind(name, _G.mjGEOM_CYLINDER, (radius_m, height_m / 2, 0.0), 0.12, COLOURS[colour], height_m / 2)


def beads_in(kind: CupKind, count: int, colour: str) -> tuple[BeadKind, ...]:
    """Beads 1 to ``count``, which lie on the cup's floor."""
    size, height_m = (BEAD_RADIUS_M, 0.0, 0.0), kind.floor_m + BEAD_RADIUS_M
    return tuple(
        BeadKind(f"bead {number}", _G.mjGEOM_SPHERE, size, 0.003, COLOURS[colour], height_m)
        for number in range(1, count + 1)
    )


def _add_ring(
    body: mujoco.MjsBody,
    count: int,
    radius_m: float,
    half_wall_m: float,
    half_height_m: float,
    z_m: float,
    **look: object,
) -> None:
    half_width_m = radius_m * np.tan(np.pi / count) * _OVERLAP
    for angle in 2 * np.pi * np.arange(count) / count:
        body.add_geom(
            type=_G.mjGEOM_BOX,
            size=[half_wall_m, half_width_m, half_height_m],
            pos=[radius_m * np.cos(angle), radius_m * np.sin(angle), z_m],
            quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
            **look,
        )
