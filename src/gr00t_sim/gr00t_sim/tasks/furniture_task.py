# SPDX-License-Identifier: Apache-2.0
"""Tasks that move a drawer or a door: opened or closed so far, hand away."""

from abc import abstractmethod
from typing import ClassVar

import mujoco
import numpy as np

from gr00t_sim.furniture import DOOR, DOOR_JOINT, DRAWER, DRAWER_HANDLE, DRAWER_JOINT, DrawerCabinet, Oven
from gr00t_sim.tasks.place_task import HAND_AWAY_M, held, reaching
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Task, Vector, side_of

CABINET_M = np.array([0.60, 0.12])  # left; where the hand of that side reaches the handle, open and closed
CLOSED_M, OPEN_M, CLOSED_RAD = 0.005, 0.14, 0.05
_AT_REST = (
    0.02  # m/s of a drawer, rad/s of a door: a hand that pushes on and loses touch for an instant moves it faster
)


class FurnitureTask(Task):
    """Success: ``joint`` at rest beyond ``reached`` (from above or below), the hand away from ``grip``, none on ``moved``."""

    joint: ClassVar[str]
    grip: ClassVar[str]
    moved: ClassVar[tuple[str, ...]]
    reached: ClassVar[float]
    away_m: ClassVar[float] = HAND_AWAY_M

    @property
    def slots(self) -> Slots:
        return {}

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.4, moving 0.4 to 0.9, done 1."""
        opening = float(data.qpos[model.joint(self.joint).qposadr[0]])
        part = float(np.clip((self._start - opening) / (self._start - self.reached), 0.0, 1.0))
        distance = float(np.linalg.norm(data.site(f"{self.goal.side}_grasp").xpos - self._grip_place(data)))
        if part == 1.0:
            away = distance > self.away_m and not any(held(model, data, body) for body in self.moved)
            done = away and at_rest(data, self.joint)
            said = "" if done else ", not yet at rest" if away else ", hand not yet away"
            return done, 1.0 if done else 0.9, f"{self.joint} at {opening:.3f}{said}"
        if part > 0.1:
            return False, 0.4 + 0.5 * part, f"{self.joint} at {opening:.3f}"
        return False, *reaching(distance, self.grip)

    def _grip_place(self, data: mujoco.MjData) -> Vector:
        """Where the hand works, in the world (3,) [m]."""
        return np.array(data.body(self.grip).xpos)

    def _openings(self, rng: np.random.Generator) -> dict[str, float]:
        self._start = self._start_opening(rng)
        return {self.joint: self._start}

    @abstractmethod
    def _start_opening(self, rng: np.random.Generator) -> float:
        """How far the joint is open at the start [m or rad]."""


class _DrawerTask(FurnitureTask):
    """The cabinet stands left or right; the hand of that side works."""

    fixtures = (DrawerCabinet(),)
    joint, grip, moved = DRAWER_JOINT, DRAWER_HANDLE, (DRAWER, DRAWER_HANDLE)

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        self._cabinet = cabinet_place(rng)
        return {}, {"cabinet": self._cabinet}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(DRAWER_HANDLE, DRAWER, side_of(self._cabinet))


class OpenDrawer(_DrawerTask):
    """From closed, or nearly so, to 14 cm."""

    name = "open_drawer"
    reached = OPEN_M
    templates = (
        "open the drawer",
        "pull the drawer open",
        "pull out the drawer by its handle",
        "the drawer should be open",
        "grab the handle and open the drawer",
    )

    def _start_opening(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.0, 0.02))


class CloseDrawer(_DrawerTask):
    """From 12 to 17 cm open to shut."""

    name = "close_drawer"
    reached = CLOSED_M
    templates = (
        "close the drawer",
        "push the drawer shut",
        "shut the drawer",
        "the drawer should be closed",
        "push the drawer all the way in",
    )

    def _start_opening(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.12, 0.17))


class CloseDoor(FurnitureTask):
    """The oven's door, open by 57 to 80 degrees, is pushed shut with the left hand."""

    name = "close_door"
    fixtures = (Oven(),)
    joint, grip, moved, reached = DOOR_JOINT, DOOR, (DOOR,), CLOSED_RAD
    away_m = 0.0  # pushed with a flat hand anywhere on its width: not to touch it is enough
    templates = (
        "close the door",
        "close the oven door",
        "push the oven door shut",
        "shut the door of the oven",
        "the oven should be closed",
    )

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        return {}, {"oven": np.array([0.62, 0.0]) + rng.uniform([-0.01, -0.02], [0.01, 0.02])}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(DOOR, "oven", "left")

    def _grip_place(self, data: mujoco.MjData) -> Vector:
        return np.array(data.body(self.grip).xipos)  # its middle; its own place is its hinge

    def _start_opening(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(1.0, 1.4))


def at_rest(data: mujoco.MjData, joint: str) -> bool:
    """Whether a drawer or a door does not move: one that was flung shut may yet spring open."""
    return bool(abs(float(data.joint(joint).qvel[0])) < _AT_REST)


def cabinet_place(rng: np.random.Generator) -> Vector:
    """(x, y) of the cabinet, left or right of the middle."""
    side = rng.choice([1.0, -1.0])
    return (CABINET_M + rng.uniform([-0.01, -0.015], [0.01, 0.015])) * [1, side]
