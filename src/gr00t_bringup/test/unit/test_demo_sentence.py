# SPDX-License-Identifier: Apache-2.0
"""The demo is asked by a sentence: which task that is, what is then said to the robot, and what is refused before it starts."""

import pytest

from gr00t_bringup.demo import sentence_for, task_for_demo
from gr00t_sim.tasks.registry import TASKS, make_task
from gr00t_sim.tasks.task import TaskError


@pytest.mark.parametrize("name", TASKS)
def test_a_sentence_of_any_task_starts_a_task_that_understands_it_and_is_said_as_it_is(name):
    for template in make_task(name).templates:
        said = template.format(**{blank: names[0] for blank, names in _differing(make_task(name).slots).items()})
        found = task_for_demo(None, said)
        assert make_task(found).parse(said) == make_task(name).parse(said)
        assert sentence_for(found, said) == said


def test_the_task_that_is_named_wins_over_what_the_sentence_would_start():
    said = "put the red can into the blue bin"
    assert task_for_demo("choose_bin", said) == "choose_bin"
    assert task_for_demo(None, said) == "pick_named_object"


@pytest.mark.parametrize("said", [None, "", "  "])
def test_without_a_sentence_it_is_the_usual_task(said):
    assert task_for_demo(None, said) == "pick_named_object"


def test_another_task_without_a_sentence_says_its_scenes_own():
    assert sentence_for("close_door", None) == ""
    assert make_task("pick_named_object").parse(sentence_for("pick_named_object", None))["object"] == "red can"


@pytest.mark.parametrize(
    ("task", "said", "expected"),
    [
        (None, "make me a coffee", "no task understands 'make me a coffee'; say for example"),
        ("stack", "close the door", "task 'stack' cannot tell what 'close the door' asks for"),
        ("dance", None, "unknown task 'dance'; known: pick_named_object"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(task, said, expected):
    with pytest.raises(TaskError, match=expected):
        sentence_for(task_for_demo(task, said), said)


def _differing(slots):
    """Slots whose first names differ from each other."""
    found = {}
    for blank, names in slots.items():
        taken = {first[0] for first in found.values()}
        found[blank] = tuple(name for name in names if name not in taken) or names
    return found
