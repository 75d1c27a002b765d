# SPDX-License-Identifier: Apache-2.0
"""An object beside an open drawer: put it in with one hand, shut the drawer with the other."""

import mujoco
import numpy as np

from gr00t_sim.furniture import DRAWER, DRAWER_HANDLE, DRAWER_JOINT, DrawerCabinet
from gr00t_sim.objects import ball, cube
from gr00t_sim.robot import SIDES
from gr00t_sim.tasks.furniture_task import CLOSED_M, at_rest, cabinet_place
from gr00t_sim.tasks.place_task import (
    HAND_AWAY_M,
    Destination,
    PlaceTask,
    hand_distance,
    held,
    is_lifted,
    left_alone,
    reaching,
)
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Vector, mirrored_region, object_position, sample_apart, side_of

_RELEASE_M = 0.095  # the drawer's front stands 13 cm high
_BESIDE_M = 0.06  # from the drawer's middle towards the hand that carries: as far across as it reaches
_INNER_HALF_M = (0.115, 0.12)


class PutInDrawer(PlaceTask):
    """Two objects on the side away from the cabinet; success: the one named rests alone in the shut drawer, hands away."""

    name = "put_in_drawer"
    time_limit_s = 20.0
    objects = (ball("orange ball", "orange"), cube("green cube", "green"))
    fixtures = (DrawerCabinet(),)
    essential, turns = ("drawer",), ("out of",)
    templates = (
        "put the {object} in the drawer and close it",
        "place the {object} into the drawer, then shut the drawer",
        "the {object} goes into the drawer; close the drawer afterwards",
        "store the {object} in the drawer and push the drawer shut",
        "pick up the {object}, drop it into the drawer and close it",
    )

    @property
    def slots(self) -> Slots:
        return {"object": tuple(kind.name for kind in self.objects)}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        self._cabinet = cabinet_place(rng)
        region = mirrored_region(np.array([0.33, 0.12]), np.array([0.41, 0.32]), -np.sign(self._cabinet[1]))
        points = sample_apart(rng, [region, region], apart_m=0.13)
        yaws = rng.uniform(-np.pi, np.pi, size=2)
        objects = {kind.name: np.array([*xy, yaw]) for kind, xy, yaw in zip(self.objects, points, yaws, strict=True)}
        return objects, {"cabinet": self._cabinet}

    def _openings(self, rng: np.random.Generator) -> dict[str, float]:
        return {DRAWER_JOINT: float(rng.uniform(0.155, 0.165))}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(wish["object"], DRAWER, side_of(-self._cabinet))

    @property
    def closing_side(self) -> str:
        """The hand on the cabinet's side."""
        return side_of(self._cabinet)

    def destination(self, model: mujoco.MjModel, data: mujoco.MjData, goal: Goal) -> Destination:
        middle = data.body(DRAWER).xpos[:2] - np.array([0.02, _BESIDE_M * np.sign(self._cabinet[1])])
        return Destination(middle, _RELEASE_M)

    def bin_of(self, model: mujoco.MjModel, data: mujoco.MjData, name: str) -> str:
        """DRAWER when the object lies in it, else ''."""
        x, y, z = object_position(data, name) - data.body(DRAWER).xpos
        inside = abs(x) < _INNER_HALF_M[0] and abs(y) < _INNER_HALF_M[1] and 0.0 < z < 0.08
        return DRAWER if inside else ""

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.4, lifted 0.5, in the drawer 0.6, shut 0.9, hands away 1."""
        name = self.goal.object
        inside = [kind.name for kind in self.objects if self.bin_of(model, data, kind.name)]
        if inside and inside != [name]:
            return False, 0.0, f"{', '.join(inside)} in the drawer instead of {name}"
        if inside:
            opening = float(data.joint(DRAWER_JOINT).qpos[0])
            if opening > CLOSED_M:
                return False, 0.6 + 0.2 * float(np.clip(1 - opening / 0.165, 0, 1)), f"{name} in the drawer, not shut"
            handle = data.body(DRAWER_HANDLE).xpos
            far = all(np.linalg.norm(data.site(f"{side}_grasp").xpos - handle) > HAND_AWAY_M for side in SIDES)
            away = far and not any(held(model, data, body) for body in (DRAWER, DRAWER_HANDLE))
            done = away and at_rest(data, DRAWER_JOINT) and left_alone(model, data, name)
            return done, 1.0 if done else 0.9, f"{name} in the shut drawer"
        if is_lifted(self, data, name):
            return False, 0.5, f"{name} lifted"
        return False, *reaching(hand_distance(data, self.goal.side, name), name)
