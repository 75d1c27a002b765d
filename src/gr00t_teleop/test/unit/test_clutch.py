# SPDX-License-Identifier: Apache-2.0
"""Bare hands that open and close the clutch, and the code that lets a headset in."""

import numpy as np
import pytest
from made_people import sample

from gr00t_teleop.devices.clutch_gesture import ClutchGesture
from gr00t_teleop.devices.pairing import Pairing, new_code
from gr00t_teleop.types import KEYPOINTS, tracked, untracked

_THUMB, _LITTLE = KEYPOINTS.index("thumb_tip"), KEYPOINTS.index("little_tip")


def hands(touching: tuple[bool, bool]) -> tuple[np.ndarray, np.ndarray]:
    both = sample(0.0).left_hand.copy(), sample(0.0).right_hand.copy()
    for hand, touch in zip(both, touching, strict=True):
        if touch:
            hand[_THUMB] = hand[_LITTLE]
    return both


class Person:
    """Shows hands to the gesture for a while at 50 Hz."""

    def __init__(self) -> None:
        self.gesture, self.now_ns = ClutchGesture(), 1

    def show(self, seconds: float, both: tuple[np.ndarray, np.ndarray]) -> bool:
        for _ in range(round(seconds * 50)):
            self.now_ns += 20_000_000
            closed = self.gesture.clutch(*both, self.now_ns)
        return closed


OPEN, TOUCH = hands((False, False)), hands((True, True))


def test_both_pinches_held_close_it_and_the_same_again_opens_it():
    person = Person()
    assert [person.show(*step) for step in ((1, OPEN), (0.5, TOUCH), (1, OPEN), (0.8, TOUCH))] == [0, 0, 0, 1]
    assert person.show(5, TOUCH), "holding on does not toggle again"
    assert [person.show(*step) for step in ((2, OPEN), (0.8, TOUCH), (1, OPEN))] == [1, 0, 0]


def test_the_fingers_are_passed_on_except_while_they_make_the_gesture():
    gesture = ClutchGesture()
    for both, seen in ((OPEN, True), (TOUCH, False), (OPEN, True), (hands((True, False)), True)):
        shown = gesture.read(sample(0.0, left_hand=both[0], right_hand=both[1]), 1)
        assert tracked(shown.left_hand).all() == tracked(shown.right_hand).all() == seen
        assert tracked(shown.left_wrist) and tracked(shown.right_wrist), "the arms go on"


@pytest.mark.parametrize("one", [(True, False), (False, True)])
def test_one_hand_alone_does_nothing(one):
    assert not Person().show(5, hands(one))


def test_losing_both_hands_for_a_second_opens_it_and_one_hand_keeps_it():
    person = Person()
    person.show(1, TOUCH)
    assert person.show(5, (OPEN[0], untracked(25)))
    assert person.show(0.9, (untracked(25), untracked(25)))
    assert not person.show(0.3, (untracked(25), untracked(25)))
    assert not person.show(1, OPEN)


def test_hands_that_come_back_after_a_second_without_any_samples_find_it_open():
    person = Person()
    assert person.show(1, TOUCH) and person.show(1, OPEN)
    person.now_ns += 1_100_000_000
    assert not person.show(1, OPEN)
    assert person.show(0.8, TOUCH), "the same gesture closes it again"


def test_a_gesture_that_began_before_a_pause_begins_anew_after_it():
    person = Person()
    person.show(0.3, TOUCH)
    person.now_ns += 1_100_000_000
    assert [person.show(*step) for step in ((0.6, TOUCH), (0.2, TOUCH))] == [0, 1]


def test_the_right_code_is_taken_and_wrong_ones_make_everybody_wait():
    pairing = Pairing("123456")
    assert pairing.refusal("123456", 0) == ""
    assert all("wrong pairing code" in pairing.refusal("12345", 0) for _ in range(5))
    assert "wait 30 s" in pairing.refusal("123456", 0)
    assert pairing.refusal("123456", 31 * 10**9) == ""


def test_a_right_code_forgives_the_wrong_ones_before_it():
    pairing = Pairing("123456")
    for _ in range(5):
        assert all(pairing.refusal("x", 0) for _ in range(4))
        assert pairing.refusal("123456", 0) == ""


def test_drawn_codes_are_six_digits_and_differ():
    codes = {new_code() for _ in range(100)}
    assert len(codes) > 95 and all(len(code) == 6 and code.isdigit() for code in codes)
