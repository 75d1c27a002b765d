# SPDX-License-Identifier: Apache-2.0
"""A judge of self-collision that shares nothing with the inverse kinematics: MuJoCo, with the simulator's hulls of the robot."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_sim.robot import robot_spec

Vector = NDArray[np.float64]


class SelfContacts:
    """Which parts of the robot are inside each other, as convex hulls with up to 32 corners, which are a little too large.

    Left out are neighbours, two links that one joint connects (``neighbours`` counts the pairs), and what touches in the
    rest pose, named in ``touching_at_rest``. Fingers are where the pose has them, their driven ends follow.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self._model = robot_spec(embodiment).compile()
        self._data = mujoco.MjData(self._model)
        self._driven = [self._model.joint(name).qposadr[0] for name in embodiment.joint_names]
        self._followers = [
            (self._model.jnt_qposadr[self._model.eq_obj1id[row]], self._model.jnt_qposadr[leader], polynomial)
            for row, leader, polynomial in zip(
                range(self._model.neq), self._model.eq_obj2id, self._model.eq_data[:, :5], strict=True
            )
        ]
        self.neighbours = self._count_neighbours()
        self.touching_at_rest: frozenset[tuple[str, str]] = frozenset()
        self.touching_at_rest = frozenset(self.between(embodiment.positions_by_name(embodiment.home)))

    def between(self, positions: Vector) -> dict[tuple[str, str], float]:
        """Of the pose (J,) [rad]: links that are inside each other, and how deep [m]."""
        self._data.qpos[self._driven] = positions
        for follower, leader, polynomial in self._followers:
            self._data.qpos[follower] = np.polynomial.polynomial.polyval(self._data.qpos[leader], polynomial)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        found: dict[tuple[str, str], float] = {}
        for contact in self._data.contact:
            first, second = sorted(self._link(geom) for geom in (contact.geom1, contact.geom2))
            if contact.dist < 0.0 and (first, second) not in self.touching_at_rest:
                found[first, second] = max(found.get((first, second), 0.0), -float(contact.dist))
        return found

    def _link(self, geom: int) -> str:
        return str(self._model.body(self._model.geom_bodyid[geom]).name)

    def _count_neighbours(self) -> int:
        """MuJoCo itself leaves out a link and the one that carries it."""
        solid = {
            int(body) for body, kind in zip(self._model.geom_bodyid, self._model.geom_contype, strict=True) if kind
        }
        return sum(int(self._model.body_parentid[body]) in solid for body in solid)
