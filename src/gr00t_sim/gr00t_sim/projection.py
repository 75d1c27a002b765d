# SPDX-License-Identifier: Apache-2.0
"""Where a point of the world appears in a camera's picture."""

import mujoco
import numpy as np
from numpy.typing import NDArray


def project(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, point: NDArray[np.float64], aspect: float = 1.0
) -> NDArray[np.float32]:
    """(u, v) in [0, 1] from the left and from the top for a pinhole camera; outside that range when out of view.

    MuJoCo cameras look along -z with y up; ``aspect`` is width / height.
    """
    index = model.camera(camera).id
    in_camera = data.cam_xmat[index].reshape(3, 3).T @ (point - data.cam_xpos[index])
    half_height = np.tan(np.deg2rad(model.cam_fovy[index]) / 2) * -in_camera[2]
    u = 0.5 + 0.5 * in_camera[0] / (half_height * aspect)
    v = 0.5 - 0.5 * in_camera[1] / half_height
    return np.array([u, v], dtype=np.float32)
