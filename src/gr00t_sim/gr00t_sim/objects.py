# SPDX-License-Identifier: Apache-2.0
"""Loose objects made to measure: cans, cubes and balls of a colour. The hand's grasp from above takes widths of 4 to 7 cm."""

import mujoco

from gr00t_sim.scene import ObjectKind

_G = mujoco.mjtGeom
COLOURS = {
    "red": (0.80, 0.10, 0.08),
    "green": (0.10, 0.60, 0.15),
    "blue": (0.10, 0.25, 0.75),
    "yellow": (0.95, 0.80, 0.10),
    "orange": (0.95, 0.45, 0.05),
    "white": (0.92, 0.92, 0.92),
    "purple": (0.45, 0.15, 0.60),
}


def can(name: str, colour: str, height_m: float = 0.09, radius_m: float = 0.030, mass_kg: float = 0.10) -> ObjectKind:
    """An upright cylinder."""
    size = (radius_m, height_m / 2, 0.0)
    return ObjectKind(name, _G.mjGEOM_CYLINDER, size, mass_kg, COLOURS[colour], height_m / 2)


def cube(name: str, colour: str, side_m: float = 0.05, mass_kg: float = 0.08) -> ObjectKind:
    """A cube."""
    half = side_m / 2
    return ObjectKind(name, _G.mjGEOM_BOX, (half, half, half), mass_kg, COLOURS[colour], half)


def ball(name: str, colour: str, radius_m: float = 0.032, mass_kg: float = 0.08) -> ObjectKind:
    """A ball."""
    return ObjectKind(name, _G.mjGEOM_SPHERE, (radius_m, 0.0, 0.0), mass_kg, COLOURS[colour], radius_m)


def bottle(
    name: str, colour: str, height_m: float = 0.20, radius_m: float = 0.025, mass_kg: float = 0.15
) -> ObjectKind:
    """An upright cylinder high enough for two hands, one above the other; grasped from the side."""
    return can(name, colour, height_m, radius_m, mass_kg)
