# SPDX-License-Identifier: Apache-2.0
"""Differential inverse kinematics of both hands with mink: wrist targets to arm and waist joint positions."""

import mink
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_sim.robot import SIDES, robot_spec

# Posture costs towards home: arms almost free (2e-2 already keeps a hand centimetres off target); the waist, which carries
# the head camera, nearly still; the neck still.
WAIST_POSTURE_COST = 0.3
_NECK_POSTURE_COST, _ARM_POSTURE_COST = 10.0, 2e-3
_ELBOW_RANGE = (-2.27, 0.0)  # the real elbow does not bend backwards
_WAIST_SPEED_RAD_S = 0.5
_ARM_SPEED_RAD_S = 1.8

Pose = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Position (3,) [m] and rotation matrix (3, 3) of a frame in the world."""


class InverseKinematics:
    """Follows grasp-site targets step by step, each step from the last result (open loop).

    waist_cost: how much the waist resists being used; a tenth of the usual lets it lean and turn to where arms do not reach.
    """

    def __init__(self, embodiment: Embodiment, waist_cost: float = WAIST_POSTURE_COST) -> None:
        model = robot_spec(embodiment, kinematic=True).compile()
        self.names = tuple(model.joint(index).name for index in range(model.njnt))
        for index, name in enumerate(self.names):
            row = embodiment.joint(name)
            lower, upper = row.lower_rad, row.upper_rad
            if "elbow" in name:
                lower, upper = max(lower, _ELBOW_RANGE[0]), min(upper, _ELBOW_RANGE[1])
            model.jnt_range[index] = (lower + 0.01, upper - 0.01)
        self._home = np.array([embodiment.home.get(name, 0.0) for name in self.names])
        self._configuration = mink.Configuration(model)
        posture = (("head", _NECK_POSTURE_COST), ("waist", waist_cost), ("", _ARM_POSTURE_COST))
        cost = np.array([next(c for part, c in posture if part in name) for name in self.names])
        self._posture = mink.PostureTask(model, cost=cost)
        self._posture.set_target(self._home)
        self._hands = {
            side: mink.FrameTask(f"{side}_grasp", "site", position_cost=1.0, orientation_cost=0.5, lm_damping=1e-3)
            for side in SIDES
        }
        speeds = {n: _WAIST_SPEED_RAD_S if "waist" in n else _ARM_SPEED_RAD_S for n in self.names}
        self._limits = [mink.ConfigurationLimit(model), mink.VelocityLimit(model, speeds)]

    def set_positions(self, positions: NDArray[np.float64]) -> None:
        """Continue from these joint positions, ordered as ``names``."""
        self._configuration.update(positions.copy())

    def positions(self) -> NDArray[np.float64]:
        return self._configuration.q.copy()

    def pose(self, side: str) -> Pose:
        frame = self._configuration.get_transform_frame_to_world(f"{side}_grasp", "site")
        return frame.translation().copy(), frame.rotation().as_matrix().copy()

    def step(self, targets: dict[str, Pose], dt_s: float, iterations: int = 2) -> NDArray[np.float64]:
        """Move towards the targets for ``dt_s``; a side without target drifts to its home posture."""
        tasks: list[mink.Task] = [self._posture]
        for side, (position, rotation) in targets.items():
            goal = mink.SE3.from_rotation_and_translation(mink.SO3.from_matrix(rotation), position)
            self._hands[side].set_target(goal)
            tasks.append(self._hands[side])
        for _ in range(iterations):
            part_s = dt_s / iterations
            velocity = mink.solve_ik(self._configuration, tasks, part_s, "daqp", damping=1e-4, limits=self._limits)
            self._configuration.integrate_inplace(velocity, part_s)
        return self.positions()
