# SPDX-License-Identifier: Apache-2.0
"""Draws the looks of a scene and puts them on the compiled model: camera, light, surfaces, shades. Physics stays.

Everything starts from the model's own values, so nothing stays from one scene to the next; and from a random stream of
its own, so a seed has the same layout with any looks.
"""

import colorsys
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.looks import Looks
from gr00t_sim.robot import GROUP_BODY, GROUP_SEEN_BY_HEAD
from gr00t_sim.scene import FLOOR, TABLE, TABLE_TOP_M
from gr00t_sim.surfaces import TONES

_STREAM = 7  # beside those of layouts, disturbances and arm poses
_FIELDS = (
    "cam_pos",
    "cam_quat",
    "cam_fovy",
    "light_pos",
    "light_dir",
    "light_diffuse",
    "geom_rgba",
    "geom_matid",
)
_HEADLIGHT = ("ambient", "diffuse")

Vector = NDArray[np.float64]


class Appearance:
    """Owns the usual values of one model and changes that model in place; ``wear`` is called before each ``mj_forward``.

    cameras: those that move; surfaces: materials that table and floor may have.
    """

    def __init__(self, model: mujoco.MjModel, looks: Looks, cameras: Sequence[str], surfaces: Sequence[str]) -> None:
        self._model, self._looks = model, looks
        self._usual = {name: np.array(getattr(model, name)) for name in _FIELDS}
        self._usual_headlight = {name: np.array(getattr(model.vis.headlight, name)) for name in _HEADLIGHT}
        self._cameras = [model.camera(name).id for name in cameras]
        self._surfaces = [model.material(name).id for name in surfaces]
        self._table, self._floor = model.geom(TABLE).id, model.geom(FLOOR).id
        groups = model.geom_group
        fixed = {0, model.body(TABLE).id}
        root = model.body_rootid[model.geom_bodyid]
        self._things = [
            np.flatnonzero((groups == 0) & (root == body)) for body in np.unique(root[groups == 0]) if body not in fixed
        ]
        self._robot = [np.flatnonzero(groups == group) for group in (GROUP_SEEN_BY_HEAD, GROUP_BODY)]

    def wear(self, seed: int) -> None:
        """The looks of scene ``seed``: the same whatever was worn before."""
        if not self._looks.varied:
            return
        for name, values in self._usual.items():
            getattr(self._model, name)[:] = values
        rng = np.random.default_rng([seed, _STREAM])
        self._move_cameras(rng)
        self._set_lights(rng)
        for geom in (self._table, self._floor):
            self._set_surface(geom, rng)
        self._shade_things(rng)
        for geoms in self._robot:
            self._model.geom_rgba[geoms, :3] *= rng.uniform(*self._looks.robot_shade)

    def _move_cameras(self, rng: np.random.Generator) -> None:
        looks, model = self._looks, self._model
        for camera in self._cameras:
            model.cam_pos[camera] += looks.camera_m * rng.uniform(-1, 1, 3)
            turn = np.zeros(4)
            mujoco.mju_euler2Quat(turn, np.deg2rad(looks.camera_deg) * rng.uniform(-1, 1, 3), "xyz")
            turned = np.zeros(4)
            mujoco.mju_mulQuat(turned, model.cam_quat[camera], turn)
            model.cam_quat[camera] = turned
            model.cam_fovy[camera] += looks.camera_fovy_deg * rng.uniform(-1, 1)

    def _set_lights(self, rng: np.random.Generator) -> None:
        looks, model = self._looks, self._model
        warmth = looks.warmth * rng.uniform(-1, 1)
        tint = np.array([1 + warmth, 1, 1 - warmth])
        for light in range(model.nlight):
            turn = np.zeros(4)
            mujoco.mju_euler2Quat(turn, [*(np.deg2rad(looks.lamp_deg) * rng.uniform(-1, 1, 2)), 0], "xyz")
            _swing(model, light, turn)
            model.light_diffuse[light] *= tint * rng.uniform(*looks.lamp_strength)
        strength = rng.uniform(*looks.ambient_strength)
        for name, usual in self._usual_headlight.items():
            getattr(model.vis.headlight, name)[:] = usual * tint * strength

    def _set_surface(self, geom: int, rng: np.random.Generator) -> None:
        looks, model = self._looks, self._model
        shade, hue_deg = rng.uniform(*looks.surface_shade), looks.surface_hue_deg * rng.uniform(-1, 1)
        other, tone, pattern = rng.random(), rng.integers(len(TONES)), rng.integers(len(self._surfaces))
        usual = self._usual["geom_rgba"][geom, :3]
        if other < looks.other_surfaces:
            model.geom_matid[geom] = self._surfaces[pattern]
            usual = np.array(list(TONES.values())[tone])
        elif model.geom_matid[geom] >= 0:  # the colour comes from the material: the geom's only shades it
            usual = np.ones(3)
        model.geom_rgba[geom, :3] = _changed(usual, hue_deg, 1.0, shade)

    def _shade_things(self, rng: np.random.Generator) -> None:
        looks, colours = self._looks, self._model.geom_rgba
        for geoms in self._things:
            hue_deg = looks.thing_hue_deg * rng.uniform(-1, 1)
            saturation, shade = rng.uniform(*looks.thing_saturation), rng.uniform(*looks.thing_shade)
            for geom in geoms:
                colours[geom, :3] = _changed(colours[geom, :3], hue_deg, saturation, shade)


def _swing(model: mujoco.MjModel, light: int, turn: Vector) -> None:
    """Turn a lamp about the point of the table's height that it shines on."""
    position, direction = np.array(model.light_pos[light]), np.array(model.light_dir[light])
    lit = position + direction * (TABLE_TOP_M - position[2]) / direction[2]
    arm, aim = np.zeros(3), np.zeros(3)
    mujoco.mju_rotVecQuat(arm, position - lit, turn)
    mujoco.mju_rotVecQuat(aim, direction, turn)
    model.light_pos[light], model.light_dir[light] = lit + arm, aim


def _changed(rgb: Vector, hue_deg: float, saturation: float, shade: float) -> Vector:
    """A colour (3,) with its hue turned, saturation and brightness multiplied, within what can be shown."""
    hue, saturated, value = colorsys.rgb_to_hsv(*(float(part) for part in rgb))
    return np.array(
        colorsys.hsv_to_rgb((hue + hue_deg / 360) % 1, min(saturated * saturation, 1.0), min(value * shade, 1.0))
    )
