# SPDX-License-Identifier: Apache-2.0
"""Patterns and tones that table and floor may have besides their usual ones. Grey patterns, coloured by the tone."""

import mujoco
import numpy as np
from numpy.typing import NDArray

TONES: dict[str, tuple[float, float, float]] = {  # none so saturated, light or dark that a thing on it could vanish
    "oak": (0.72, 0.58, 0.42),
    "walnut": (0.42, 0.30, 0.22),
    "sand": (0.75, 0.70, 0.60),
    "light grey": (0.66, 0.66, 0.67),
    "slate": (0.36, 0.38, 0.42),
    "steel": (0.48, 0.54, 0.60),
    "moss": (0.46, 0.50, 0.42),
    "clay": (0.56, 0.47, 0.43),
}
_SIDE_PX = 128
_REPEAT = 3  # over a table of 64 x 120 cm, and eight metres of floor


def add_surfaces(spec: mujoco.MjSpec) -> tuple[str, ...]:
    """Adds one material per pattern; returns their names. They cost nothing until a geom wears one."""
    names = []
    for name, grey in _patterns().items():
        pixels = np.repeat((255 * np.clip(grey, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
        texture = spec.add_texture(
            name=f"surface {name}",
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            width=_SIDE_PX,
            height=_SIDE_PX,
            nchannel=3,
        )
        texture.data = pixels.tobytes()
        material = spec.add_material(name=f"surface {name}", texrepeat=[_REPEAT, _REPEAT])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
        names.append(material.name)
    return tuple(names)


def _patterns() -> dict[str, NDArray[np.float64]]:
    """Name -> (side, side) brightness up to 1; the same in every process."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:_SIDE_PX, :_SIDE_PX]
    streaks = _smooth(rng.normal(size=(_SIDE_PX, _SIDE_PX)), across=1, along=24)
    cloth = _smooth(rng.normal(size=(_SIDE_PX, _SIDE_PX)), across=1, along=1)
    clouds = _smooth(rng.normal(size=(_SIDE_PX, _SIDE_PX)), across=10, along=10)
    seams = (row % 32 < 2) | ((column + 64 * (row // 32 % 2)) % 128 < 2)
    return {
        "plain": np.ones((_SIDE_PX, _SIDE_PX)),
        "grain": 0.88 + 0.10 * streaks,
        "boards": (0.90 + 0.07 * streaks) * np.where(seams, 0.6, 1.0),
        "speckle": 0.88 + 0.08 * cloth,
        "marble": 0.88 + 0.08 * clouds,
        "check": np.where((row // 16 + column // 16) % 2, 1.0, 0.78),
    }


def _smooth(noise: NDArray[np.float64], across: int, along: int) -> NDArray[np.float64]:
    """Averaged over so many pixels around, without a seam at the edges; standard deviation 1."""
    for axis, reach in enumerate((across, along)):
        noise = np.asarray(np.mean([np.roll(noise, shift, axis) for shift in range(-reach, reach + 1)], axis=0))
    return np.asarray((noise - noise.mean()) / noise.std())
