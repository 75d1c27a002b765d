# SPDX-License-Identifier: Apache-2.0
"""Clutches of devices that have none: silence opens them, and nothing closes them that was not seen open."""

import os
import pty
import time
from types import SimpleNamespace

import numpy as np
import pytest
from fake_topics import FakeTopics
from made_people import sample

from gr00t_teleop.devices.dead_man import DeadMan
from gr00t_teleop.devices.person_clutch import GestureClutch, KeyClutch, TopicClutch
from gr00t_teleop.devices.topics import Heard
from gr00t_teleop.types import KEYPOINTS, tracked, untracked

MS = 1_000_000
NOBODY = sample(0.0, left_hand=untracked(len(KEYPOINTS)), right_hand=untracked(len(KEYPOINTS)))


def hold(dead_man: DeadMan, pressed: bool, from_ms: int, to_ms: int) -> bool:
    for now_ms in range(from_ms, to_ms, 50):
        dead_man.hear(pressed, now_ms * MS)
    return dead_man.is_closed((to_ms - 50) * MS)


def test_it_is_closed_while_pressed_once_it_was_seen_open():
    dead_man = DeadMan()
    assert not dead_man.is_closed(0), "nobody spoke yet"
    assert not hold(dead_man, True, 0, 500), "held from the start"
    assert not hold(dead_man, False, 500, 600)
    assert hold(dead_man, True, 600, 1000)


def test_silence_opens_it_and_its_return_does_not_close_it():
    dead_man = DeadMan(silence_s=0.3)
    hold(dead_man, False, 0, 100)
    assert hold(dead_man, True, 100, 500)
    assert dead_man.is_closed(700 * MS) and not dead_man.is_closed(800 * MS)
    assert not hold(dead_man, True, 900, 1500)
    hold(dead_man, False, 1500, 1600)
    assert hold(dead_man, True, 1600, 1700)


def test_a_sender_that_was_lost_must_be_seen_open_even_when_it_is_back_at_once():
    dead_man = DeadMan()
    hold(dead_man, False, 0, 100)
    assert hold(dead_man, True, 100, 500)
    dead_man.lose()
    assert not hold(dead_man, True, 500, 900)


@pytest.mark.parametrize("senders", [0, 2])
def test_a_topic_with_no_or_several_senders_is_open(senders):
    topics = FakeTopics()
    clutch = TopicClutch(topics)
    topics.senders["clutch"] = senders
    for pressed in (False, True):
        clutch.hear(Heard("clutch", SimpleNamespace(data=pressed), 0))
    assert not clutch.read(NOBODY).clutch and clutch.trouble()


def test_the_space_bar_is_a_clutch_that_opens_soon_after_it_and_with_the_terminal():
    ours, theirs = pty.openpty()
    logged: list[str] = []
    clutch = KeyClutch(logged.append, theirs)
    clutch.open()
    assert "space bar" in logged[0] and not clutch.read(NOBODY).clutch
    os.write(ours, b" ")
    deadline = time.monotonic() + 2
    while not clutch.read(NOBODY).clutch:
        assert time.monotonic() < deadline
    pressed_s = time.monotonic()
    while clutch.read(NOBODY).clutch:
        assert time.monotonic() < pressed_s + 2
    assert 0.5 < time.monotonic() - pressed_s < 1.0
    os.write(ours, b" q")
    time.sleep(0.05)
    assert not clutch.read(NOBODY).clutch and clutch.trouble() == ""
    os.close(ours)
    time.sleep(0.05)
    assert not clutch.read(NOBODY).clutch and "gone" in clutch.trouble()
    clutch.close()
    os.close(theirs)


def test_fingers_that_make_the_gesture_are_not_passed_on_whatever_the_device():
    def hands(touching: bool) -> list[np.ndarray]:
        both = [sample(0.0).left_hand.copy(), sample(0.0).right_hand.copy()]
        for hand in both if touching else ():
            hand[KEYPOINTS.index("thumb_tip")] = hand[KEYPOINTS.index("little_tip")]
        return both

    def delivered(touching: bool) -> tuple[bool, bool]:
        left, right = hands(touching)
        shown = clutch.read(sample(0.0, left_hand=left, right_hand=right))
        assert tracked(shown.left_wrist) and tracked(shown.right_wrist), "the arms go on"
        return bool(tracked(shown.left_hand).all()), bool(tracked(shown.right_hand).all())

    clutch = GestureClutch(lambda _: None)
    assert [delivered(touching) for touching in (False, True, False)] == [(True, True), (False, False), (True, True)]
