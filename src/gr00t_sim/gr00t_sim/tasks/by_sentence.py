# SPDX-License-Identifier: Apache-2.0
"""Which task a sentence is about."""

import re

from gr00t_sim.tasks.registry import TASKS
from gr00t_sim.tasks.sentences import all_wishes
from gr00t_sim.tasks.task import Task, TaskError

_SHOWN = 80  # characters of a sentence in an error


def task_for(sentence: str) -> str:
    """The task whose referee understands ``sentence`` and whose own sentences are most like it; of equals the first known.

    Raises TaskError when no referee does.
    """
    understood = {name: task() for name, task in TASKS.items() if _understands(task(), sentence)}
    if not understood:
        raise TaskError(
            f"no task understands '{sentence[:_SHOWN]}'; say for example "
            + ", ".join(f"'{task.example()}' ({name})" for name, task in ((n, t()) for n, t in TASKS.items()))
        )
    return max(understood, key=lambda name: _likeness(understood[name], sentence))


def _understands(task: Task, sentence: str) -> bool:
    try:
        task.parse(sentence)
    except TaskError:
        return False
    return True


def _likeness(task: Task, sentence: str) -> float:
    """Share of common words (Jaccard index) with the most similar sentence of a task; 1 for one of its own."""
    said = _words(sentence)
    own = (_words(template.format(**wish)) for wish in all_wishes(task.slots) for template in task.templates)
    return max(len(said & words) / len(said | words) for words in own)


def _words(sentence: str) -> set[str]:
    return set(re.findall(r"[a-z']+", sentence.lower()))
