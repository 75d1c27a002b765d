# SPDX-License-Identifier: Apache-2.0
"""A box too wide for one hand: lifted level between both palms."""

import mujoco
import numpy as np

from gr00t_sim.robot import SIDES
from gr00t_sim.scene import TABLE_TOP_M, ObjectKind
from gr00t_sim.tasks.place_task import reaching
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Task, Vector, object_position, touches

BOX = ObjectKind("brown box", mujoco.mjtGeom.mjGEOM_BOX, (0.08, 0.11, 0.07), 0.4, (0.55, 0.38, 0.22), 0.07)
LIFTED_M = 0.08
_MOST_TILT_COS = float(np.cos(np.deg2rad(15)))


class LiftBox(Task):
    """Success: 8 cm off the table, tilted by less than 15 degrees, a hand on either side."""

    name = "lift_box"
    objects = (BOX,)
    templates = (
        "lift the brown box with both hands",
        "pick up the box with both hands",
        "take the box between your hands and raise it",
        "raise the brown box off the table",
        "use both hands to lift the box",
    )

    @property
    def slots(self) -> Slots:
        return {}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        xy = np.array([0.37, 0.0]) + rng.uniform([-0.02, -0.03], [0.02, 0.03])
        return {BOX.name: np.array([*xy, rng.uniform(-0.12, 0.12)])}, {}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(BOX.name, BOX.name, "right")

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.4, rising 0.5 to 0.9, up and level 1."""
        risen = float(object_position(data, BOX.name)[2]) - TABLE_TOP_M - BOX.height_m
        held = all(touches(model, data, side, BOX.name) for side in SIDES)
        if held and risen > 0.01:
            level = float(data.body(BOX.name).xmat.reshape(3, 3)[2, 2]) > _MOST_TILT_COS
            done = risen > LIFTED_M and level
            progress = 1.0 if done else 0.5 + 0.4 * min(risen / LIFTED_M, 1.0)
            return done, progress, f"box {100 * risen:.0f} cm up" + ("" if level else ", not level")
        centre = object_position(data, BOX.name)
        furthest = max(float(np.linalg.norm(data.site(f"{side}_grasp").xpos - centre)) for side in SIDES)
        return False, *reaching(furthest, "the box")
