# SPDX-License-Identifier: Apache-2.0
"""What a task is: objects and bins, where they may lie, what is said, and when it is done."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import Gr00tError
from gr00t_sim.scene import BIN_HALF_M, TABLE_TOP_M, BinKind, ObjectKind

_AT_REST_M_S = 0.05
_HAND_AWAY_M = 0.10
_SHOWN = 80  # characters of a sentence in an error


class TaskError(Gr00tError):
    """A task or sentence is unknown to the simulator."""


@dataclass(frozen=True)
class Goal:
    """What the sentence asks for: this object into this bin, with the hand of this side."""

    object: str
    bin: str
    side: str


class Task(ABC):
    """One tabletop task. Subclasses are declarative: class attributes, ``_scene`` and ``sentences``."""

    name: str
    objects: tuple[ObjectKind, ...]
    bins: tuple[BinKind, ...]
    templates: tuple[str, ...]

    def __init__(self) -> None:
        self.goal = Goal(self.objects[0].name, self.bins[0].name, "right")

    @abstractmethod
    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Random layout: object name -> (x, y, yaw), bin name -> (x, y) on the table [m, rad]."""

    def place(
        self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, sentence: str | None = None
    ) -> str:
        """Lay the scene out and fix the goal; returns the sentence. The layout does not depend on ``sentence``."""
        objects, bins = self._scene(rng)
        self.layout = objects
        for kind in self.objects:
            x, y, yaw = objects[kind.name]
            address = model.joint(kind.name).qposadr[0]
            data.qpos[address : address + 3] = [x, y, TABLE_TOP_M + kind.height_m + 5e-4]
            data.qpos[address + 3 : address + 7] = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        for box in self.bins:
            model.body(box.name).pos = [*bins[box.name], TABLE_TOP_M]
        chosen_object = self.objects[rng.integers(len(self.objects))].name
        chosen_bin = self.bins[rng.integers(len(self.bins))].name
        template = self.templates[rng.integers(len(self.templates))]
        if sentence is None:
            sentence = template.format(object=chosen_object, bin=chosen_bin)
        elif sentence.strip():
            chosen_object, chosen_bin = self.parse(sentence)
        self.goal = Goal(chosen_object, chosen_bin, "left" if objects[chosen_object][1] > 0 else "right")
        return sentence

    def ask(self, data: mujoco.MjData, sentence: str) -> None:
        """Change the goal to what ``sentence`` asks for, in the scene as it lies now. Raises TaskError."""
        name, goal_bin = self.parse(sentence)
        self.goal = Goal(name, goal_bin, "left" if object_position(data, name)[1] > 0 else "right")

    def parse(self, sentence: str) -> tuple[str, str]:
        """Object and bin a sentence names; a bin may go unnamed when there is one. Raises TaskError."""
        text = sentence.lower()
        objects = [kind.name for kind in self.objects if kind.name in text]
        bins = [kind.name for kind in self.bins if kind.name in text] or [self.bins[0].name] * (len(self.bins) == 1)
        if len(objects) != 1 or len(bins) != 1:
            raise TaskError(
                f"task '{self.name}' cannot tell what '{sentence[:_SHOWN]}' asks for; name one of "
                f"{', '.join(k.name for k in self.objects)} and one of {', '.join(k.name for k in self.bins)}"
            )
        return objects[0], bins[0]

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress 0..1, detail). Success: the named object, alone, at rest in the named bin, hand away."""
        name, goal_bin = self.goal.object, self.goal.bin
        inside = [kind.name for kind in self.objects if self.bin_of(model, data, kind.name) == goal_bin]
        centre = object_position(data, name)
        hand = data.site(f"{self.goal.side}_grasp").xpos
        distance = float(np.linalg.norm(hand - centre))
        if name in inside:
            dof = model.joint(name).dofadr[0]
            still = float(np.abs(data.qvel[dof : dof + 3]).max()) < _AT_REST_M_S
            away = distance > _HAND_AWAY_M
            done = still and away and inside == [name]
            return done, 1.0 if done else 0.9, f"{name} in {goal_bin}" + ("" if done else ", hand not yet away")
        resting = TABLE_TOP_M + next(k.height_m for k in self.objects if k.name == name)
        if centre[2] > resting + 0.03:
            return False, 0.6, f"{name} lifted"
        if inside:
            return False, 0.0, f"{', '.join(inside)} in {goal_bin} instead of {name}"
        near = float(np.clip(1 - distance / 0.4, 0, 1))
        return False, 0.4 * near, f"hand {100 * distance:.0f} cm from {name}"

    def bin_of(self, model: mujoco.MjModel, data: mujoco.MjData, name: str) -> str:
        """The bin an object lies in, or ''."""
        x, y, z = object_position(data, name)
        for kind in self.bins:
            bx, by, bz = model.body(kind.name).pos
            if abs(x - bx) < BIN_HALF_M[0] and abs(y - by) < BIN_HALF_M[1] and bz - 0.01 < z < bz + 0.10:
                return kind.name
        return ""


def object_position(data: mujoco.MjData, name: str) -> NDArray[np.float64]:
    """Centre of a loose object in the world (3,) [m]."""
    address = data.joint(name).qpos
    return np.array(address[:3])


def sample_apart(
    rng: np.random.Generator, regions: list[tuple[NDArray[np.float64], NDArray[np.float64]]], apart_m: float
) -> list[NDArray[np.float64]]:
    """One (x, y) uniformly in each (low, high) region, all pairwise at least ``apart_m`` from each other."""
    while True:
        points = [rng.uniform(low, high) for low, high in regions]
        gaps = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
        if not gaps or min(gaps) >= apart_m:
            return points
