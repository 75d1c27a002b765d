# SPDX-License-Identifier: Apache-2.0
"""Keys of a terminal: which wrist moves, how far, when the clutch is closed; and a real pseudo-terminal."""

import os
import pty
import sys
import termios
import time

import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.key_motion import MOVES, KeyMotion
from gr00t_teleop.devices.keyboard import Keyboard
from gr00t_teleop.devices.simple_hand import simple_hand
from gr00t_teleop.types import KEYPOINTS, tracked

MS = 1_000_000


class Typist:
    """Holds keys as a terminal repeats them, and looks at the person at 60 Hz."""

    def __init__(self) -> None:
        self.motion, self.now_ns, self.samples = KeyMotion(0.2, 0.5), 0, []
        self.wait(0.1)

    def wait(self, seconds: float):
        return self._run("", seconds)

    def hold(self, key: str, seconds: float):
        return self._run(key, seconds)

    def tap(self, key: str):
        self.motion.press(key, self.now_ns)
        return self

    def _run(self, key: str, seconds: float):
        end_ns = self.now_ns + int(seconds * 1e9)
        while self.now_ns < end_ns:
            if key:
                self.motion.press(key, self.now_ns)
            self.now_ns += 16 * MS
            self.samples.append(self.motion.advance(self.now_ns))
        return self.samples[-1]


@pytest.mark.parametrize(("key", "axis", "sign"), [(k, a, s) for k, (a, s) in MOVES.items() if a < 3])
def test_a_held_key_moves_the_right_wrist_along_one_axis_at_the_set_speed(key, axis, sign):
    typist = Typist()
    before = typist.samples[-1]
    after = typist.hold(key, 1.0)
    moved = after.right_wrist[:3] - before.right_wrist[:3]
    assert moved[axis] == pytest.approx(sign * 0.2, rel=0.05)
    assert np.allclose(np.delete(moved, axis), 0)
    assert np.array_equal(after.left_wrist, before.left_wrist)


@pytest.mark.parametrize(("key", "axis", "sign"), [(k, a, s) for k, (a, s) in MOVES.items() if a >= 3])
def test_turning_keys_turn_about_one_axis_of_the_frame(key, axis, sign):
    quaternion = Typist().hold(key, 1.0).right_wrist[3:]
    expected = np.zeros(3)
    expected[axis - 3] = np.sin(0.25) * sign
    assert np.allclose(quaternion[:3], expected, atol=0.01)


def test_opposite_keys_undo_each_other():
    """u and o turn about x one way and the other, and so on: signs are those of the table."""
    typist = Typist()
    before = typist.samples[-1].right_wrist
    pairs = {}
    for key, (axis, sign) in MOVES.items():
        pairs.setdefault(axis, {})[sign] = key
    for keys in pairs.values():
        typist.hold(keys[1.0], 0.5)
        typist.wait(0.5)
        typist.hold(keys[-1.0], 0.5)
        typist.wait(0.5)
    assert np.allclose(typist.samples[-1].right_wrist, before, atol=0.01)


def test_the_clutch_is_closed_while_a_key_is_held_and_opens_soon_after():
    typist = Typist()
    assert not typist.samples[-1].clutch
    assert typist.hold("w", 0.3).clutch
    assert typist.wait(0.3).clutch, "a terminal's first repeat comes after half a second"
    stopped = typist.samples[-1].right_wrist
    assert not typist.wait(0.5).clutch
    assert np.array_equal(typist.samples[-1].right_wrist, stopped), "a key that is let go moves nothing"
    assert typist.hold(" ", 2.0).clutch
    assert not typist.tap("q").wait(0.02).clutch


def test_tab_gives_the_other_hand_with_an_open_clutch():
    typist = Typist()
    before = typist.hold("w", 0.5)
    assert not typist.tap("\t").wait(0.02).clutch
    after = typist.hold("w", 1.0)
    assert after.left_wrist[0] - before.left_wrist[0] == pytest.approx(0.2, rel=0.1)
    assert after.right_wrist[0] - before.right_wrist[0] < 0.03


def test_g_closes_and_opens_the_hand_that_moves():
    typist = Typist()
    tip = KEYPOINTS.index("middle_tip")
    reach = typist.samples[-1].right_hand[tip, 0]
    assert typist.tap("g").wait(1.0).right_hand[tip, 0] < reach - 0.05
    assert typist.samples[-1].left_hand[tip, 0] == pytest.approx(reach)
    assert typist.tap("g").wait(1.0).right_hand[tip, 0] == pytest.approx(reach)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("closing", [0.0, 0.5, 1.0])
def test_a_simple_hand_has_bones_of_constant_length_and_bends_towards_its_palm(side, closing):
    wrist = np.array([0.0, 0, 0, 0, 0, 0, 1])
    flat, hand = simple_hand(wrist, side, 0.0), simple_hand(wrist, side, closing)
    assert tracked(hand).all()
    bones = [np.linalg.norm(np.diff(h[5:10, :3], axis=0), axis=1) for h in (flat, hand)]
    assert np.allclose(*bones)
    assert hand[KEYPOINTS.index("index_tip"), 2] <= flat[KEYPOINTS.index("index_tip"), 2]
    other = simple_hand(wrist, "left" if side == "right" else "right", closing)
    assert np.allclose(hand[:, :3] * [1, -1, 1], other[:, :3]), "left and right are mirror images"


def test_a_terminal_drives_and_gets_its_settings_back():
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    states, logged = [], []
    keyboard = Keyboard(0.2, 0.5, time.time_ns, logged.append, terminal=theirs)
    keyboard.start(states.append)
    assert "space holds the clutch" in logged[0]
    while not states:  # the clutch must be seen open first
        time.sleep(0.01)
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        os.write(ours, b"w")
        time.sleep(0.03)
    keyboard.stop()
    assert termios.tcgetattr(theirs) == before
    assert len(states) > 15 and not states[0].engaged and states[-1].engaged
    assert states[-1].right_wrist[0] > states[0].right_wrist[0] + 0.05
    assert [state.sequence for state in states] == list(range(1, len(states) + 1))
    for end_of in (ours, theirs):
        os.close(end_of)


def test_a_terminal_that_goes_away_ends_the_device_without_an_error():
    ours, theirs = pty.openpty()
    keyboard = Keyboard(0.2, 0.5, time.time_ns, print, terminal=theirs)
    keyboard.start(lambda _: None)
    os.close(ours)
    deadline = time.monotonic() + 5
    while keyboard.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert keyboard.silence() == "the terminal is gone"
    keyboard.stop()
    os.close(theirs)


def test_without_a_terminal_it_says_how_to_start(tmp_path, monkeypatch):
    with (tmp_path / "file").open("w+") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(ConfigError, match="needs a terminal"):
            Keyboard(0.2, 0.5, time.time_ns, print).start(print)
