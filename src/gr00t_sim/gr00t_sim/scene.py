# SPDX-License-Identifier: Apache-2.0
"""The tabletop around the robot: floor, table, lights, an outside camera, loose objects and bins.

World frame: x forward, y left, z up [m]; the robot stands at the origin and looks along x.
"""

from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

TABLE_TOP_M = 0.85
OUTSIDE_CAMERA = "outside_view"
TABLE, FLOOR = "table", "floor"  # geoms; the table is a body too
BIN_HALF_M = (0.10, 0.09, 0.04)  # inner half sizes
_WALL_M = 0.004
_LYING_M = 0.015  # an object fallen over or leaning is further from its resting height
_TABLE_CENTRE = (0.55, 0.0)
_TABLE_HALF = (0.32, 0.60, 0.02)
_G = mujoco.mjtGeom


@dataclass(frozen=True)
class ObjectKind:
    """A loose object. size: MuJoCo half sizes [m]; height_m: its centre above the table at rest."""

    name: str
    geom: mujoco.mjtGeom
    size: tuple[float, float, float]
    mass_kg: float
    rgb: tuple[float, float, float]
    height_m: float

    def add_shape(self, body: mujoco.MjsBody) -> None:
        """Give its body form and mass."""
        body.add_geom(
            name=self.name,
            type=self.geom,
            size=self.size,
            mass=self.mass_kg,
            rgba=[*self.rgb, 1],
            friction=[1, 0.02, 0.001],
            condim=4,
            solref=[0.01, 1],
        )


class Fixture(Protocol):
    """Anything else that belongs to a scene: furniture with joints, a mark on the table. Its body has its name."""

    @property
    def name(self) -> str: ...

    def add(self, world: mujoco.MjsBody) -> None:
        """Add it to the model; the task moves its body to its place on the table."""


@dataclass(frozen=True)
class BinKind:
    """An open box standing on the table. release_m: how far above its place on the table an object is let go."""

    name: str
    rgb: tuple[float, float, float]
    release_m: float = 0.085

    def holds(self, offset: NDArray[np.float64], height_m: float) -> bool:
        """Whether an object lies in it, its centre at ``offset`` (3,) from here; height_m as in ``ObjectKind``."""
        x, y, z = offset
        return bool(abs(x) < BIN_HALF_M[0] and abs(y) < BIN_HALF_M[1] and -0.01 < z < 0.10)

    def add(self, world: mujoco.MjsBody) -> None:
        """Bottom and four walls, fixed."""
        body = world.add_body(name=self.name, pos=[0.42, 0, TABLE_TOP_M])
        hx, hy, hz = BIN_HALF_M
        walls = (
            ([0, 0, _WALL_M], [hx, hy, _WALL_M]),
            ([hx, 0, hz], [_WALL_M, hy, hz]),
            ([-hx, 0, hz], [_WALL_M, hy, hz]),
            ([0, hy, hz], [hx, _WALL_M, hz]),
            ([0, -hy, hz], [hx, _WALL_M, hz]),
        )
        for position, size in walls:
            body.add_geom(type=_G.mjGEOM_BOX, pos=position, size=size, rgba=[*self.rgb, 1], friction=[0.8, 0.01, 0.001])


@dataclass(frozen=True)
class PlateKind(BinKind):
    """A round plate: what lies on it within its radius."""

    release_m: float = 0.030
    radius_m: float = 0.080
    thickness_m: float = 0.012

    def holds(self, offset: NDArray[np.float64], height_m: float) -> bool:
        """Whether an object lies on it, not merely over it."""
        over = float(np.hypot(*offset[:2])) < self.radius_m
        return over and abs(float(offset[2]) - height_m - self.thickness_m) < _LYING_M

    def add(self, world: mujoco.MjsBody) -> None:
        """A disc, fixed."""
        half = self.thickness_m / 2
        world.add_body(name=self.name, pos=[0.42, 0, TABLE_TOP_M]).add_geom(
            type=_G.mjGEOM_CYLINDER,
            pos=[0, 0, half],
            size=[self.radius_m, half, 0],
            rgba=[*self.rgb, 1],
            friction=[0.8, 0.01, 0.001],
        )


