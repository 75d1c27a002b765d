# SPDX-License-Identifier: Apache-2.0
"""Tasks: layouts, sentences, the referee; and the expert that shows they can be done by finger contact alone."""

import numpy as np
import pytest
from placed import put

from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.experts.grasp import TOP_GRASP, HandShape
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.furniture import DRAWER
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import make_task
from gr00t_sim.tasks.task import TaskError

STRAIGHT = Variety(random_start=0.0, pushed=0.0, after_success_ticks=10)  # a can dropped into a bin may rock a while


@pytest.fixture(scope="module", params=("pick_named_object", "choose_bin"))
def demonstrator(request):
    demonstrator = Demonstrator(TabletopSim(request.param), STRAIGHT)
    yield demonstrator
    demonstrator.sim.close()


def test_expert_succeeds_on_every_one_of_eight_scenes(demonstrator):
    assert [demonstrator.run(seed).success for seed in range(40, 48)] == [True] * 8


def test_expert_recovers_from_pushes_and_marks_them_invalid():
    demonstrator = Demonstrator(TabletopSim("choose_bin"), Variety(random_start=1.0, pushed=1.0))
    records = [demonstrator.run(seed) for seed in range(4)]
    demonstrator.sim.close()
    assert sum(record.success for record in records) >= 3
    assert all(0 < sum(not valid for valid in record.valid) < len(record.valid) / 2 for record in records)


def test_nothing_is_picked_when_the_fingers_hardly_close(demonstrator, monkeypatch):
    never = HandShape(TOP_GRASP.open, TOP_GRASP.open + 0.1 * (TOP_GRASP.closed - TOP_GRASP.open))
    monkeypatch.setattr(demonstrator.expert, "shape", never)
    decide, phases = demonstrator.expert.decide, set()

    def deciding():
        steps = decide()
        phases.update(step.phase for step in steps.values())
        return steps

    monkeypatch.setattr(demonstrator.expert, "decide", deciding)
    assert not any(demonstrator.run(seed).success for seed in range(40, 43))
    assert "carry" in phases, "it went on as if it held something"


@pytest.mark.parametrize("task", ["put_in_drawer", "push_to_zone", "close_drawer"])
def test_what_an_expert_does_in_a_scene_does_not_depend_on_the_scenes_before(task):
    """Fists that had shut drawers of both sides stayed as they were: other rows than those of a worker that came new."""
    sim = TabletopSim(task)

    def first_targets(expert):
        sim.reset(40)
        expert.restart()
        targets = []
        for _ in range(4):
            targets.append(expert.act())
            sim.set_targets(targets[-1], 0.05)
            sim.step_physics(25)
        return targets

    def its_last_step(expert, seed):
        sim.reset(seed)
        if task == "put_in_drawer":
            put(sim, sim.task.goal.object, sim.place_of(DRAWER) + np.array([0.0, 0.0, 0.04]))
        expert.restart()
        expert.act()
        return sim.task.goal.side

    new, used = make_expert(sim), make_expert(sim)
    assert {its_last_step(used, seed) for seed in range(4)} == {"left", "right"}
    np.testing.assert_array_equal(first_targets(used), first_targets(new))
    sim.close()


def test_a_scene_without_motion_is_no_success(demonstrator):
    sim = demonstrator.sim
    sim.reset(5)
    sim.step_physics(200)
    status = sim.task_state()
    assert not status.success and status.progress < 0.5


def test_layout_does_not_depend_on_the_sentence():
    sim = TabletopSim("pick_named_object")
    sim.reset(11)
    before = sim.data.qpos.copy()
    sim.reset(11, "put the green cube into the blue bin")
    np.testing.assert_array_equal(before, sim.data.qpos)
    assert sim.task.goal.object == "green cube"


def test_goal_side_is_where_the_object_lies(demonstrator):
    for seed in range(20):
        demonstrator.sim.reset(seed)
        goal = demonstrator.sim.task.goal
        assert (goal.side == "left") == (demonstrator.sim.task.layout[goal.object][1] > 0)


def test_objects_keep_their_distance():
    task = make_task("pick_named_object")
    rng = np.random.default_rng(0)
    for _ in range(200):
        places = [value[:2] for value in task._scene(rng)[0].values()]
        assert min(np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]) >= 0.13


@pytest.mark.parametrize("sentence", ["pick up the purple cow", "put the red can and the green cube into the blue bin"])
def test_a_sentence_the_task_cannot_judge_is_refused_with_the_known_names(sentence):
    with pytest.raises(TaskError, match="red can.*blue bin"):
        make_task("pick_named_object").parse(sentence)


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(TaskError, match="choose_bin"):
        make_task("fly_to_the_moon")
