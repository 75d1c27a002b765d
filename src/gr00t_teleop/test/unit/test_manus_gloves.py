# SPDX-License-Identifier: Apache-2.0
"""Manus gloves without ROS: fingers are the same whatever the driver calls its axes, and what is no hand is refused."""

import numpy as np
import pytest
from fake_glove import IDENTITY, glove_message, hand, nodes_of, turned_axes
from made_people import moving

from gr00t_teleop.devices.frames import composed, poses_from_y_up
from gr00t_teleop.devices.manus_gloves import ManusGloves
from gr00t_teleop.devices.topics import Heard
from gr00t_teleop.types import tracked

MS = 1_000_000
PLAIN = np.eye(3)


class Worn:
    """Gloves that are told what the driver says, every 10 ms."""

    def __init__(self) -> None:
        self.gloves, self.now_ns = ManusGloves(), 0

    def say(self, side: str, nodes, topic: str = "manus_glove_0") -> None:
        self.now_ns += 10 * MS
        self.gloves.hear(Heard(topic, glove_message(side, nodes), self.now_ns))

    def fingers(self, side="right", wrist=IDENTITY, after_ms: int = 0):
        return self.gloves.fingers(side, wrist, self.now_ns + after_ms * MS)


def bent(side, axes, **how) -> Worn:
    worn = Worn()
    worn.say(side, nodes_of(hand(side, 0.9), axes, **how))
    assert tracked(worn.fingers(side)).all()
    return worn


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_fingers_are_the_same_in_every_axes_a_driver_may_use(side, is_mirrored):
    root = composed(poses_from_y_up(moving("left", 0.4)), IDENTITY)
    for x in range(4):
        for y in range(4):
            for z in range(4):
                axes = turned_axes(x, y, z)
                worn = bent(side, axes, is_mirrored=is_mirrored, root=root)
                worn.say(side, nodes_of(hand(side, 0.3), axes, is_mirrored=is_mirrored, root=root))
                assert np.allclose(worn.fingers(side)[:, :3], hand(side, 0.3)[:, :3], atol=1e-9)
                turns = np.abs((worn.fingers(side)[:, 3:] * hand(side, 0.3)[:, 3:]).sum(axis=1))
                assert np.allclose(turns, 1.0)


def test_fingers_hang_on_the_wrist_that_something_else_tracks():
    wrist = poses_from_y_up(moving("right", 1.0))
    worn = bent("right", PLAIN)
    assert np.allclose(worn.fingers(wrist=wrist), composed(np.broadcast_to(wrist, (25, 7)), worn.fingers()))
    assert not tracked(worn.fingers(wrist=np.full(7, np.nan))).any()


def test_a_flat_hand_tells_no_axes_until_its_fingers_bend():
    worn = Worn()
    worn.say("right", nodes_of(hand("right", 0.0), PLAIN))
    assert (not tracked(worn.fingers()).any() and "bend the fingers" in worn.gloves.trouble(worn.now_ns)) or "left" in (
        worn.gloves.trouble(worn.now_ns)
    )
    worn.say("left", nodes_of(hand("left", 0.0), PLAIN), topic="manus_glove_1")
    assert "bend the fingers of the left and right hand once" in worn.gloves.trouble(worn.now_ns)


def test_a_silent_or_frozen_glove_is_lost_and_comes_back():
    worn = bent("right", PLAIN)
    assert not tracked(worn.fingers(after_ms=150)).any()
    for _ in range(30):
        worn.say("right", nodes_of(hand("right", 0.9), PLAIN))
    assert not tracked(worn.fingers()).any() and worn.gloves.counters()["glove_frozen"] == 1
    worn.say("right", nodes_of(hand("right", 0.8), PLAIN))
    assert tracked(worn.fingers()).all()


@pytest.mark.parametrize("side", ["R", "Right", "right"])
def test_sides_are_read_however_the_driver_writes_them(side):
    worn = Worn()
    worn.say(side, nodes_of(hand("right", 0.9), PLAIN))
    assert tracked(worn.fingers("right")).all()


def broken(change):
    nodes = nodes_of(hand("right", 0.9), PLAIN)
    change(nodes)
    return nodes


def in_centimetres(nodes):
    for node in nodes:
        for axis in "xyz":
            setattr(node.pose.position, axis, 100 * getattr(node.pose.position, axis))


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (broken(lambda nodes: setattr(nodes[3].pose.position, "x", float("nan"))), "without a finite pose or missing"),
        (broken(lambda nodes: nodes.clear()), "thumb_metacarpal, thumb_proximal, thumb_distal ..."),
        (broken(in_centimetres), "are the driver's units metres"),
    ],
    ids=["nan", "nothing", "centimetres"],
)
def test_what_is_no_hand_is_refused_with_its_reason_and_lost_in_time(nodes, why):
    worn = bent("right", PLAIN)
    for _ in range(15):
        worn.say("right", nodes)
    assert why in worn.gloves.trouble(worn.now_ns)
    assert worn.gloves.counters()["glove_no_hand"] == 15 and not tracked(worn.fingers()).any()


def test_two_gloves_of_one_side_and_one_of_none_are_refused():
    worn = bent("right", PLAIN)
    worn.say("Right", nodes_of(hand("right", 0.5), PLAIN), topic="manus_glove_1")
    assert "are both the right hand" in worn.gloves.trouble(worn.now_ns)
    worn.say("Invalid", nodes_of(hand("right", 0.5), PLAIN))
    assert "has side 'Invalid'" in worn.gloves.trouble(worn.now_ns)
    assert worn.gloves.counters()["glove_same_side"] == worn.gloves.counters()["glove_no_side"] == 1


def test_a_thumb_whose_last_joint_is_called_ip_is_a_thumb():
    nodes = nodes_of(hand("right", 0.9), PLAIN)
    for node in nodes:
        if node.chain_type == "Thumb" and node.joint_type == "DIP":
            node.joint_type = "IP"
    worn = Worn()
    worn.say("right", nodes)
    assert np.allclose(worn.fingers()[:, :3], hand("right", 0.9)[:, :3])


def test_what_waited_during_a_silence_is_never_taken_for_what_the_hand_does_now():
    """Messages without stamps, dated by arrival: those of a heap are of any time since the silence began."""
    worn = bent("right", PLAIN)
    worn.now_ns += 500 * MS
    for i in range(60):  # 0.1 ms apart
        worn.now_ns -= 10 * MS - MS // 10
        worn.say("right", nodes_of(hand("right", 0.9 - 0.01 * i), PLAIN))
        assert not tracked(worn.fingers()).any()
    worn.say("right", nodes_of(hand("right", 0.25), PLAIN))
    assert np.allclose(worn.fingers()[:, :3], hand("right", 0.25)[:, :3])
