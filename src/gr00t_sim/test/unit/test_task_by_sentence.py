# SPDX-License-Identifier: Apache-2.0
"""A sentence finds the task that it is about."""

import pytest

from gr00t_sim.tasks.by_sentence import task_for
from gr00t_sim.tasks.registry import TASKS
from gr00t_sim.tasks.sentences import all_wishes
from gr00t_sim.tasks.task import TaskError


@pytest.mark.parametrize("name", TASKS)
def test_every_sentence_of_a_task_finds_a_task_that_says_it(name):
    task = TASKS[name]()
    for wish in all_wishes(task.slots):
        for template in task.templates:
            sentence = template.format(**wish)
            found = TASKS[task_for(sentence)]()
            own = {t.format(**w) for w in all_wishes(found.slots) for t in found.templates}
            assert sentence in own, f"'{sentence}' of {name} went to {found.name}"


@pytest.mark.parametrize(
    ("sentence", "task"),
    [
        ("pick up the green cube and place it in the blue bin", "pick_named_object"),
        ("Please stack the red cube on the white block!", "stack"),
        ("open the drawer", "open_drawer"),
        ("lift the brown box with both hands", "lift_box"),
    ],
)
def test_a_sentence_finds_its_task(sentence, task):
    assert task_for(sentence) == task


def test_a_sentence_about_nothing_known_is_answered_with_examples():
    with pytest.raises(TaskError, match=r"do a backflip.*say for example.*\(stack\)"):
        task_for("do a backflip")


def test_all_wishes_fill_equal_blanks_with_different_names():
    wishes = all_wishes({"first": ("a", "b"), "second": ("a", "b"), "bin": ("x",)})
    assert sorted(tuple(wish.values()) for wish in wishes) == [("a", "b", "x"), ("b", "a", "x")]
    assert all_wishes({}) == [{}]
