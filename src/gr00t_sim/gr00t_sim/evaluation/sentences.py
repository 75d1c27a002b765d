# SPDX-License-Identifier: Apache-2.0
"""What the robot is told in an evaluation: the scene's own sentence, one that asks for something else, or nothing."""

import numpy as np

from gr00t_sim.tasks.sentences import has_choice, other
from gr00t_sim.tasks.task import Task

LANGUAGES = ("own", "other", "empty")


def languages_of(task: Task, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``wanted`` that the task has: where there is nothing to choose, nothing else can be asked for."""
    return tuple(name for name in wanted if name != "other" or has_choice(task.slots))


def other_sentence(task: Task, seed: int, own: str) -> str:
    """A sentence about the same scene that asks for something else: another object, or another bin where there is but one."""
    rng = np.random.default_rng([seed, 4])
    template = task.templates[rng.integers(len(task.templates))]
    return template.format(**other(task.slots, task.parse(own), rng))
