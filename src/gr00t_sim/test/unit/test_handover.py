# SPDX-License-Identifier: Apache-2.0
"""The referee of the handover is pleased by nothing but a bottle that goes from hand to hand in the air."""

from itertools import product

import numpy as np
import pytest
from placed import put

from gr00t_sim.experts.registry import make_expert
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.handover import BOTTLE, RECEIVED, bottle_clearance_m, flight_stage

TABLE, THROWN, GIVER, BOTH, RECEIVER = "table", "thrown", "giver", "both", "receiver"


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim("handover")
    yield sim
    sim.close()


def _stage_of(events):
    stage = 0
    for event in events:
        stage = flight_stage(
            stage,
            giving=event in (GIVER, BOTH),
            receiving=event in (RECEIVER, BOTH),
            in_air=event != TABLE,
            set_down=False,
        )
    return stage


def test_it_is_received_only_after_the_giver_had_it_and_both_had_it_in_one_flight():
    """All 19530 stories of up to six instants."""
    received = 0
    for length in range(1, 7):
        for events in product((TABLE, THROWN, GIVER, BOTH, RECEIVER), repeat=length):
            if _stage_of(events) != RECEIVED:
                continue
            received += 1
            held = [event for event in events if event != THROWN]
            flight = held[len(held) - held[::-1].index(TABLE) if TABLE in held else 0 :]
            first = flight.index(GIVER)
            assert BOTH in flight[first:] and flight[-1] == RECEIVER, events
            assert events[-2:] not in ((TABLE, RECEIVER), (GIVER, RECEIVER)), "taken without both hands on it"
    assert received > 100


def test_a_bottle_that_was_put_down_in_between_does_not_count(sim):
    expert = make_expert(sim)
    sim.reset(20001)
    expert.restart()
    best = 0.0
    while "received" not in sim.task_state().detail:
        sim.set_targets(expert.act(), 0.05)
        sim.step_physics(25)
        best = max(best, sim.task_state().progress)
    assert best == 0.7 and sim.time_s < 10
    plate = sim.place_of(sim.task.goal.target)
    put(sim, BOTTLE.name, plate + np.array([0.0, -0.3 * np.sign(plate[1]), BOTTLE.height_m]))
    assert sim.task_state().progress < 0.4
    put(sim, BOTTLE.name, plate + np.array([0.0, 0.0, sim.task.bins[0].thickness_m + BOTTLE.height_m]))
    status = sim.task_state()
    assert not status.success and "not from hand to hand" in status.detail


def test_the_label_is_the_other_hand_first_and_the_plate_afterwards(sim):
    sim.reset(20001)
    assert "hand" in sim.task.goal_now(sim.model, sim.data).target
    put(sim, BOTTLE.name, sim.data.site(f"{sim.task.receiving_side}_grasp").xpos)
    assert sim.task.goal_now(sim.model, sim.data).target == sim.task.goal.target


def test_clearance_is_that_of_the_lowest_point_however_the_bottle_is_turned(sim):
    sim.reset(20001)
    for angle in np.linspace(0, np.pi, 7):
        put(sim, BOTTLE.name, np.array([0.4, 0.0, 1.2]), np.array([np.cos(angle / 2), np.sin(angle / 2), 0, 0]))
        rim = np.linspace(0, 2 * np.pi, 361)
        radius, half = BOTTLE.size[:2]
        corners = np.array([[radius * np.cos(a), radius * np.sin(a), z] for a in rim for z in (-half, half)])
        heights = corners @ sim.data.body(BOTTLE.name).xmat.reshape(3, 3)[2] + 1.2 - 0.85
        assert bottle_clearance_m(sim.data) == pytest.approx(heights.min(), abs=1e-5)
