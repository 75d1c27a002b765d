# SPDX-License-Identifier: Apache-2.0
"""Of which subtasks each task consists: which hand moves about which thing, until what is seen, and who waits for whom.

A subtask of one hand runs as soon as that hand is free (parallel); one with ``after`` waits for the end of an earlier
subtask, whichever hand does it (sequential); one of both hands starts and goes on in step (coordinated).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gr00t_sim.furniture import DOOR, DRAWER_HANDLE
from gr00t_sim.robot import SIDES
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.pour import MAT
from gr00t_sim.tasks.registry import TASKS
from gr00t_sim.tasks.task import Task, TaskError

Signal = Literal["lifted", "presented", "received", "poured", "released", "clear", "touched", "parted", "end"]
"""lifted: the goal's object is most of the way up; presented: the goal's hand holds it where the other one will take it;
received: both hold it, and the goal's hand is about to let go; poured: it is upright after it was last tipped, and up again;
released: the hand has let go of it; clear: the hand is well away from it; touched: the hand is in contact with the
reference; parted: for the last time; end: of the demonstration."""

Following = Literal["turned", "stretched", "swung"]
"""How a motion follows the way from its reference to somewhere. turned: with the way, not with the reference; stretched:
also made longer or shorter with it; swung: about the reference, as far as the way's end asks for at last."""


@dataclass(frozen=True)
class Subtask:
    """One piece of a hand's work. reference: 'object' or 'target' of the goal, a body of the furniture, or None (the world).

    way_to: 'target' or a body that the motion leads to, as ``following`` says.
    """

    name: str
    hand: Literal["goal", "other", "both"]
    reference: str | None
    until: Signal
    after: str | None = None
    way_to: str | None = None
    following: Following = "turned"


_PICK_AND_PLACE = (
    Subtask("grasp", "goal", "object", "lifted", after="clear"),  # the second goal's; nothing precedes the first
    Subtask("place", "goal", "target", "released"),
    Subtask("clear", "goal", "target", "clear"),
    Subtask("leave", "goal", None, "end"),
)
SUBTASKS: dict[str, tuple[Subtask, ...]] = {
    "put_in_drawer": (*_PICK_AND_PLACE, Subtask("shut", "other", DRAWER_HANDLE, "end", after="clear")),
    "lift_box": (Subtask("lift", "both", "object", "end"),),
    "open_drawer": (Subtask("pull", "goal", DRAWER_HANDLE, "end"),),
    "close_drawer": (
        Subtask("reach", "goal", DRAWER_HANDLE, "touched"),
        Subtask("push", "goal", DRAWER_HANDLE, "parted", way_to="cabinet", following="stretched"),
        Subtask("leave", "goal", None, "end"),
    ),
    "push_to_zone": (
        Subtask("reach", "goal", "object", "touched", way_to="target"),
        Subtask("push", "goal", "object", "parted", way_to="target", following="stretched"),
        Subtask("leave", "goal", None, "end"),
    ),
    "close_door": (
        Subtask("reach", "goal", DOOR, "touched"),
        Subtask("push", "goal", DOOR, "parted", way_to="oven", following="swung"),
        Subtask("leave", "goal", None, "end"),
    ),
    "handover": (
        Subtask("grasp", "goal", "object", "lifted"),
        Subtask("offer", "goal", None, "presented"),  # the hands meet where both reach, wherever the bottle stood
        Subtask("ready", "other", None, "presented", after="grasp"),
        Subtask("meet", "both", "object", "received"),
        Subtask("release", "goal", "object", "clear"),
        Subtask("place", "other", "target", "released", after="release"),
        Subtask("clear", "other", "target", "clear"),
        Subtask("return", "goal", None, "end"),
        Subtask("leave", "other", None, "end"),
    ),
    "pour": (
        Subtask("grasp", "goal", "object", "lifted"),
        Subtask("pour", "goal", "target", "poured"),
        Subtask("put back", "goal", MAT.name, "released"),
        Subtask("clear", "goal", MAT.name, "clear"),
        Subtask("leave", "goal", None, "end"),
    ),
    **{
        name: _PICK_AND_PLACE
        for name, task in TASKS.items()
        if issubclass(task, PlaceTask) and name not in ("put_in_drawer", "handover")
    },
}
"""Task -> its subtasks, once for every goal of it."""


@dataclass(frozen=True)
class PlannedSubtask:
    """A subtask in one scene. body: its reference; object: its goal's; after: the number of the one it waits for.

    way_to: the body that the motion leads to, as ``following`` says; lead: the goal's hand, of two the giving one.
    """

    name: str
    hands: tuple[str, ...]
    body: str | None
    object: str
    until: Signal
    after: int | None
    way_to: str | None = None
    following: Following = "turned"
    lead: str = ""


def subtasks_of(task: str) -> tuple[Subtask, ...]:
    """The subtasks of a task. Raises TaskError when nobody has said of which it consists, naming those that are known."""
    if task not in SUBTASKS:
        raise TaskError(
            f"demonstrations of '{task}' cannot be multiplied: its subtasks are not described; "
            f"described are {', '.join(sorted(SUBTASKS))}"
        )
    return SUBTASKS[task]


def bodies_of(subtasks: Iterable[PlannedSubtask]) -> list[str]:
    """All that stands somewhere and matters to a plan: references, goals' objects, ends of ways."""
    return sorted({body for one in subtasks for body in (one.body, one.object, one.way_to) if body is not None})


def plan(task: Task) -> tuple[PlannedSubtask, ...]:
    """The subtasks of a task in the scene that it has laid out, in order."""
    planned: list[PlannedSubtask] = []
    for goal in task.goals:
        for subtask in subtasks_of(task.name):
            hands: tuple[str, ...] = SIDES if subtask.hand == "both" else (goal.side,)
            if subtask.hand == "other":
                hands = tuple(side for side in SIDES if side != goal.side)
            roles = {"object": goal.object, "target": goal.target}
            body, way_to = (
                None if name is None else roles.get(name, name) for name in (subtask.reference, subtask.way_to)
            )
            earlier = [number for number, one in enumerate(planned) if one.name == subtask.after]
            after = earlier[-1] if earlier else None
            planned.append(
                PlannedSubtask(
                    subtask.name,
                    hands,
                    body,
                    goal.object,
                    subtask.until,
                    after,
                    way_to=way_to,
                    following=subtask.following,
                    lead=goal.side,
                )
            )
    return tuple(planned)
