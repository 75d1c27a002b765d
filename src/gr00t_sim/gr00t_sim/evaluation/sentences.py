# SPDX-License-Identifier: Apache-2.0
"""What the robot is told in an evaluation: the scene's own sentence, one that asks for something else, or nothing."""

import numpy as np

from gr00t_sim.tasks.task import Task

LANGUAGES = ("own", "other", "empty")


def languages_of(task: Task, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``wanted`` that the task has: where there is one object and one bin, nothing else can be asked for."""
    has_other = len(task.objects) > 1 or len(task.bins) > 1
    return tuple(name for name in wanted if name != "other" or has_other)


def other_sentence(task: Task, seed: int, own: str) -> str:
    """A sentence about the same scene that names another object, or another bin where there is but one object."""
    rng = np.random.default_rng([seed, 4])
    named, place = task.parse(own)
    others = [kind.name for kind in task.objects if kind.name != named]
    bins = [kind.name for kind in task.bins if kind.name != place]
    template = task.templates[rng.integers(len(task.templates))]
    chosen_bin = place if others else bins[rng.integers(len(bins))]
    return template.format(object=others[rng.integers(len(others))] if others else named, bin=chosen_bin)
