# SPDX-License-Identifier: Apache-2.0
"""Clutches of devices that have none: silence opens them, and nothing closes them that was not seen open."""

import os
import pty
import time
from types import SimpleNamespace

import pytest
from fake_topics import FakeTopics

from gr00t_teleop.devices.dead_man import DeadMan
from gr00t_teleop.devices.person_clutch import KeyClutch, TopicClutch
from gr00t_teleop.devices.topics import Heard
from gr00t_teleop.types import KEYPOINTS, untracked

MS = 1_000_000
NO_HANDS = untracked(len(KEYPOINTS)), untracked(len(KEYPOINTS))


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
    assert not clutch.is_closed(*NO_HANDS) and clutch.trouble()


def test_the_space_bar_is_a_clutch_that_opens_soon_after_it_and_with_the_terminal():
    ours, theirs = pty.openpty()
    logged: list[str] = []
    clutch = KeyClutch(logged.append, theirs)
    clutch.open()
    assert "space bar" in logged[0] and not clutch.is_closed(*NO_HANDS)
    os.write(ours, b" ")
    deadline = time.monotonic() + 2
    while not clutch.is_closed(*NO_HANDS):
        assert time.monotonic() < deadline
    pressed_s = time.monotonic()
    while clutch.is_closed(*NO_HANDS):
        assert time.monotonic() < pressed_s + 2
    assert 0.5 < time.monotonic() - pressed_s < 1.0
    os.write(ours, b" q")
    time.sleep(0.05)
    assert not clutch.is_closed(*NO_HANDS) and clutch.trouble() == ""
    os.close(ours)
    time.sleep(0.05)
    assert not clutch.is_closed(*NO_HANDS) and "gone" in clutch.trouble()
    clutch.close()
    os.close(theirs)
