# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the table: a marked zone, a cabinet with a drawer, a small oven with a door.

Moving and fixed parts keep 2 mm apart in every position: parts that touch would jam. Joint friction and damping are
those under which the drawer and the door stay where they are left.
"""

from dataclasses import dataclass

import mujoco

from gr00t_sim.scene import TABLE_TOP_M

_G = mujoco.mjtGeom
DRAWER_JOINT, DRAWER, DRAWER_HANDLE = "drawer slide", "drawer", "drawer handle"
DRAWER_RANGE_M = 0.20
DOOR_JOINT, DOOR = "door hinge", "door"
DOOR_HINGE_M = (-0.118, 0.16)  # (x, y) of the hinge in the oven
_CABINET_HALF = (0.12, 0.13, 0.075)
_OVEN_HALF = (0.11, 0.16, 0.10)
_WALL_M = 0.006


@dataclass(frozen=True)
class Zone:
    """A disc painted on the table."""

    name: str
    rgb: tuple[float, float, float]
    radius_m: float = 0.07

    def add(self, world: mujoco.MjsBody) -> None:
        """Nothing touches it."""
        world.add_body(name=self.name, pos=[0.42, 0, TABLE_TOP_M]).add_geom(
            type=_G.mjGEOM_CYLINDER, size=[self.radius_m, 5e-4, 0], rgba=[*self.rgb, 1], contype=0, conaffinity=0
        )


@dataclass(frozen=True)
class DrawerCabinet:
    """A cabinet with one drawer that opens towards the robot by a bar handle."""

    name: str = "cabinet"

    def add(self, world: mujoco.MjsBody) -> None:
        """Body of this name, with the bodies DRAWER and DRAWER_HANDLE and the joint DRAWER_JOINT (0: closed) [m]."""
        deep, wide, high = _CABINET_HALF
        cabinet = world.add_body(name=self.name, pos=[0.60, 0, TABLE_TOP_M])
        walls = (
            ([0, 0, 2 * high + _WALL_M], [deep, wide, _WALL_M]),
            ([0, wide, high], [deep, _WALL_M, high]),
            ([0, -wide, high], [deep, _WALL_M, high]),
            ([deep, 0, high], [_WALL_M, wide, high]),
        )
        for position, size in walls:
            cabinet.add_geom(type=_G.mjGEOM_BOX, pos=position, size=size, rgba=[0.45, 0.35, 0.28, 1])
        drawer = cabinet.add_body(name=DRAWER, pos=[0, 0, 0.008])
        slide = drawer.add_joint(
            name=DRAWER_JOINT, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[-1, 0, 0], range=[0, DRAWER_RANGE_M], limited=1
        )
        slide.damping, slide.frictionloss = [4.0, 0, 0], 1.5
        inner_wide, inner_deep, front = wide - 0.012, deep - 0.01, -deep - 0.008
        boards = (
            ([0, 0, 0.004], [inner_deep, inner_wide, 0.004], 0.3),
            ([0, inner_wide, 0.0275], [inner_deep, 0.004, 0.0275], 0.1),
            ([0, -inner_wide, 0.0275], [inner_deep, 0.004, 0.0275], 0.1),
            ([inner_deep, 0, 0.0275], [0.004, inner_wide, 0.0275], 0.1),
            ([front, 0, 0.064], [0.006, wide, 0.062], 0.2),
        )
        for position, size, mass_kg in boards:
            drawer.add_geom(
                type=_G.mjGEOM_BOX, pos=position, size=size, mass=mass_kg, rgba=[0.75, 0.68, 0.55, 1], condim=4
            )
        _add_handle(drawer, front)


def _add_handle(drawer: mujoco.MjsBody, front_m: float) -> None:
    """A bar 6 cm off the front, near its top, so that four fingers fit behind it."""
    dark = [0.2, 0.2, 0.2, 1]
    handle = drawer.add_body(name=DRAWER_HANDLE, pos=[front_m - 0.071, 0, 0.10])
    across, along_x = [0.7071, 0.7071, 0, 0], [0.7071, 0, 0.7071, 0]
    handle.add_geom(
        type=_G.mjGEOM_CAPSULE, size=[0.008, 0.05, 0], quat=across, rgba=dark, mass=0.05, friction=[1, 0.01, 0.001]
    )
    for y in (-0.05, 0.05):
        handle.add_geom(
            type=_G.mjGEOM_CAPSULE, size=[0.006, 0.0265, 0], pos=[0.0325, y, 0], quat=along_x, rgba=dark, mass=0.01
        )


@dataclass(frozen=True)
class Oven:
    """A box with a door in front, hinged on its left side."""

    name: str = "oven"

    def add(self, world: mujoco.MjsBody) -> None:
        """Body of this name, with the body DOOR and the joint DOOR_JOINT (0: closed) [rad]."""
        deep, wide, high = _OVEN_HALF
        oven = world.add_body(name=self.name, pos=[0.62, 0, TABLE_TOP_M])
        walls = (
            ([0, 0, 2 * high], [deep, wide, _WALL_M]),
            ([0, 0, _WALL_M], [deep, wide, _WALL_M]),
            ([0, wide, high], [deep, _WALL_M, high]),
            ([0, -wide, high], [deep, _WALL_M, high]),
            ([deep, 0, high], [_WALL_M, wide, high]),
        )
        for position, size in walls:
            oven.add_geom(type=_G.mjGEOM_BOX, pos=position, size=size, rgba=[0.25, 0.25, 0.27, 1])
        door = oven.add_body(name=DOOR, pos=[*DOOR_HINGE_M, high])
        hinge = door.add_joint(
            name=DOOR_JOINT, type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, -1], range=[0, 1.9], limited=1
        )
        hinge.damping, hinge.frictionloss = [0.3, 0, 0], 0.15
        door.add_geom(
            type=_G.mjGEOM_BOX, size=[0.006, wide, high - 0.004], pos=[0, -wide, 0], rgba=[0.15, 0.2, 0.25, 1], mass=0.5
        )
        door.add_geom(
            type=_G.mjGEOM_CAPSULE,
            size=[0.008, 0.06, 0],
            pos=[-0.04, 0.03 - 2 * wide, 0],
            rgba=[0.8, 0.8, 0.8, 1],
            mass=0.05,
        )
