# SPDX-License-Identifier: Apache-2.0
"""Sticks and buttons: which wrist moves, which way, how fast; what opens the clutch; what is no pad."""

import numpy as np
import pytest

from gr00t_teleop.devices.gamepad_motion import (
    CLOSE,
    DEAD_MAN,
    LET_GO,
    OTHER_HAND,
    GamepadMotion,
    deflection,
    flaw,
)
from gr00t_teleop.types import KEYPOINTS, tracked

MS = 1_000_000
REST = (0.0,) * 6


def stick(axis: int, value: float) -> tuple[float, ...]:
    return tuple(value if place == axis else 0.0 for place in range(6))


def held(*buttons: int) -> tuple[int, ...]:
    return tuple(int(place in buttons) for place in range(21))


class Player:
    """A pad that repeats its state at 20 Hz, and a look at the person at 60 Hz."""

    def __init__(self) -> None:
        self.motion, self.now_ns = GamepadMotion(0.2, 0.5), 10**9
        self.play(REST, held(), 0.1)

    def play(self, axes, buttons, seconds: float, *, trembles: bool = True):
        end_ns, sample, said_ns = self.now_ns + int(seconds * 1e9), None, 0
        while self.now_ns < end_ns:
            if self.now_ns - said_ns >= 50 * MS:
                said_ns = self.now_ns
                noise = 1e-4 * (self.now_ns // MS % 7) if trembles else 0.0
                self.motion.hear([axis - np.sign(axis) * noise for axis in axes], buttons, self.now_ns)
            self.now_ns += 16 * MS
            sample = self.motion.advance(self.now_ns)
        return sample

    def wait(self, seconds: float):
        """The pad says nothing."""
        sample = None
        for _ in range(int(seconds * 60)):
            self.now_ns += 16 * MS
            sample = self.motion.advance(self.now_ns)
        return sample


@pytest.mark.parametrize(("axis", "way"), [(1, 0), (0, 1), (3, 2)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_stick_moves_the_right_wrist_along_one_axis_at_the_set_speed(axis, way, sign):
    player = Player()
    before = player.play(REST, held(DEAD_MAN), 0.1)
    after = player.play(stick(axis, sign), held(DEAD_MAN), 1.0)
    moved = after.right_wrist[:3] - before.right_wrist[:3]
    assert after.clutch and moved[way] == pytest.approx(sign * 0.2, rel=0.06)
    assert np.allclose(np.delete(moved, way), 0) and np.array_equal(after.left_wrist, before.left_wrist)


@pytest.mark.parametrize(("buttons", "way", "sign"), [((13,), 0, -1), ((14,), 0, 1), ((11,), 1, -1), ((12,), 1, 1)])
def test_arrows_turn_the_wrist(buttons, way, sign):
    player = Player()
    player.play(REST, held(DEAD_MAN), 0.1)
    turned = player.play(REST, held(DEAD_MAN, *buttons), 1.0).right_wrist[3:6]
    assert turned[way] == pytest.approx(sign * np.sin(0.25), rel=0.06) and np.allclose(np.delete(turned, way), 0)
    yaw = Player()
    yaw.play(REST, held(DEAD_MAN), 0.1)
    assert yaw.play(stick(2, 1.0), held(DEAD_MAN), 1.0).right_wrist[5] == pytest.approx(np.sin(0.25), rel=0.06)


def test_nothing_moves_and_no_hand_closes_without_the_dead_man_button():
    player = Player()
    before = player.play(REST, held(), 0.1)
    after = player.play(stick(1, 1.0), held(CLOSE), 1.0)
    assert not after.clutch and np.array_equal(after.right_wrist, before.right_wrist)
    assert np.allclose(after.right_hand, before.right_hand)


def test_a_button_that_is_held_when_the_pad_comes_drives_only_after_it_was_released():
    """A driver that lost its pad and found it again sends the buttons of before."""
    player = Player()
    assert player.play(REST, held(DEAD_MAN), 0.2).clutch
    lost = player.wait(0.5)
    assert not lost.clutch and not tracked(lost.right_wrist) and not tracked(lost.head)
    assert not player.play(stick(1, 1.0), held(DEAD_MAN), 1.0).clutch
    player.play(REST, held(), 0.1)
    assert player.play(REST, held(DEAD_MAN), 0.1).clutch


def test_silence_stops_the_wrist_within_a_third_of_a_second():
    player = Player()
    player.play(REST, held(DEAD_MAN), 0.2)
    before = player.play(stick(1, 1.0), held(DEAD_MAN), 0.5)
    player.wait(1.0)
    after = player.play(REST, held(), 0.1)
    assert after.right_wrist[0] - before.right_wrist[0] < 0.2 * 0.4


def test_a_pad_that_repeats_itself_with_a_deflected_stick_is_lost():
    player = Player()
    player.play(REST, held(DEAD_MAN), 0.2)
    before = player.play(stick(1, 1.0), held(DEAD_MAN), 0.1, trembles=False)
    after = player.play(stick(1, 1.0), held(DEAD_MAN), 5.0, trembles=False)
    assert not after.clutch and player.motion.stuck == 1 and player.motion.is_stuck
    assert after.right_wrist[0] - before.right_wrist[0] < 0.2 * 2.2
    assert not player.play(stick(1, 0.5), held(DEAD_MAN), 1.0).clutch, "it must be released first"
    player.play(REST, held(), 0.1)
    assert player.play(REST, held(DEAD_MAN), 10.0, trembles=False).clutch, "a stick at rest may rest"


def test_y_gives_the_other_hand_with_an_open_clutch_and_b_lets_go():
    player = Player()
    player.play(REST, held(DEAD_MAN), 0.2)
    assert not player.play(REST, held(DEAD_MAN, OTHER_HAND), 0.2).clutch
    assert not player.play(REST, held(DEAD_MAN), 0.2).clutch
    before = player.play(REST, held(), 0.1)
    player.play(REST, held(DEAD_MAN), 0.1)
    after = player.play(stick(1, 1.0), held(DEAD_MAN), 1.0)
    assert after.left_wrist[0] - before.left_wrist[0] == pytest.approx(0.2, rel=0.1)
    assert np.array_equal(after.right_wrist, before.right_wrist)
    assert not player.play(REST, held(DEAD_MAN, LET_GO), 0.1).clutch
    assert not player.play(REST, held(DEAD_MAN), 0.2).clutch


def test_a_closes_and_opens_the_hand_once_per_press():
    player = Player()
    tip = KEYPOINTS.index("middle_tip")
    reach = player.play(REST, held(DEAD_MAN), 0.2).right_hand[tip, 0]
    assert player.play(REST, held(DEAD_MAN, CLOSE), 1.0).right_hand[tip, 0] < reach - 0.05
    assert player.play(REST, held(DEAD_MAN), 0.5).right_hand[tip, 0] < reach - 0.05
    assert player.play(REST, held(DEAD_MAN, CLOSE), 1.0).right_hand[tip, 0] == pytest.approx(reach)


def test_deflection_is_odd_starts_at_the_dead_zone_and_ends_at_one():
    assert not deflection((0.1, -0.1, 0.1, -0.1, 1.0, 1.0), held()).any(), "triggers move nothing"
    for value in np.linspace(0.0, 1.0, 21):
        there, back = deflection(stick(1, value), held()), deflection(stick(1, -value), held())
        assert np.array_equal(there, -back) and 0 <= there[0] <= 1
    assert deflection(stick(1, 1.0), held())[0] == 1.0


@pytest.mark.parametrize(
    ("axes", "buttons", "why"),
    [
        ((0.0,) * 8, held()[:11], "8 axes and 11 buttons"),
        ((), (), "game_controller_node"),
        (stick(1, float("nan")), held(), "an axis of nan"),
        (stick(3, float("inf")), held(), "an axis of inf"),
        (stick(2, -1.5), held(), "an axis of -1.5"),
    ],
)
def test_what_is_no_pad_in_our_layout_is_named(axes, buttons, why):
    assert why in flaw(axes, buttons)
    assert flaw(stick(1, 1.0), held()) == ""
