# SPDX-License-Identifier: Apache-2.0
"""Manus gloves on tracked wrists over DDS, where the messages of the gloves' driver are installed."""

import time
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_glove import hand, nodes_of, turned_axes
from fake_trackers import FakeTrackers
from geometry_msgs.msg import Point, Pose, Quaternion
from operator_scene import Driven

from gr00t_teleop.devices.frames import composed, inverse
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import tracked

messages = pytest.importorskip(
    "manus_ros2_msgs.msg", reason="build src/gr00t_teleop/test/peer_messages/manus_ros2_msgs and source it"
)
AXES = turned_axes(1, 2, 3)
GRID = np.linspace(0.0, 1.0, 501)
CLOSES_PER_S = 0.04  # an open hand is a fist after 25 s


class FakeGloves(FakeTrackers):
    """The driver of two gloves beside the trackers: as many fingers as poses. Sets hold the names of sides."""

    def __init__(self, context: Any) -> None:
        self.taken_off: set[str] = set()
        self.hung: set[str] = set()
        self.holds_back = False  # what is measured meanwhile is sent at once when it ends: a burst
        self.closes_since: float | None = None  # from then on both hands close slowly
        self._waiting: list[tuple[Any, Any]] = []
        super().__init__(context)

    def start(self) -> None:
        self._gloves = {
            "left": self.node.create_publisher(messages.ManusGlove, "manus_glove_1", 10),
            "right": self.node.create_publisher(messages.ManusGlove, "manus_glove_0", 10),
        }

    def each_time(self) -> None:
        for side, publisher in self._gloves.items():
            if side not in self.taken_off:
                self._waiting.append((publisher, self._glove(side)))
        while self._waiting and not self.holds_back:
            publisher, glove = self._waiting.pop(0)
            publisher.publish(glove)

    def truth(self, side: Any, t: float) -> np.ndarray:
        if self.closes_since is not None:
            return hand(side, self.closing(t))
        return hand(side, 0.7 if side in self.hung else 0.6 + 0.3 * np.sin(5 * t))

    def closing(self, t: float) -> float:
        assert self.closes_since is not None
        return CLOSES_PER_S * (t - self.closes_since)

    def _glove(self, side: Any) -> Any:
        nodes = nodes_of(self.truth(side, time.time()), AXES, is_mirrored=True)
        made = [
            messages.ManusRawNode(
                node_id=place, joint_type=node.joint_type, chain_type=node.chain_type, pose=message_of(node.pose)
            )
            for place, node in enumerate(nodes)
        ]
        return messages.ManusGlove(glove_id=7, side=side.capitalize(), raw_node_count=0, raw_nodes=made)


def message_of(pose: SimpleNamespace) -> Pose:
    return Pose(position=Point(**vars(pose.position)), orientation=Quaternion(**vars(pose.orientation)))


@pytest.fixture
def driven(scene):
    gloves = FakeGloves(scene.context)
    yield Driven(scene, gloves, device="trackers", gloves="manus")
    gloves.close()


def test_fingers_of_gloves_lie_on_tracked_wrists(driven):
    state = driven.until(lambda state: tracked(state.left_hand).all() and tracked(state.right_hand).all())
    for side, wrist, points in (
        ("left", state.left_wrist, state.left_hand),
        ("right", state.right_wrist, state.right_hand),
    ):
        relative = composed(np.broadcast_to(inverse(wrist), points.shape), points)
        closest = [hand(side, closing) for closing in np.linspace(0.3, 0.9, 61)]
        assert min(np.abs(relative[:, :3] - made[:, :3]).max() for made in closest) < 2e-3
    driven.until_told("")


def test_a_glove_that_is_taken_off_hangs_or_comes_back_costs_its_fingers_alone(driven):
    def right(state):
        return tracked(state.right_hand).all()

    driven.until(lambda state: tracked(state.left_hand).all() and right(state))
    driven.peer.taken_off = {"left"}
    driven.until(lambda state: tracked(state.left_wrist) and not tracked(state.left_hand).any() and right(state))
    driven.until_told("no left glove")
    driven.peer.taken_off, driven.peer.hung = set(), {"right"}
    driven.until(lambda state: tracked(state.right_wrist) and not tracked(state.right_hand).any())
    driven.peer.hung = set()
    driven.until(lambda state: tracked(state.left_hand).all() and right(state))
    driven.peer.silent = {"trackers/left_wrist"}
    driven.until(lambda state: not tracked(state.left_wrist) and not tracked(state.left_hand).any())


def late_s(gloves, state, side):
    """How long ago the hand was as its fingers say, by how far it has closed; beside it the error of its key points."""
    wrist, points = (state.left_wrist, state.left_hand) if side == "left" else (state.right_wrist, state.right_hand)
    relative = composed(np.broadcast_to(inverse(wrist), points.shape), points)
    errors = np.abs(relative[:, :3] - _hands(side)).max(axis=(1, 2))
    closing = gloves.closing(state.stamp_ns / 1e9)
    assert closing < 1.0, "too slow to tell"
    return (closing - GRID[int(np.argmin(errors))]) / CLOSES_PER_S


@cache
def _hands(side):
    """(501, 25, 3): key points [m] of every closing of the grid."""
    return np.stack([hand(side, closing)[:, :3] for closing in GRID])


def test_fingers_of_a_burst_are_not_those_of_now(driven):
    driven.until(lambda state: tracked(state.left_hand).all() and tracked(state.right_hand).all())
    driven.peer.closes_since = time.time()
    time.sleep(1.0)
    seen = [state_from_message(message) for message in driven.scene.heard[-20:]]
    usual_s = max(late_s(driven.peer, state, side) for state in seen for side in ("left", "right"))
    for _ in range(3):
        driven.peer.holds_back = True
        driven.until(lambda state: not tracked(state.left_hand).any() and not tracked(state.right_hand).any())
        time.sleep(0.6)
        driven.peer.holds_back, place = False, len(driven.scene.heard)
        driven.until(lambda state: tracked(state.left_hand).all() and tracked(state.right_hand).all())
        time.sleep(0.1)
        for message in driven.scene.heard[place:]:
            state = state_from_message(message)
            for side, points in (("left", state.left_hand), ("right", state.right_hand)):
                if tracked(points).all():
                    assert late_s(driven.peer, state, side) < usual_s + 0.2, "what was held back is up to 0.7 s old"
