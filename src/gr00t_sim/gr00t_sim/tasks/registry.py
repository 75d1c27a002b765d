# SPDX-License-Identifier: Apache-2.0
"""The tasks by name."""

from gr00t_sim.tasks.choose_bin import ChooseBin
from gr00t_sim.tasks.pick_named_object import PickNamedObject
from gr00t_sim.tasks.task import Task, TaskError

TASKS: dict[str, type[Task]] = {task.name: task for task in (PickNamedObject, ChooseBin)}


def make_task(name: str) -> Task:
    """A new task object. Raises TaskError naming the known tasks."""
    if name not in TASKS:
        raise TaskError(f"unknown task '{name}'; known: {', '.join(TASKS)}")
    return TASKS[name]()
