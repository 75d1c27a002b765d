# SPDX-License-Identifier: Apache-2.0
"""The device ``xsens`` in the node: a suit over UDP, its pedal and the result over DDS."""

import threading

import pytest
from fake_mvn import FakeMvn
from operator_scene import Driven
from rclpy.node import Node
from std_msgs.msg import Bool

from gr00t_teleop.types import tracked


class SuitWithPedal:
    """A streamer that begins once the port is known, and a pedal."""

    def __init__(self, context) -> None:
        self.node = Node("fake_pedal", context=context)
        self.pressed: bool | None = False
        self.mvn: FakeMvn | None = None
        self._publisher = self.node.create_publisher(Bool, "clutch", 10)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self.mvn is not None:
            self.mvn.close()
        self._ending.set()
        self._thread.join()
        self.node.destroy_node()

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            if self.pressed is not None:
                self._publisher.publish(Bool(data=self.pressed))


@pytest.fixture
def driven(scene):
    suit = SuitWithPedal(scene.context)
    driven = Driven(scene, suit, device="xsens", xsens_port=0)
    suit.mvn = FakeMvn(driven.device.port)
    suit.mvn.has_gloves = True
    yield driven
    suit.close()


def test_a_suit_drives_while_the_pedal_is_pressed_and_says_so(driven):
    driven.engage()
    driven.until(lambda state: tracked(state.left_wrist) and tracked(state.right_hand).all() and tracked(state.head))
    driven.peer.pressed = None
    driven.until(lambda state: not state.engaged)
    driven.until_told("nothing comes on 'clutch'")
    driven.peer.pressed = True
    for _ in range(3):
        assert not driven.newest().engaged
    driven.engage()
