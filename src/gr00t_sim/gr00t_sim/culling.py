# SPDX-License-Identifier: Apache-2.0
"""Leaves out of a picture what cannot be in it: half the cost of a head picture is the faces of hands out of view."""

import mujoco
import numpy as np
from numpy.typing import NDArray

_MARGIN_M = 0.01  # so that rounding decides nothing


def drop_out_of_view(
    scene: mujoco.MjvScene, model: mujoco.MjModel, data: mujoco.MjData, camera: str, aspect: float
) -> None:
    """After ``update_scene``: geoms wholly beside a pinhole camera's picture are not drawn. The picture stays the same.

    ``aspect`` is width / height. Shadows of what is not drawn are not drawn either.
    """
    beside = _beside(model, data, model.camera(camera).id, aspect)
    for drawn in scene.geoms[: scene.ngeom]:
        if drawn.objtype == mujoco.mjtObj.mjOBJ_GEOM and beside[drawn.objid]:
            drawn.type = mujoco.mjtGeom.mjGEOM_NONE


def _beside(model: mujoco.MjModel, data: mujoco.MjData, camera: int, aspect: float) -> NDArray[np.bool_]:
    """(ngeom,) whether a geom's bounding sphere is outside one of the picture's four edges; never for planes."""
    in_camera = (data.geom_xpos - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(
        3, 3
    )  # x right, y up, -z ahead
    radius = model.geom_rbound + _MARGIN_M
    half_height = np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    outside = np.zeros(model.ngeom, dtype=bool)
    for across, half in ((in_camera[:, 0], half_height * aspect), (in_camera[:, 1], half_height)):
        outside |= np.abs(across) + half * in_camera[:, 2] > radius * np.hypot(1.0, half)
    return outside & (model.geom_rbound > 0)
