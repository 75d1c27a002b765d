# SPDX-License-Identifier: Apache-2.0
"""What every task is: things on a table, where they may be, what is said, which goal that sets, and when it is reached."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import Gr00tError
from gr00t_sim.scene import BINS, TABLE_TOP_M, BinKind, Fixture, ObjectKind
from gr00t_sim.tasks.sentences import Slots, Wish, draw, understand

Vector = NDArray[np.float64]
_DENIALS = {"not", "don't", "dont", "never"}
_SHOWN = 80  # characters of a sentence in an error


class TaskError(Gr00tError):
    """A task or sentence is unknown to the simulator."""


@dataclass(frozen=True)
class Goal:
    """What the sentence asks for: bring ``object`` to ``target`` (bodies of the model) with the hand of this side."""

    object: str
    target: str
    side: str


class Task(ABC):
    """One tabletop task. Subclasses are declarative where they can: class attributes, ``_scene`` and a family's judge.

    bins are things to put something into or onto (bins, plates); fixtures are furniture with joints and marks on the
    table. time_limit_s: what an expert may take at most. essential: words that every sentence has; turns: words that would
    make it ask for something else; ordered: the blanks are filled in the order in which they are named.
    """

    name: str
    objects: tuple[ObjectKind, ...] = ()
    bins: tuple[BinKind, ...] = ()
    fixtures: tuple[Fixture, ...] = ()
    templates: tuple[str, ...]
    time_limit_s: ClassVar[float] = 13.0
    essential: ClassVar[tuple[str, ...]] = ()
    turns: ClassVar[tuple[str, ...]] = ()
    ordered: ClassVar[bool] = False

    def __init__(self) -> None:
        self.layout: dict[str, Vector] = {}
        self.goal: Goal

    @property
    def slots(self) -> Slots:
        """The blanks of the templates, in the order in which sentences name them."""
        return {"object": tuple(kind.name for kind in self.objects), "bin": tuple(kind.name for kind in self.bins)}

    @abstractmethod
    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        """Random layout: object name -> (x, y, yaw), bin or fixture name -> (x, y) on the table [m, rad]."""

    @abstractmethod
    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        """The goal of a wish in the scene as it lies."""

    @abstractmethod
    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress 0..1, detail)."""

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals of the sentence in the order in which they are to be reached."""
        return (self.goal,)

    def goal_now(self, model: mujoco.MjModel, data: mujoco.MjData) -> Goal:
        """The goal to work at in this state: the next step of a task that has several."""
        return self.goal

    def bin_of(self, model: mujoco.MjModel, data: mujoco.MjData, name: str) -> str:
        """The bin or plate an object lies in, or ''."""
        position, kind = object_position(data, name), self.kind(name)
        for box in self.bins:
            if box.holds(position - model.body(box.name).pos, kind.height_m):
                return box.name
        return ""

    def kind(self, name: str) -> ObjectKind:
        """The loose object of that name."""
        return next(kind for kind in self.objects if kind.name == name)

    def place(
        self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, sentence: str | None = None
    ) -> str:
        """Lay the scene out and fix the goal; returns the sentence. The layout does not depend on ``sentence``."""
        self.layout, places = self._scene(rng)
        for kind in self.objects:
            x, y, yaw = self.layout[kind.name]
            address = model.joint(kind.name).qposadr[0]
            data.qpos[address : address + 3] = [x, y, TABLE_TOP_M + kind.height_m + 5e-4]
            data.qpos[address + 3 : address + 7] = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        for standing in (*self.bins, *self.fixtures):
            model.body(standing.name).pos = [*places[standing.name], TABLE_TOP_M]
        for joint, opening in self._openings(rng).items():
            data.qpos[model.joint(joint).qposadr[0]] = opening
        wish = draw(self.slots, rng)
        template = self.templates[rng.integers(len(self.templates))]
        if sentence is None:
            sentence = template.format(**wish)
        elif sentence.strip():
            wish = self.parse(sentence)
        self._want(wish, data)
        return sentence

    def ask(self, data: mujoco.MjData, sentence: str) -> None:
        """Change the goal to what ``sentence`` asks for, in the scene as it lies now. Raises TaskError."""
        self._want(self.parse(sentence), data)

    def parse(self, sentence: str) -> Wish:
        """What a sentence fills the blanks with; one without blanks must be said as the templates say it. Raises TaskError."""
        refusal = f"task '{self.name}' cannot tell what '{sentence[:_SHOWN]}' asks for; "
        text = sentence.lower()
        if set(re.findall(r"[a-z']+", text)) & _DENIALS:
            raise TaskError(refusal + "say what to do, not what not to do")
        absent = [name for name in BINS if name in text and name not in (box.name for box in self.bins)]
        if absent or any(word not in text for word in self.essential) or any(word in text for word in self.turns):
            raise TaskError(refusal + "it says something else; say for example: " + self.example())
        if not self.slots:
            if any(template.lower() in sentence.lower() for template in self.templates):
                return {}
            raise TaskError(refusal + "say one of: " + "; ".join(self.templates))
        wish = understand(self.slots, sentence)
        if wish is None:
            known = " and ".join(f"one of {', '.join(names)}" for names in self.slots.values())
            raise TaskError(f"{refusal}name {known}, e.g. '{self.example()}'")
        if self.ordered and sorted(wish.values(), key=text.index) != list(wish.values()):
            raise TaskError(refusal + f"say it in this order: {self.example()}")
        return wish

    def example(self) -> str:
        """One sentence of the task, always the same."""
        return self.templates[0].format(**draw(self.slots, np.random.default_rng(0)))

    def _openings(self, rng: np.random.Generator) -> dict[str, float]:
        """Joint of a fixture -> how far it is open at the start [m or rad]."""
        return {}

    def _want(self, wish: Wish, data: mujoco.MjData) -> None:
        self.goal = self._goal(wish, data)


def object_position(data: mujoco.MjData, name: str) -> Vector:
    """Centre of a loose object in the world (3,) [m]."""
    address = data.joint(name).qpos
    return np.array(address[:3])


def object_speed_m_s(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> float:
    """Largest component of a loose object's velocity."""
    dof = model.joint(name).dofadr[0]
    return float(np.abs(data.qvel[dof : dof + 3]).max())


def touches(model: mujoco.MjModel, data: mujoco.MjData, side: str, name: str) -> bool:
    """Whether any part of a hand is in contact with a body, a loose object or furniture, at this instant."""
    wanted = model.body(name).id
    for one, two in model.geom_bodyid[data.contact.geom]:
        if wanted in (one, two):
            other = model.body(two if one == wanted else one).name
            if other.startswith((f"{side[0].upper()}_", f"{side}_")):
                return True
    return False


def side_of(position: Vector) -> str:
    """The hand on whose side of the robot a place is."""
    return "left" if position[1] > 0 else "right"


def sample_apart(rng: np.random.Generator, regions: list[tuple[Vector, Vector]], apart_m: float) -> list[Vector]:
    """One (x, y) uniformly in each (low, high) region, all pairwise at least ``apart_m`` from each other."""
    while True:
        points = [rng.uniform(low, high) for low, high in regions]
        gaps = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
        if not gaps or min(gaps) >= apart_m:
            return points


def mirrored_region(low: Vector, high: Vector, sign: float) -> tuple[Vector, Vector]:
    """A region (low, high) given for the left side of the table, for that of ``sign``: 1 left, -1 right."""
    one, two = low * [1, sign], high * [1, sign]
    return np.minimum(one, two), np.maximum(one, two)
