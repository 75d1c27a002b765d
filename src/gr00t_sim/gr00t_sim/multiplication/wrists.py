# SPDX-License-Identifier: Apache-2.0
"""Between joint targets and what the hands do: grasp-site poses and fingers, forwards exactly, backwards by the experts' IK."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_sim.experts.registry import expert_of
from gr00t_sim.kinematics import InverseKinematics
from gr00t_sim.multiplication.geometry import matrix
from gr00t_sim.recording import PERIOD_S
from gr00t_sim.robot import SIDES, finger_indices

Array = NDArray[np.float64]


class Wrists:
    """Joint vectors (..., 32) as everywhere in the simulator; poses (4, 4) of the grasp sites in the world [m].

    fingers: side -> where its six finger joints are. task: whose expert says how much the waist helps.
    """

    def __init__(self, embodiment: Embodiment, task: str) -> None:
        self._ik = InverseKinematics(embodiment, expert_of(task).waist_cost)
        names = list(embodiment.joint_names)
        self._arms = np.array([names.index(name) for name in self._ik.names])
        self.fingers = finger_indices(embodiment)

    def poses(self, targets: Array) -> dict[str, Array]:
        """Where the hands are told to be by targets (N, 32): side -> (N, 4, 4)."""
        found: dict[str, list[Array]] = {side: [] for side in SIDES}
        for row in targets:
            self.continue_from(row)
            for side in SIDES:
                found[side].append(self.pose(side))
        return {side: np.array(poses) for side, poses in found.items()}

    def continue_from(self, targets: Array) -> None:
        """Take these targets (32,) as the last ones given."""
        self._ik.set_positions(targets[self._arms])

    def pose(self, side: str) -> Array:
        """Where the last targets put a hand (4, 4)."""
        return matrix(*self._ik.pose(side))

    def follow(self, wanted: dict[str, Array], fingers: dict[str, Array], targets: Array) -> Array:
        """The next targets (32,) after ``targets``; a hand that nothing is wanted of drifts home."""
        following = targets.copy()
        poses = {side: (pose[:3, 3], pose[:3, :3]) for side, pose in wanted.items()}
        following[self._arms] = self._ik.step(poses, PERIOD_S)
        for side, joints in fingers.items():
            following[self.fingers[side]] = joints
        return following
