# SPDX-License-Identifier: Apache-2.0
"""Laws of carrying a motion over to another scene, and of the bridge that leads to it."""

from itertools import pairwise

import numpy as np
import pytest

from gr00t_sim.experts.grasp import hand_rotation
from gr00t_sim.multiplication.geometry import (
    Place,
    angle_between,
    bridge,
    bridge_steps,
    carried_over,
    facing,
    matrix,
    share_turned,
    stretched,
    swung,
    turn_between,
)

RNG = np.random.default_rng(0)
POSES = np.array([matrix(RNG.normal(size=3), hand_rotation("right", *RNG.normal(size=3))) for _ in range(5)])
CASES = [
    (Place(RNG.normal(size=3), RNG.uniform(-3, 3)), Place(RNG.normal(size=3), RNG.uniform(-3, 3))) for _ in range(20)
]


def as_matrix(place: Place) -> np.ndarray:
    c, s = np.cos(place.yaw_rad), np.sin(place.yaw_rad)
    return matrix(place.position, np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))


@pytest.mark.parametrize("folds", [0, 1, 2, 4])
def test_a_motion_carried_over_to_where_it_was_is_that_motion(folds):
    for place, _ in CASES:
        np.testing.assert_allclose(carried_over(place, place, folds) @ POSES, POSES, atol=1e-12)


def test_seen_from_the_thing_the_motion_is_the_same_in_both_scenes():
    for source, new in CASES:
        there = np.linalg.inv(as_matrix(source)) @ POSES
        here = np.linalg.inv(as_matrix(new)) @ carried_over(source, new, 1) @ POSES
        np.testing.assert_allclose(here, there, atol=1e-9)


def test_moving_and_turning_the_new_scene_moves_and_turns_the_motion_with_it():
    for source, new in CASES:
        scene = as_matrix(Place(RNG.normal(size=3), RNG.uniform(-3, 3)))
        moved = scene @ as_matrix(new)
        expected = scene @ carried_over(source, new, 1) @ POSES
        np.testing.assert_allclose(
            carried_over(source, Place.of(moved[:3, 3], moved[:3, :3]), 1) @ POSES, expected, atol=1e-9
        )


def test_there_and_back_is_nothing():
    for source, new in CASES:
        np.testing.assert_allclose(carried_over(new, source, 1) @ carried_over(source, new, 1), np.eye(4), atol=1e-9)


def test_a_round_thing_keeps_the_direction_and_a_cube_turns_by_no_more_than_half_a_face():
    for source, new in CASES:
        np.testing.assert_array_equal(carried_over(source, new, 0)[:3, :3], np.eye(3))
        for folds in (1, 2, 4):
            turn = turn_between(source.yaw_rad, new.yaw_rad, folds)
            assert abs(turn) <= np.pi / folds + 1e-12
            faces = (new.yaw_rad - source.yaw_rad - turn) / (2 * np.pi / folds)
            assert faces == pytest.approx(round(faces), abs=1e-9), "it looks the same afterwards"


def test_a_bridge_is_evenly_spaced_and_no_step_is_longer_than_allowed():
    start, end = POSES[:2]
    steps = bridge_steps(start, end, most_m=0.02, most_rad=0.1, least=4)
    whole = np.concatenate([start[None], bridge(start, end, steps), end[None]])
    lengths = np.linalg.norm(np.diff(whole[:, :3, 3], axis=0), axis=1)
    turns = [angle_between(one, two) for one, two in pairwise(whole)]
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-6)
    np.testing.assert_allclose(turns, turns[0], rtol=1e-6)
    assert lengths[0] <= 0.02 + 1e-9 and turns[0] <= 0.1 + 1e-9
    assert bridge_steps(start, end, 10.0, 10.0, least=4) == 4
    assert bridge_steps(start, start, 0.02, 0.1, least=4) == 0


def test_a_way_seen_from_its_start_leads_the_same_way_in_both_scenes():
    for source, new in CASES:
        ends = [Place(place.position + RNG.normal(size=3), 0.0) for place in (source, new)]
        ahead = [as_matrix(facing(place, end)) for place, end in zip((source, new), ends, strict=True)]
        for frame, end in zip(ahead, ends, strict=True):
            seen = np.linalg.inv(frame) @ [*end.position, 1]
            assert seen[0] > 0 and seen[1] == pytest.approx(0, abs=1e-9)


def test_a_stretched_path_begins_where_it_began_and_ends_further_by_what_was_asked():
    by = np.array([0.1, -0.2, 0.0])
    longer = stretched(POSES, by)
    np.testing.assert_array_equal(longer[0], POSES[0])
    np.testing.assert_allclose(longer[-1, :3, 3], POSES[-1, :3, 3] + by)
    np.testing.assert_array_equal(longer[:, :3, :3], POSES[:, :3, :3])
    np.testing.assert_array_equal(stretched(POSES, np.zeros(3)), POSES)


def test_a_swung_motion_begins_as_the_thing_is_turned_and_ends_where_it_ended_from_any_opening():
    for source, new in CASES:
        shut = np.linspace(0, 1, len(POSES))
        moved = swung(POSES, source, new, shut)
        np.testing.assert_allclose(moved[0], carried_over(source, new, 1) @ POSES[0], atol=1e-9)
        np.testing.assert_allclose(moved[-1, :3, :3], POSES[-1, :3, :3], atol=1e-9)
        np.testing.assert_allclose(moved[-1, :3, 3] - new.position, POSES[-1, :3, 3] - source.position, atol=1e-9)
        pairs = ((moved, new), (POSES, source))
        levers = [np.linalg.norm(poses[:, :2, 3] - hinge.position[:2], axis=1) for poses, hinge in pairs]
        np.testing.assert_allclose(*levers, atol=1e-9, err_msg="the hand stays as far from the hinge as it was")
        np.testing.assert_allclose(swung(POSES, source, source, shut), POSES, atol=1e-9)


def test_how_far_a_door_is_shut_is_told_from_its_turn_whichever_way_it_turns():
    for sign in (1, -1):
        doors = [Place(np.zeros(3), sign * yaw) for yaw in (1.2, 1.2, 0.9, 0.6, 0.0, -0.01)]
        np.testing.assert_allclose(share_turned(doors[0], doors, Place(np.ones(3), 0.0)), [0, 0, 0.25, 0.5, 1, 1])
