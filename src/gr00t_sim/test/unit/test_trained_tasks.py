# SPDX-License-Identifier: Apache-2.0
"""Two tasks of the shipped checkpoint stay what it was trained on: a seed's layout, sentence, goal, and expert."""

from dataclasses import astuple

import numpy as np
import pytest

from gr00t_sim.experts.pick_place import PickPlaceExpert
from gr00t_sim.simulation import TabletopSim

PERIOD_S = 0.05

# seed, sentence, (object, bin, hand), objects' x y yaw, bins' x y, the hand's place after one second of the expert
NAMED_OBJECT = (
    (
        0,
        "place the green cube in the blue bin",
        ("green cube", "blue bin", "left"),
        ((0.3644, -0.1704, 1.443), (0.3916, 0.1604, -2.0379), (0.3957, -0.3146, 2.2819)),
        ((0.4217, -0.008),),
        (0.3846, 0.175, 0.8971),
    ),
    (
        10003,
        "pick up the yellow ball and place it in the blue bin",
        ("yellow ball", "blue bin", "left"),
        ((0.4013, 0.3183, -2.8864), (0.3971, -0.302, 0.9542), (0.3287, 0.2091, 0.1836)),
        ((0.4054, 0.0087),),
        (0.3252, 0.223, 0.8989),
    ),
)
CHOOSE_BIN = (
    (
        0,
        "place the red can in the white bin",
        ("red can", "white bin", "right"),
        ((0.337, -0.2533, -3.0377),),
        ((0.4325, -0.0959), (0.4243, 0.1023)),
        (0.3524, -0.2637, 0.9284),
    ),
    (
        7,
        "grab the red can and drop it into the blue bin",
        ("red can", "blue bin", "right"),
        ((0.3997, -0.3121, -1.7266),),
        ((0.412, -0.0963), (0.4002, 0.1032)),
        (0.4041, -0.3231, 0.9293),
    ),
)


@pytest.mark.parametrize(("name", "known"), [("pick_named_object", NAMED_OBJECT), ("choose_bin", CHOOSE_BIN)])
def test_a_seed_gives_the_scene_the_sentence_and_the_motion_it_always_gave(name, known):
    sim = TabletopSim(name)
    expert = PickPlaceExpert(sim, PERIOD_S)
    for seed, sentence, goal, objects, bins, hand in known:
        assert sim.reset(seed) == sentence
        assert astuple(sim.task.goal) == goal
        np.testing.assert_allclose([sim.task.layout[kind.name] for kind in sim.task.objects], objects, atol=1e-4)
        np.testing.assert_allclose([sim.model.body(kind.name).pos[:2] for kind in sim.task.bins], bins, atol=1e-4)
        expert.restart()
        for _ in range(20):
            sim.set_targets(expert.act(), PERIOD_S)
            sim.step_physics(round(PERIOD_S / sim.timestep_s))
        np.testing.assert_allclose(sim.data.site(f"{goal[2]}_grasp").xpos, hand, atol=1e-3)
