# SPDX-License-Identifier: Apache-2.0
"""The tasks by name, and suites of them."""

from gr00t_sim.tasks.choose_bin import ChooseBin
from gr00t_sim.tasks.choose_plate import ChoosePlate
from gr00t_sim.tasks.furniture_task import CloseDoor, CloseDrawer, OpenDrawer
from gr00t_sim.tasks.handover import Handover
from gr00t_sim.tasks.lift_box import LiftBox
from gr00t_sim.tasks.pick_named_object import PickNamedObject
from gr00t_sim.tasks.pick_one_of import PickBallByColour, PickByColour, PickLargeOrSmall, PickTallOrShort
from gr00t_sim.tasks.pick_with_named_hand import PickWithNamedHand
from gr00t_sim.tasks.pour import Pour
from gr00t_sim.tasks.push_to_zone import PushToZone
from gr00t_sim.tasks.put_in_drawer import PutInDrawer
from gr00t_sim.tasks.stack import Stack
from gr00t_sim.tasks.task import Task, TaskError
from gr00t_sim.tasks.two_step import TwoStep

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        PickNamedObject,
        ChooseBin,
        ChoosePlate,
        PickByColour,
        PickBallByColour,
        PickTallOrShort,
        PickLargeOrSmall,
        PickWithNamedHand,
        TwoStep,
        Stack,
        PushToZone,
        OpenDrawer,
        CloseDrawer,
        PutInDrawer,
        CloseDoor,
        LiftBox,
        Handover,
        Pour,
    )
}

SUITES: dict[str, tuple[str, ...]] = {
    "gr1_tabletop": tuple(TASKS),
}


def make_task(name: str) -> Task:
    """A new task object. Raises TaskError naming the known tasks."""
    if name not in TASKS:
        raise TaskError(f"unknown task '{name}'; known: {', '.join(TASKS)}")
    return TASKS[name]()


def suite_named(name: str) -> tuple[str, ...]:
    """The tasks of a suite. Raises TaskError naming the known suites."""
    if name not in SUITES:
        raise TaskError(f"unknown suite '{name}'; known: {', '.join(SUITES)}")
    return SUITES[name]


def tasks_named(name: str) -> tuple[str, ...]:
    """The tasks of a suite, or the one task of that name. Raises TaskError naming the known ones."""
    if name in SUITES:
        return SUITES[name]
    if name not in TASKS:
        raise TaskError(f"unknown task or suite '{name}'; suites: {', '.join(SUITES)}; tasks: {', '.join(TASKS)}")
    return (name,)
