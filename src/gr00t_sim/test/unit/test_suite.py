# SPDX-License-Identifier: Apache-2.0
"""Every task of the suite: sentences that are understood as meant, honest physics, a referee that is not easily pleased,
and an expert that does it."""

import mujoco
import numpy as np
import pytest
from watched_sim import WatchedSim

from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.expert_rates import ExpertsConfig, attempt
from gr00t_sim.experts.registry import EXPERTS, make_expert
from gr00t_sim.furniture import DRAWER_HANDLE
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import SUITES, TASKS, make_task
from gr00t_sim.tasks.sentences import draw, other, understand
from gr00t_sim.tasks.task import TaskError

SUITE = SUITES["gr1_tabletop"]


@pytest.fixture(scope="module", params=SUITE)
def sim(request):
    sim = WatchedSim(request.param)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def done(sim):
    """The expert's run in one scene: (seconds to success or None, the referee's last word, its progress 20 times a second)."""
    return *attempt(make_expert(sim), sim, 20001), tuple(sim.progress)


def test_the_expert_does_the_task_and_nothing_moves_but_by_its_velocity(done):
    """``WatchedSim`` looks at every physics step."""
    seconds, detail, _ = done
    assert seconds is not None, detail


def test_progress_rises_in_stages_to_success_and_never_falls_without_a_cause(done, sim):
    """The hand comes nearer (below 0.4), then the thing moves (up to 0.95): a referee that knows only 0 and 1 has neither."""
    progress = np.array(done[2])
    assert np.ptp(progress[progress < 0.4]) > 0.1, "coming nearer counts"
    between = progress[(progress >= 0.4) & (progress < 1)]
    assert len(set(np.round(between, 1))) >= 2, "so does what is done before the end"
    assert (progress[-5:] == 1).all()
    fall = (
        0.11 if sim.task.name == "handover" else 0.02
    )  # the giving hand brushes the bottle as it goes: "in both hands" again
    assert (np.maximum.accumulate(progress) - progress).max() < fall


def test_a_world_left_alone_is_no_success(sim):
    sim.reset(20002)
    sim.step_physics(100)
    status = sim.task_state()
    assert not status.success and status.progress < 0.5


def test_nothing_is_welded_attracted_or_carried_by_magic(sim):
    assert {mujoco.mjtEq(kind) for kind in sim.model.eq_type} == {mujoco.mjtEq.mjEQ_JOINT}, "finger linkages only"
    assert not (sim.model.body_mocapid >= 0).any()
    assert not (sim.model.actuator_trntype == mujoco.mjtTrn.mjTRN_BODY).any(), "no adhesion"
    assert sim.model.nu == len(sim.embodiment.joints), "nothing but the robot is driven"


def test_things_lie_still_and_do_not_overlap_at_the_start(sim):
    for seed in range(20010, 20013):
        sim.reset(seed, start=sim.home)
        before = {kind.name: sim.place_of(kind.name) for kind in sim.task.objects}
        sim.step_physics(250)
        for name, place in before.items():
            assert np.linalg.norm(sim.place_of(name) - place) < 0.01, (seed, name)


@pytest.mark.parametrize("name", SUITE)
def test_every_sentence_is_understood_as_it_was_meant(name):
    task = make_task(name)
    assert len(set(task.templates)) >= 5
    rng = np.random.default_rng(0)
    for template in task.templates:
        for _ in range(8):
            wish = draw(task.slots, rng)
            assert task.parse(template.format(**wish).upper()) == wish


def test_an_instruction_in_two_steps_is_spoilt_by_the_wrong_order():
    sim = TabletopSim("two_step")
    sim.reset(3, "first put the red can into the blue bin, then the yellow ball into the white bin")

    def drop(name, place):
        address = sim.model.joint(name).qposadr[0]
        sim.data.qpos[address : address + 3] = sim.place_of(place) + np.array([0, 0, 0.06])
        sim.step_physics(300)

    drop("yellow ball", "white bin")
    assert "before" in sim.task_state().detail
    drop("red can", "blue bin")
    assert not sim.task_state().success
    sim.ask("first put the red can into the blue bin, then the yellow ball into the white bin")
    assert sim.task_state().success
    sim.close()


