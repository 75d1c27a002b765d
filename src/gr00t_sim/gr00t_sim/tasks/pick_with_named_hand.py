# SPDX-License-Identifier: Apache-2.0
"""One can that both hands reach, and a bin at either side: the sentence says which hand is to do it."""

import mujoco
import numpy as np

from gr00t_sim.objects import can
from gr00t_sim.robot import SIDES
from gr00t_sim.scene import BINS
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Vector, touches


class PickWithNamedHand(PlaceTask):
    """Touching the can with the other hand spoils the episode."""

    name = "pick_with_named_hand"
    objects = (can("red can", "red"),)
    bins = (BINS["blue bin"],)
    essential = ("red can",)
    templates = (
        "with your {hand}, put the red can into the blue bin",
        "use your {hand} to place the red can in the blue bin",
        "pick up the red can with the {hand} and drop it into the blue bin",
        "take the red can in your {hand} and put it in the blue bin",
        "the {hand} should put the red can into the blue bin",
    )

    @property
    def slots(self) -> Slots:
        return {"hand": tuple(f"{side} hand" for side in SIDES)}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        side = rng.choice([1.0, -1.0])
        xy = rng.uniform([0.34, -0.075], [0.41, -0.055]) * [1, side]
        place = np.array([0.42, 0.13 * side]) + rng.uniform([-0.02, 0.0], [0.02, 0.01]) * [1, side]
        return {"red can": np.array([*xy, rng.uniform(-np.pi, np.pi)])}, {"blue bin": place}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal("red can", "blue bin", wish["hand"].split()[0])

    def _want(self, wish: Wish, data: mujoco.MjData) -> None:
        super()._want(wish, data)
        self._spoiled = False

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """As every ``PlaceTask``; nothing once the other hand has touched the can."""
        wrong = "left" if self.goal.side == "right" else "right"
        self._spoiled = self._spoiled or touches(model, data, wrong, "red can")
        if self._spoiled:
            return False, 0.0, f"the {wrong} hand touched the red can"
        return super().judge(model, data)
