# SPDX-License-Identifier: Apache-2.0
"""Where both hands' paths lie in the head camera's picture, by the kinematics of the GR-1."""

from dataclasses import dataclass
from typing import Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_sim.projection import project
from gr00t_sim.robot import HEAD_CAMERA, SIDES, robot_spec


@dataclass(frozen=True)
class HandPaths:
    """The arms, waist and neck as a kinematic model. columns: joint of the model -> where it is among the policy's, if it is.

    The camera is the simulator's; joints that the policy does not move stand at home.
    """

    model: mujoco.MjModel
    columns: dict[int, int]
    home: NDArray[np.float64]
    aspect: float

    @classmethod
    def of(cls, robot: Embodiment) -> Self | None:
        """None when this is no GR-1 that looks through its head camera: then nothing is known of where its hands appear."""
        cameras = {camera.name: camera for camera in robot.cameras}
        if HEAD_CAMERA not in cameras:
            return None
        try:
            model = robot_spec(robot, kinematic=True).compile()
        except ValueError:  # joints of another robot
            return None
        names = [model.joint(index).name for index in range(model.njnt)]
        places = {name: place for place, name in enumerate(robot.policy_joint_names)}
        columns = {index: places[name] for index, name in enumerate(names) if name in places}
        if not all(any(side in names[index] for index in columns) for side in SIDES):
            return None
        home = np.array([robot.home.get(name, 0.0) for name in names])
        camera = cameras[HEAD_CAMERA]
        return cls(model, columns, home, camera.width / camera.height)

    def in_picture(self, seen_from: NDArray[np.float64], path: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Side -> (T, 2) from the left and the top, 0 to 1 within the picture, NaN behind the camera.

        seen_from: joints (J,) [rad] at which the picture was taken; path: joints (T, J) [rad] that the hands go through.
        """
        points: dict[str, list[NDArray[np.float64]]] = {side: [] for side in SIDES}
        for positions in path:
            data = self._posed(positions)
            for side in SIDES:
                points[side].append(data.site(f"{side}_grasp").xpos.copy())
        data = self._posed(seen_from)
        eye, axes = data.camera(HEAD_CAMERA).xpos, data.camera(HEAD_CAMERA).xmat.reshape(3, 3)
        result = {}
        for side, places in points.items():
            ahead = [float(axes[:, 2] @ (place - eye)) < 0 for place in places]  # a camera looks along its -z
            result[side] = np.array(
                [
                    project(self.model, data, HEAD_CAMERA, place, self.aspect) if seen else (np.nan, np.nan)
                    for place, seen in zip(places, ahead, strict=True)
                ],
                np.float64,
            )
        return result

    def _posed(self, positions: NDArray[np.float64]) -> mujoco.MjData:
        data = mujoco.MjData(self.model)
        data.qpos[:] = self.home
        for index, column in self.columns.items():
            data.qpos[self.model.jnt_qposadr[index]] = positions[column]
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        return data