def test_a_task_without_blanks_refuses_what_it_cannot_judge():
    task = make_task("open_drawer")
    assert task.parse("Please open the drawer!") == {}
    with pytest.raises(TaskError, match="pull the drawer open"):
        task.parse("close the drawer")


def test_the_hand_that_was_not_named_spoils_the_episode():
    sim = TabletopSim("pick_with_named_hand")
    expert = make_expert(sim)
    sim.reset(20001, "with your right hand, put the red can into the blue bin")
    expert.restart()
    targets = []
    while not sim.task_state().success:
        targets.append(expert.act())
        sim.set_targets(targets[-1], 0.05)
        sim.step_physics(25)
    sim.reset(20001, "with your left hand, put the red can into the blue bin")
    for target in targets:
        sim.set_targets(target, 0.05)
        sim.step_physics(25)
        sim.task_state()
    status = sim.task_state()
    assert not status.success and "right hand touched" in status.detail
    sim.close()


def test_a_drawer_is_moved_by_contact_with_its_handle_alone():
    """The handle is a bar that fingers may also hook; let them pass through it and it stays shut, however they pull."""
    sim = TabletopSim("open_drawer")
    handle = sim.model.body(DRAWER_HANDLE).id
    sim.model.geom_contype[sim.model.geom_bodyid == handle] = 0
    sim.model.geom_conaffinity[sim.model.geom_bodyid == handle] = 0
    expert = make_expert(sim)
    decide, phases = expert.decide, set()

    def deciding():
        steps = decide()
        phases.update(step.phase for step in steps.values())
        return steps

    expert.decide = deciding
    assert attempt(expert, sim, 20001)[0] is None
    assert "pull" in phases
    sim.close()


def test_another_wish_differs_and_can_be_said():
    slots = {"object": ("a1", "b1"), "base": ("a1", "b1"), "bin": ("c1",)}
    wish = {"object": "a1", "base": "b1", "bin": "c1"}
    assert other(slots, wish, np.random.default_rng(0)) == {"object": "b1", "base": "a1", "bin": "c1"}
    assert understand(slots, "b1 onto A1") == {"object": "b1", "base": "a1", "bin": "c1"}
    assert understand(slots, "b1 onto nothing") is None


def test_every_expert_of_its_own_belongs_to_a_task():
    assert set(EXPERTS) <= set(TASKS)


def test_an_unknown_suite_is_refused_with_the_known_ones():
    with pytest.raises(TaskError, match="gr1_tabletop"):
        ExpertsConfig(task="gr2_kitchen")


def test_no_demonstration_starts_with_a_hand_inside_something():
    sim = TabletopSim("lift_box")
    demonstrator = Demonstrator(sim, Variety(random_start=1.0, pushed=0.0, after_success_ticks=0))
    first = demonstrator.run(41)  # drawn 5 cm deep in the box
    sim.reset(41)
    demonstrator._random_start(np.random.default_rng([41, 1]))
    assert sim.data.contact.dist.min(initial=0.0) > -0.003
    assert first.success
    sim.close()


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("stack", "put the blue block on the red cube"),
        ("two_step", "put the red can into the white bin, but before that the yellow ball into the blue bin"),
        ("two_step", "put the yellow ball in the white bin after the red can is in the blue bin"),
        ("pick_by_colour", "put the red cube into the white bin"),
        ("push_to_zone", "pick up the green cube and place it in the blue bin"),
        ("put_in_drawer", "take the orange ball out of the drawer"),
        ("pick_with_named_hand", "wave your left hand"),
        ("open_drawer", "don't open the drawer"),
        ("handover", "put the red bottle on the blue plate"),
        ("pour", "put the cup into the red bowl"),
        ("pick_named_object", "do not put the red can into the blue bin"),
    ],
)
def test_what_asks_for_something_else_is_refused_and_the_scene_stays(task, sentence):
    sim = TabletopSim(task)
    sim.reset(5)
    before = (sim.data.qpos.copy(), sim.model.body_pos.copy(), sim.sentence, sim.task.goal)
    for attempt_to in (lambda: sim.reset(6, sentence), lambda: sim.ask(sentence)):
        with pytest.raises(TaskError, match="cannot tell what"):
            attempt_to()
    np.testing.assert_array_equal(sim.data.qpos, before[0])
    np.testing.assert_array_equal(sim.model.body_pos, before[1])
    assert (sim.sentence, sim.task.goal) == before[2:]
    sim.close()
