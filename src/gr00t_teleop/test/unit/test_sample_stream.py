# SPDX-License-Identifier: Apache-2.0
"""What a device says becomes what the robot may see: freezes, jumps, NaN, bursts, gaps, breaks."""

import numpy as np
import pytest
from made_people import sample

from gr00t_teleop.devices.sample_checks import CheckLimits
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.types import tracked

HZ = 90


class Received:
    """A stream, and all it delivered."""

    def __init__(self, **options) -> None:
        self.states = []
        self.stream = SampleStream("test", **options)

    def push(self, made, arrival_s):
        return self.stream.push(made, int(arrival_s * 1e9), self.states.append)

    def run(self, start, count, **changes):
        """``count`` samples from number ``start`` on, 2 ms after they were taken; each change is a function of time."""
        for i in range(start, start + count):
            poses = {name: change(i / HZ) for name, change in changes.items()}
            self.push(sample(i / HZ, sequence=i + 1, **poses), i / HZ + 0.002)
        return self.states[-count:]


def test_a_moving_person_passes_untouched_and_in_order():
    received = Received()
    states = received.run(0, 90)
    assert len(states) == 90
    assert [state.sequence for state in states] == list(range(1, 91))
    assert all(tracked(state.left_hand).all() and tracked(state.head) for state in states)
    given = sample(10 / HZ)
    assert np.allclose(states[10].right_wrist, given.right_wrist)
    assert sum(received.stream.counters().values()) == received.stream.counters()["delivered"]


def test_a_frozen_wrist_is_lost_after_a_tenth_of_a_second_with_its_fingers_though_they_move():
    received = Received()
    received.run(0, 20)
    still = sample(19 / HZ).left_wrist
    states = received.run(20, 20, left_wrist=lambda _: still)
    lost = [not tracked(state.left_wrist) for state in states]
    assert lost == [False] * 9 + [True] * 11  # 9 samples are 100 ms
    assert not tracked(states[-1].left_hand).any()
    assert tracked(states[-1].right_wrist) and tracked(states[-1].right_hand).all()
    assert tracked(received.run(40, 1)[0].left_wrist), "it moves again"


def test_a_device_that_may_rest_is_not_called_frozen():
    received = Received(limits=CheckLimits(freeze_s=0.0))
    still = sample(0.0).left_wrist
    assert all(tracked(state.left_wrist) for state in received.run(0, 60, left_wrist=lambda _: still))


def test_a_leap_is_not_followed_until_the_hand_has_moved_like_a_hand_again():
    received = Received()
    received.run(0, 20)
    away = np.array([0.0, 0.5, 0.0, 0, 0, 0, 0])
    states = received.run(20, 20, right_wrist=lambda t: sample(t).right_wrist + away)
    lost = [not tracked(state.right_wrist) for state in states]
    assert lost[0] and lost == sorted(lost, reverse=True)
    assert 8 <= sum(lost) <= 10
    assert received.stream.counters()["jump"] == sum(lost)


def test_a_hand_that_flickers_between_two_places_is_never_believed():
    received = Received()
    received.run(0, 20)
    flicker = np.array([0.4, 0, 0, 0, 0, 0, 0])
    states = received.run(20, 40, left_wrist=lambda t: sample(t).left_wrist + flicker * (round(t * HZ) % 2 == 0))
    assert not any(tracked(state.left_wrist) for state in states)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(0, np.nan, "not_finite"), (4, np.inf, "not_finite"), (6, 3.0, "no_rotation"), (1, 50.0, "too_far")],
)
def test_numbers_that_are_no_pose_of_a_person_are_not_used_and_counted_by_reason(place, value, reason):
    received = Received()
    pose = sample(0.0).left_wrist
    pose[place] = value
    (state,) = received.run(0, 1, left_wrist=lambda _: pose)
    assert not tracked(state.left_wrist) and tracked(state.right_wrist)
    assert received.stream.counters()[reason] == 1


def test_what_the_device_itself_calls_not_tracked_is_no_fault():
    received = Received()
    (state,) = received.run(0, 1, left_wrist=lambda _: np.full(7, np.nan))
    assert not tracked(state.left_wrist)
    assert received.stream.counters()["not_finite"] == 0


def test_one_bad_key_point_costs_only_itself():
    received = Received()
    hand = sample(0.0).left_hand
    hand[7, 2] = np.nan
    (state,) = received.run(0, 1, left_hand=lambda _: hand)
    assert tracked(state.left_hand).sum() == 24


def test_samples_lost_on_the_way_show_as_a_gap_and_repeated_ones_are_left_out():
    received = Received()
    received.run(0, 10)
    received.push(sample(9 / HZ, sequence=10), 10 / HZ)
    received.run(13, 2)
    assert [state.sequence for state in received.states[-3:]] == [10, 14, 15]
    assert received.stream.counters()["lost"] == 3 and received.stream.counters()["repeated"] == 1


def test_a_device_without_a_count_delivers_the_same_numbers_once():
    received = Received()
    for i in range(20):
        received.push(sample((i // 2) / HZ), i / (2 * HZ))
    assert [state.sequence for state in received.states] == list(range(1, 11))


def test_what_the_network_held_up_is_not_delivered_as_if_it_were_now():
    received = Received()
    received.run(0, 30)
    for i in range(30, 60):  # a third of a second of samples in one burst
        received.push(sample(i / HZ, sequence=i + 1), 60 / HZ)
    late = received.stream.counters()["late"]
    assert late == pytest.approx(30 - 0.15 * HZ, abs=2)
    assert all(state.stamp_ns / 1e9 > 60 / HZ - 0.152 for state in received.states[30:])


def test_a_clutch_held_over_a_reconnection_drives_only_after_it_was_open():
    received = Received()
    for i in range(5):
        received.push(sample(i / HZ, sequence=i + 1, clutch=i > 0), i / HZ)
    assert [state.engaged for state in received.states] == [False, True, True, True, True]
    received.push(sample(0.1, sequence=1, epoch=2, clutch=True), 0.1)
    received.push(sample(0.11, sequence=2, epoch=2, clutch=False), 0.11)
    received.push(sample(0.12, sequence=3, epoch=2, clutch=True), 0.12)
    assert [state.engaged for state in received.states[-3:]] == [False, False, True]
    assert [state.sequence for state in received.states] == list(range(1, 9)), "the count goes on"


def test_a_clutch_held_over_half_a_second_of_silence_drives_only_after_it_was_open():
    received = Received()
    received.push(sample(0.0, sequence=1), 0.0)
    received.push(sample(0.1, sequence=2, clutch=True), 0.1)
    received.push(sample(0.7, sequence=3, clutch=True), 0.7)
    assert [state.engaged for state in received.states] == [False, True, False]


def test_a_clutch_that_is_held_when_the_device_starts_does_not_drive():
    received = Received()
    received.push(sample(0.0, sequence=1, clutch=True), 0.0)
    assert not received.states[0].engaged
