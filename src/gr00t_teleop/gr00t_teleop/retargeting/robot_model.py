# SPDX-License-Identifier: Apache-2.0
"""Kinematics of some joints of the robot with pinocchio, all others locked at 0.

The one place where the embodiment's joint convention meets the URDF's: a linear map, ``urdf = spread @ model``, that
holds the signs of the joint table and the ratios of the coupled finger joints. Outside, everything is in the model
convention and in the order of ``names``.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.description import urdf_path
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import EmbodimentError
from gr00t_teleop.retargeting.pose import Pose

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class RobotModel:
    """Forward kinematics and Jacobians of ``names`` in the robot's base frame. One owner: it keeps the last pose.

    followers: coupled joint -> (the joint in ``names`` that drives it, URDF angle per URDF angle of that).
    Raises EmbodimentError when the description does not have a joint, AssetError when there is no description.
    """

    def __init__(
        self, embodiment: Embodiment, names: tuple[str, ...], followers: dict[str, tuple[str, float]] | None = None
    ) -> None:
        import pinocchio

        self._pin = pinocchio
        self.names = names
        followers = followers or {}
        full = _full_model()
        wanted = {*names, *followers}
        missing = sorted(wanted - set(full.names))
        if missing:
            raise EmbodimentError(f"joint(s) {', '.join(missing)} of '{embodiment.name}' are not in {urdf_path().name}")
        locked = [index for index, name in enumerate(full.names) if index > 0 and name not in wanted]
        self._model = pinocchio.buildReducedModel(full, locked, np.zeros(full.nq))
        self._data = self._model.createData()
        self._spread = np.zeros((self._model.nv, len(names)))
        for column, name in enumerate(names):
            self._spread[self._row(name), column] = embodiment.joint(name).sign
        for name, (leader, ratio) in followers.items():
            self._spread[self._row(name)] = ratio * self._spread[self._row(leader)]

    def update(self, positions: Vector) -> None:
        """Take joint positions (J,) [rad]; what follows is about them. Jacobians are not computed."""
        self._pin.forwardKinematics(self._model, self._data, self._spread @ positions)

    def update_with_jacobians(self, positions: Vector) -> None:
        """The same, with Jacobians."""
        self._pin.computeJointJacobians(self._model, self._data, self._spread @ positions)

    def frame(self, name: str) -> int:
        """The number of a link's frame. Raises EmbodimentError."""
        if not self._model.existFrame(name):
            raise EmbodimentError(f"link '{name}' is not in {urdf_path().name}")
        return int(self._model.getFrameId(name))

    def pose(self, frame: int) -> Pose:
        """Of a link in the base frame."""
        placement = self._pin.updateFramePlacement(self._model, self._data, frame)
        return Pose(placement.translation.copy(), placement.rotation.copy())

    def pose_and_jacobian(self, frame: int) -> tuple[Pose, Matrix]:
        """``pose`` of a link, and (6, J): velocity of its origin [m/rad], then its turn [rad/rad], along the axes of the base."""
        pose = self.pose(frame)
        axes = self._pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return pose, np.asarray(self._pin.getFrameJacobian(self._model, self._data, frame, axes) @ self._spread)

    def origins(self, frames: list[int]) -> Matrix:
        """(N, 3) [m] of links in the base frame."""
        update, model, data = self._pin.updateFramePlacement, self._model, self._data
        return np.array([update(model, data, frame).translation for frame in frames])

    def origin_jacobians(self, frames: list[int]) -> Matrix:
        """(N, 3, J): velocities of links' origins [m/rad] along the axes of the base, after ``origins`` of the same."""
        get, model, data = self._pin.getFrameJacobian, self._model, self._data
        axes = self._pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        return np.asarray(np.array([get(model, data, frame, axes)[:3] for frame in frames]) @ self._spread)

    def spatial_jacobian(self) -> Matrix:
        """(6, J), for every joint by itself: velocity of the point of its body at the base's origin, then its turn."""
        return np.asarray(self._data.J @ self._spread)

    def attachment(self, link: str) -> tuple[int, Matrix, Vector]:
        """The joint that carries a link, and the link's rotation (3, 3) and origin (3,) in that joint's frame."""
        frame = self._model.frames[self.frame(link)]
        return int(frame.parentJoint), frame.placement.rotation.copy(), frame.placement.translation.copy()

    def moved_by(self, joint: int) -> NDArray[np.bool_]:
        """Which of ``names`` move the body of a joint (number as from ``attachment``): (J,)."""
        rows = [self._model.joints[number].idx_v for number in self._model.supports[joint] if number > 0]
        return np.asarray((self._spread[rows] != 0).any(axis=0)) if rows else np.zeros(len(self.names), bool)

    def joint_placements(self, joints: list[int]) -> tuple[list[Matrix], list[Vector]]:
        """Rotations (3, 3) and origins (3,) of joints' frames in the base frame: views that follow every update.

        To ask for them is ten times as slow as to read them, so ask once.
        """
        placements = [self._data.oMi[joint] for joint in joints]
        rotations, origins = [each.rotation for each in placements], [each.translation for each in placements]
        assert not any(view.flags.owndata for view in (*rotations, *origins)), "pinocchio shares its memory with numpy"
        return rotations, origins

    def _row(self, name: str) -> int:
        return int(self._model.joints[self._model.getJointId(name)].idx_v)


@functools.cache  # parsed once a process: 40 ms
def _full_model() -> Any:
    import pinocchio

    return pinocchio.buildModelFromUrdf(str(urdf_path()))
