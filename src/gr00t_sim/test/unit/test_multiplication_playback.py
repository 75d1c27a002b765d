# SPDX-License-Identifier: Apache-2.0
"""How segments of two hands are played: each at its own pace, one after the other, or in step."""

import numpy as np
import pytest

from gr00t_sim.multiplication.geometry import Place, matrix
from gr00t_sim.multiplication.playback import HandCommand, Playback
from gr00t_sim.multiplication.segmentation import HandMotion, Segment
from gr00t_sim.multiplication.subtasks import PlannedSubtask, plan
from gr00t_sim.robot import SIDES
from gr00t_sim.tasks.registry import make_task
from gr00t_sim.tasks.task import Goal

THERE = Place(np.array([0.4, 0.1, 0.9]), 0.2)


def motion(length: int, y: float) -> HandMotion:
    poses = np.array([matrix(np.array([0.3 + 0.01 * row, y, 1.0]), np.eye(3)) for row in range(length)])
    return HandMotion(poses, np.tile(np.linspace(0, 1, length)[:, None], (1, 6)), np.arange(length) != 1)


def subtask(name: str, *hands: str, after: int | None = None) -> PlannedSubtask:
    return PlannedSubtask(name, hands, "box", "box", "end", after)


def play(segments: list[Segment], box: Place = THERE, start_y: float = 0.0) -> list[dict[str, HandCommand]]:
    start = {
        side: HandCommand(matrix(np.array([0.3, y + start_y, 1.0]), np.eye(3)), np.zeros(6))
        for side, y in (("left", 0.2), ("right", -0.2))
    }
    playback = Playback(
        tuple(segment.subtask for segment in segments), tuple(segments), start, lambda _: box, lambda _: 1
    )
    rows = []
    while not playback.over:
        rows.append(playback.step())
        assert len(rows) < 200
    return rows[:-1]  # the last step only noticed the end


def test_in_the_scene_of_the_source_the_source_itself_is_played():
    shown = motion(9, 0.2)
    rows = play([Segment(subtask("reach", "left"), 0, {"left": shown}, THERE)])
    np.testing.assert_allclose([row["left"].pose for row in rows], shown.poses, atol=1e-12)
    np.testing.assert_array_equal([row["left"].fingers for row in rows], shown.fingers)
    assert [row["left"].valid for row in rows] == list(shown.valid)


def test_a_thing_further_left_has_the_hand_further_left_after_a_bridge_that_is_to_be_imitated():
    shown = motion(9, 0.2)
    moved = Place(THERE.position + np.array([0, 0.1, 0]), THERE.yaw_rad)
    rows = play([Segment(subtask("reach", "left"), 0, {"left": shown}, THERE)], moved)
    assert len(rows) > 9 and all(row["left"].valid for row in rows[:-9])
    np.testing.assert_allclose([row["left"].pose[1, 3] for row in rows[-9:]], 0.3)


def test_hands_that_are_independent_move_at_the_same_time():
    segments = [
        Segment(subtask("one", "left"), 0, {"left": motion(9, 0.2)}, THERE),
        Segment(subtask("two", "right"), 0, {"right": motion(5, -0.2)}, THERE),
    ]
    assert len(play(segments)) == 9


def test_a_hand_whose_turn_comes_later_holds_still_until_then():
    segments = [
        Segment(subtask("first", "left"), 0, {"left": motion(9, 0.2)}, THERE),
        Segment(subtask("second", "right", after=0), 0, {"right": motion(5, -0.2)}, THERE),
    ]
    rows = play(segments)
    still = [row["right"].pose[0, 3] for row in rows]
    assert len(rows) == 14
    np.testing.assert_allclose(still[:9], 0.3)
    assert still[-1] > 0.33


def test_both_hands_of_one_subtask_stay_in_step_and_keep_their_distance():
    """The left hand's way to its first pose is longer; the right hand waits for it."""
    both = {"left": motion(9, 0.2), "right": motion(9, -0.2)}
    turned = Place(THERE.position + np.array([0.02, 0.01, 0]), THERE.yaw_rad + 0.3)
    rows = play([Segment(subtask("lift", "left", "right"), 0, both, THERE)], turned, start_y=0.1)
    for row, theirs, ours in zip(rows[-9:], both["left"].poses, both["right"].poses, strict=True):
        relative = np.linalg.inv(row["left"].pose) @ row["right"].pose
        np.testing.assert_allclose(relative, np.linalg.inv(theirs) @ ours, atol=1e-9)


@pytest.mark.parametrize("giving", SIDES)
@pytest.mark.parametrize("seed", range(5))
def test_nobody_takes_before_it_is_presented_and_nobody_lets_go_before_it_is_taken(giving, seed):
    """In a handover, whatever the pace of each hand and however long the ways between the segments."""
    rng = np.random.default_rng(seed)
    task = make_task("handover")
    task.goal = Goal("red bottle", "white plate", giving)
    receiving = next(side for side in SIDES if side != giving)
    planned = plan(task)
    number = {one.name: index for index, one in enumerate(planned)}
    segments = tuple(_handover_segment(one, giving, rng) for one in planned)
    start = {side: HandCommand(matrix(0.3 * rng.normal(size=3), np.eye(3)), np.zeros(6)) for side in SIDES}
    playback = Playback(planned, segments, start, lambda _: THERE, lambda _: 0)
    rows = []
    while not playback.over:
        commands, finished = playback.step(), set(playback.finished)
        rows.append((commands, finished))
        assert len(rows) < 500
        if commands[receiving].fingers[0] > 0:
            assert {number["offer"], number["ready"]} <= finished, "the receiver closes on nothing"
        if number["grasp"] in finished and commands[giving].fingers[0] < 1:
            assert number["meet"] in finished, "the giver opens before the receiver holds"
        if number["meet"] in finished and number["release"] not in finished:
            assert commands[receiving].holds, "the receiver leaves before the giver is gone"
    met = next(index for index, (_, finished) in enumerate(rows) if number["meet"] in finished)
    shown = segments[number["meet"]].motions
    in_step = rows[:met][-len(shown["left"]) :]
    for (commands, _), theirs, ours in zip(in_step, shown["left"].poses, shown["right"].poses, strict=True):
        relative = np.linalg.inv(commands["left"].pose) @ commands["right"].pose
        np.testing.assert_allclose(relative, np.linalg.inv(theirs) @ ours, atol=1e-9)


def _handover_segment(one: PlannedSubtask, giving: str, rng: np.random.Generator) -> Segment:
    """A segment of random length: the giver closes in `grasp` and opens in `release`, the receiver in `meet` and `clear`."""
    length = int(rng.integers(2, 12))
    closing, closed = np.linspace(0, 1, length), np.ones(length)
    gives = {"grasp": closing, "offer": closed, "meet": closed, "release": 1 - closing}
    takes = {"meet": closing, "place": closed, "clear": 1 - closing}
    motions = {}
    for side in one.hands:
        places = 0.3 * rng.normal(size=3) + 0.01 * np.arange(length)[:, None]
        fingers = (gives if side == giving else takes).get(one.name, 0 * closed)
        poses = np.array([matrix(place, np.eye(3)) for place in places])
        motions[side] = HandMotion(poses, np.tile(fingers[:, None], (1, 6)), closed > 0)
    return Segment(one, 0, motions, None if one.body is None else THERE)