OBJECTS = {
    "red can": ObjectKind("red can", _G.mjGEOM_CYLINDER, (0.030, 0.045, 0), 0.10, (0.80, 0.10, 0.08), 0.045),
    "green cube": ObjectKind("green cube", _G.mjGEOM_BOX, (0.025, 0.025, 0.025), 0.08, (0.10, 0.60, 0.15), 0.025),
    "yellow ball": ObjectKind("yellow ball", _G.mjGEOM_SPHERE, (0.032, 0, 0), 0.08, (0.95, 0.80, 0.10), 0.032),
}
BINS = {"blue bin": BinKind("blue bin", (0.10, 0.25, 0.75)), "white bin": BinKind("white bin", (0.92, 0.92, 0.92))}


def add_tabletop(
    spec: mujoco.MjSpec,
    objects: tuple[ObjectKind, ...],
    bins: tuple[BinKind, ...],
    fixtures: tuple[Fixture, ...] = (),
) -> None:
    """Add everything but the robot. Bodies are named as the kinds; loose objects also name their free joint so."""
    world = spec.worldbody
    _add_surroundings(spec)
    table = world.add_body(name=TABLE, pos=[*_TABLE_CENTRE, TABLE_TOP_M])
    table.add_geom(
        name=TABLE,
        type=_G.mjGEOM_BOX,
        size=_TABLE_HALF,
        pos=[0, 0, -_TABLE_HALF[2]],
        rgba=[0.70, 0.55, 0.38, 1],
        friction=[1, 0.01, 0.001],
    )
    for x in (-0.28, 0.28):
        for y in (-0.55, 0.55):
            table.add_geom(
                type=_G.mjGEOM_BOX,
                size=[0.02, 0.02, 0.405],
                pos=[x, y, -0.445],
                rgba=[0.3, 0.3, 0.32, 1],
                contype=0,
                conaffinity=0,
            )
    for standing in (*bins, *fixtures):
        standing.add(world)
    for kind in objects:
        _add_object(world, kind)


def _add_object(world: mujoco.MjsBody, kind: ObjectKind) -> None:
    body = world.add_body(name=kind.name, pos=[0.42, 0, 1.5])
    body.add_freejoint(name=kind.name)
    kind.add_shape(body)


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.3, 0.5, 0.7],
        rgb2=[0, 0, 0],
        width=32,
        height=192,
    )
    spec.add_texture(
        name="floor",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.55, 0.56, 0.58],
        rgb2=[0.48, 0.49, 0.52],
        width=256,
        height=256,
    )
    material = spec.add_material(name="floor", texrepeat=[8, 8])
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    world.add_geom(name=FLOOR, type=_G.mjGEOM_PLANE, size=[4, 4, 0.1], material="floor")
    world.add_light(pos=[0.9, -0.5, 2.6], dir=[-0.2, 0.25, -1], diffuse=[0.6] * 3, specular=[0.2] * 3)
    world.add_light(pos=[-0.5, 1.2, 2.4], dir=[0.4, -0.5, -1], diffuse=[0.3] * 3, specular=[0] * 3, castshadow=False)
    spec.visual.headlight.ambient = [0.35] * 3
    spec.visual.headlight.diffuse = [0.35] * 3
    spec.visual.headlight.specular = [0] * 3
    camera = world.add_camera(name=OUTSIDE_CAMERA, pos=[1.55, -0.85, 1.55], fovy=45)
    camera.quat = _looking_at(np.array([1.55, -0.85, 1.55]), np.array([0.30, 0.0, 0.98]))


def _looking_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    z = (eye - target) / np.linalg.norm(eye - target)
    x = np.cross([0, 0, 1], z)
    x /= np.linalg.norm(x)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([x, np.cross(z, x), z], axis=1).ravel())
    return quat
