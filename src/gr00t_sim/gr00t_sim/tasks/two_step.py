# SPDX-License-Identifier: Apache-2.0
"""Two objects named one after the other, each into its bin, in that order."""

import mujoco
import numpy as np

from gr00t_sim.objects import ball, can
from gr00t_sim.scene import BINS
from gr00t_sim.tasks.place_task import PlaceTask, hand_distance, is_lifted, left_alone, reaching
from gr00t_sim.tasks.scattered import scattered, shuffled_left_right
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Vector, object_position, side_of


class TwoStep(PlaceTask):
    """Which object comes first, and which bin takes it, is said; bringing the second first spoils the episode."""

    name = "two_step"
    time_limit_s = 26.0
    objects = (can("red can", "red"), ball("yellow ball", "yellow"))
    bins = (BINS["blue bin"], BINS["white bin"])
    turns = ("before", "after the ")
    templates = (
        "first put the {first} into the {bin}, then the {second} into the {other_bin}",
        "put the {first} in the {bin} and after that the {second} in the {other_bin}",
        "the {first} goes into the {bin}, next the {second} into the {other_bin}",
        "start with the {first} into the {bin} and finish with the {second} into the {other_bin}",
        "place the {first} in the {bin} and then the {second} in the {other_bin}",
    )

    @property
    def slots(self) -> Slots:
        names = tuple(kind.name for kind in self.objects)
        bins = tuple(kind.name for kind in self.bins)
        return {"first": names, "second": names, "bin": bins, "other_bin": bins}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        near, far = np.array([0.33, 0.25]), np.array([0.41, 0.33])
        objects = scattered(rng, self.objects, near_m=near, far_m=far)
        return objects, shuffled_left_right(rng, ("blue bin", "white bin"))

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        pairs = ((wish["first"], wish["bin"]), (wish["second"], wish["other_bin"]))
        self._steps = tuple(Goal(name, place, side_of(object_position(data, name))) for name, place in pairs)
        return self._steps[-1]

    @property
    def goals(self) -> tuple[Goal, ...]:
        return self._steps

    def _want(self, wish: Wish, data: mujoco.MjData) -> None:
        super()._want(wish, data)
        self._spoiled = False

    def goal_now(self, model: mujoco.MjModel, data: mujoco.MjData) -> Goal:
        """The first step whose object is not where it belongs; the last one when all are."""
        return next((step for step in self._steps if not self.delivered(model, data, step)), self._steps[-1])

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): half for each step, each counted as in every ``PlaceTask``."""
        first, second = self._steps
        now = self.goal_now(model, data)
        self._spoiled = self._spoiled or (now == first and self.delivered(model, data, second))
        if self._spoiled:
            return False, 0.0, f"{second.object} before {first.object}"
        done = 0.0 if now == first else 0.5
        if self.delivered(model, data, now):
            left = all(left_alone(model, data, step.object) for step in self._steps)
            return left, 1.0 if left else 0.95, "both in their bins"
        if is_lifted(self, data, now.object):
            return False, done + 0.3, f"{now.object} lifted"
        progress, detail = reaching(hand_distance(data, now.side, now.object), now.object)
        return False, done + progress / 2, detail
