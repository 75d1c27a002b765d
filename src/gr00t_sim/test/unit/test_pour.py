# SPDX-License-Identifier: Apache-2.0
"""The referee of the pouring counts beads in bowls and looks how the cup stands; a cup keeps what is in it."""

import numpy as np
import pytest
from placed import LYING, UPRIGHT, put

from gr00t_sim.experts.registry import make_expert
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.pour import BEADS, CUP, ENOUGH, MAT


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim("pour")
    yield sim
    sim.close()


def _poured(sim, count, bowl, *, cup=UPRIGHT, aside_m=0.0):
    """As if so many beads had been poured into a bowl and the cup put down."""
    sim.reset(20001, "pour the beads into the red bowl and set the cup back on its mat")
    for index, bead in enumerate(BEADS[:count]):
        put(sim, bead.name, sim.place_of(bowl) + np.array([0.018 * (index - 3), 0.0, 0.02]))
    height = CUP.height_m if cup == UPRIGHT else CUP.size[0]
    put(sim, CUP.name, sim.place_of(MAT.name) + np.array([aside_m, 0.0, height]), cup)
    return sim.task_state()


def test_six_beads_in_the_named_bowl_and_the_cup_on_its_mat_are_enough_and_nothing_less(sim):
    assert _poured(sim, ENOUGH, "red bowl").success
    assert _poured(sim, len(BEADS), "red bowl").success
    assert not _poured(sim, ENOUGH - 1, "red bowl").success
    assert not _poured(sim, ENOUGH, "red bowl", cup=LYING).success
    assert not _poured(sim, ENOUGH, "red bowl", aside_m=0.08).success
    assert "wrong bowl" in _poured(sim, ENOUGH, "white bowl").detail


def test_either_hand_must_be_away_from_the_cup_on_its_mat(sim):
    assert _poured(sim, ENOUGH, "red bowl").success
    cup = sim.place_of(CUP.name)
    for side in ("left", "right"):
        for height_m, solved in ((0.15, True), (0.09, False)):
            _poured(sim, ENOUGH, "red bowl")
            beads = {bead.name: sim.place_of(bead.name) for bead in BEADS}
            sim.place_joints(sim.home)
            sim.place_joints(make_expert(sim).reach(side, cup + np.array([0.0, 0.0, height_m])))
            for name, place in {**beads, CUP.name: cup}.items():
                put(sim, name, place)
            assert sim.task_state().success is solved, f"{side} hand {100 * height_m:.0f} cm above it"


def test_more_beads_in_the_bowl_are_more_progress(sim):
    progress = [_poured(sim, count, "red bowl", aside_m=0.2).progress for count in range(len(BEADS))]
    assert progress == sorted(progress) and progress[0] < 0.4 < progress[1] < progress[ENOUGH] < 0.9


def test_the_label_is_the_bowl_while_there_is_something_to_pour_and_the_mat_afterwards(sim):
    sim.reset(20001)
    assert sim.task.in_cup(sim.data) == len(BEADS)
    assert sim.task.goal_now(sim.model, sim.data).target == sim.task.goal.target
    _poured(sim, ENOUGH, "red bowl")
    assert sim.task.goal_now(sim.model, sim.data).target == MAT.name


def test_no_bead_leaves_the_cup_before_it_is_tipped(sim):
    """Walls of boxes have no gaps: grasped, lifted and carried by the hand, the cup keeps all its beads."""
    expert = make_expert(sim)
    sim.reset(20001)
    expert.restart()
    while expert.phase != "pour":
        assert sim.time_s < 6.0
        sim.set_targets(expert.act(), 0.05)
        sim.step_physics(25)
    assert sim.place_of(CUP.name)[2] > sim.place_of(MAT.name)[2] + CUP.height_m + 0.05
    assert sim.task.in_cup(sim.data) == len(BEADS)
