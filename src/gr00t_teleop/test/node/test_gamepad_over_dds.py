# SPDX-License-Identifier: Apache-2.0
"""The device ``gamepad`` over DDS, with a driver that behaves as ``game_controller_node`` does, and worse."""

import threading
import time

import numpy as np
import pytest
from operator_scene import Driven, wait_until
from rclpy.node import Node
from sensor_msgs.msg import Joy

from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_teleop.devices.gamepad_motion import DEAD_MAN
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import tracked


class FakePad:
    """Repeats its state at 20 Hz. ``pressed``: the dead-man button; ``axes``: of the sticks, which tremble."""

    def __init__(self, context) -> None:
        self.node = Node("fake_pad", context=context)
        self.axes, self.buttons = [0.0] * 6, 21
        self.pressed = self.is_gone = self.holds_back = False
        self._held: list[Joy] = []
        self._publisher = self.node.create_publisher(Joy, "joy", 10)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.node.destroy_node()

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            if not self.is_gone:
                self._held.append(self._state())
            while self._held and not self.holds_back:
                self._publisher.publish(self._held.pop(0))

    def _state(self) -> Joy:
        now_ns = time.time_ns()
        state = Joy(axes=[axis * (1 - 1e-3 * (now_ns % 5)) for axis in self.axes], buttons=[0] * self.buttons)
        state.header.stamp = stamp_from_ns(now_ns)
        if self.buttons > DEAD_MAN:
            state.buttons[DEAD_MAN] = int(self.pressed)
        return state


@pytest.fixture
def driven(scene):
    pad = FakePad(scene.context)
    yield Driven(scene, pad, device="gamepad", speed_m_s=0.3)
    pad.close()


def test_a_stick_moves_a_wrist_while_the_dead_man_button_is_held(driven):
    start = driven.engage().right_wrist
    driven.peer.axes = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    state = driven.until(lambda state: state.right_wrist[0] > start[0] + 0.1)
    assert np.allclose(state.right_wrist[1:3], start[1:3]) and tracked(state.right_hand).all() and tracked(state.head)
    driven.peer.pressed = False
    state = driven.until(lambda state: not state.engaged)
    assert abs(driven.newest().right_wrist[0] - state.right_wrist[0]) < 0.05
    assert state.source == "gamepad"
    driven.until_told("")


def test_a_pad_that_is_gone_is_disengaged_lost_silent_and_comes_back_open(driven):
    driven.engage()
    driven.peer.is_gone = True
    state = driven.until(lambda state: not state.engaged)
    assert not tracked(state.right_wrist) and not tracked(state.left_hand).any()
    driven.until_told("no gamepad on 'joy'")
    time.sleep(0.8)
    count = len(driven.scene.heard)
    time.sleep(0.2)
    assert len(driven.scene.heard) == count
    driven.peer.is_gone = False  # its driver still says that the button is held
    for _ in range(5):
        assert not driven.newest().engaged
    driven.engage()


def test_states_that_a_network_held_up_do_not_drive(driven):
    driven.engage()
    driven.peer.axes, driven.peer.holds_back = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0], True
    driven.until(lambda state: not state.engaged)
    time.sleep(0.5)
    driven.peer.is_gone = True
    driven.peer.holds_back = False
    assert wait_until(lambda: driven.device.counters()["joy_late"] > 3)
    time.sleep(0.2)
    assert not state_from_message(driven.scene.heard[-1]).engaged


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"axes": [float("nan")] * 6}, "an axis of nan"),
        ({"axes": [0.0] * 8, "buttons": 11}, "8 axes and 11 buttons"),
    ],
    ids=["nan", "layout"],
)
def test_a_state_that_is_none_opens_the_clutch_and_is_named(driven, change, why):
    driven.engage()
    before = vars(driven.peer).copy()
    for name, value in change.items():
        setattr(driven.peer, name, value)
    driven.until(lambda state: not state.engaged)
    driven.until_told(why)
    assert driven.device.counters()["joy_refused"] > 0
    driven.peer.axes, driven.peer.buttons = before["axes"], before["buttons"]
    for _ in range(3):
        assert not driven.newest().engaged
    driven.engage()


def test_a_second_driver_of_the_topic_opens_the_clutch(driven):
    driven.engage()
    second = FakePad(driven.scene.context)
    try:
        driven.until(lambda state: not state.engaged)
        driven.until_told("2 publishers send 'joy'")
    finally:
        second.close()
