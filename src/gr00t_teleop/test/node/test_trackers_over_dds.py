# SPDX-License-Identifier: Apache-2.0
"""The device ``trackers`` over DDS, with drivers that drop out, freeze, jump, contradict each other and come back."""

import sys
import time

import numpy as np
import pytest
from fake_trackers import FakeTrackers, true_pose
from operator_scene import Driven, wait_until
from std_msgs.msg import Bool

from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import tracked

LEFT, RIGHT, HEAD = "trackers/left_wrist", "trackers/right_wrist", "trackers/head"


@pytest.fixture
def driven(scene):
    trackers = FakeTrackers(scene.context)
    yield Driven(scene, trackers, device="trackers")
    trackers.close()


def test_wrists_and_head_arrive_dated_although_the_trackers_clock_is_another(driven):
    driven.until(lambda state: tracked(state.left_wrist) and tracked(state.right_wrist) and tracked(state.head))
    for _ in range(5):
        state = driven.until(
            lambda state: tracked(state.left_wrist) and tracked(state.right_wrist) and tracked(state.head)
        )
        age_s = (driven.node.now_ns - state.stamp_ns) / 1e9
        assert 0 <= age_s < 10
        for topic, pose in ((LEFT, state.left_wrist), (RIGHT, state.right_wrist), (HEAD, state.head)):
            assert np.allclose(pose[:3], true_pose(topic, state.stamp_ns / 1e9)[:3], atol=0.02), topic
    assert not tracked(state.left_hand).any() and state.source == "trackers" and state.frame == "operator"
    driven.peer.pressed = False
    driven.until_told("")


def test_the_clutch_counts_after_it_was_open_and_opens_with_its_silence(driven):
    driven.engage()
    driven.peer.pressed = None  # the pedal's cable is pulled
    driven.until(lambda state: not state.engaged)
    driven.until_told("nothing comes on 'clutch'")
    driven.peer.pressed = True
    for _ in range(5):
        assert not driven.newest().engaged, "it came back closed"
    driven.engage()


def test_a_clutch_that_is_held_from_the_start_engages_nothing(scene):
    trackers = FakeTrackers(scene.context)
    trackers.pressed = True
    try:
        node = scene.operator(device="trackers")
        assert node.start()
        assert wait_until(lambda: len(scene.heard) > 30)
        assert not any(message.engaged for message in scene.heard)
    finally:
        trackers.close()


def test_frozen_broken_leaping_and_silent_trackers_are_lost_one_by_one(driven):
    def left_alone(state):
        return tracked(state.left_wrist) and not tracked(state.right_wrist)

    def right_alone(state):
        return tracked(state.right_wrist) and not tracked(state.left_wrist)

    def both(state):
        return tracked(state.left_wrist) and tracked(state.right_wrist)

    driven.until(both)
    driven.peer.freeze(LEFT)
    driven.until(right_alone)
    driven.peer.freeze()
    driven.until(both)
    driven.peer.broken = {RIGHT}
    driven.until(left_alone)
    assert driven.device.counters()["without_pose"] > 0
    driven.peer.broken = set()
    driven.until(both)
    driven.peer.offset_m = {RIGHT: 0.6}
    assert wait_until(lambda: driven.device.counters()["jump"] > 0)
    driven.until(lambda state: both(state) and state.right_wrist[0] > 0.6)  # it is believed again where it is now
    driven.peer.silent = {RIGHT}
    driven.until(left_alone)
    driven.peer.silent = {HEAD}
    driven.until(lambda state: both(state) and not tracked(state.head))


def test_when_all_trackers_were_silent_the_clutch_must_open_before_it_counts(driven):
    driven.engage()
    driven.peer.silent = {LEFT, RIGHT, HEAD}
    driven.until_told("no poses of a wrist")
    count = len(driven.scene.heard)
    time.sleep(0.2)
    assert len(driven.scene.heard) == count, "nothing is made up"
    driven.peer.silent = set()
    for _ in range(5):
        assert not driven.newest().engaged
    driven.engage()


def test_poses_that_a_network_held_up_are_not_delivered_late(driven):
    driven.until(lambda state: tracked(state.left_wrist))
    before = driven.device.counters()["late"]
    driven.peer.delay_s = 0.4
    assert wait_until(lambda: driven.device.counters()["late"] > before + 10)
    count = len(driven.scene.heard)
    time.sleep(0.2)
    assert len(driven.scene.heard) == count, "what is late is not published"
    driven.peer.delay_s = 0.0
    driven.newest()
    stamps = np.array([state_from_message(message).stamp_ns for message in driven.scene.heard])
    assert (np.diff(stamps) > 0).all()


def test_two_senders_of_a_pose_and_of_the_clutch_are_refused_and_named(driven):
    driven.engage()
    second = driven.peer.node.create_publisher(Bool, "clutch", 10)
    driven.until(lambda state: not state.engaged)
    driven.until_told("2 publishers send 'clutch'")
    driven.peer.node.destroy_publisher(second)
    another = FakeTrackers(driven.scene.context)
    try:
        driven.until_told("publishers send 'trackers/")
        assert driven.device.counters()["several_senders"] > 0
    finally:
        another.close()
    driven.engage()


def test_a_tracker_in_another_frame_is_refused_and_named(driven):
    driven.until(lambda state: tracked(state.left_wrist) and tracked(state.right_wrist))
    driven.peer.frames = {RIGHT: "optitrack"}
    driven.until(lambda state: not tracked(state.right_wrist) and tracked(state.left_wrist))
    driven.until_told("'trackers/right_wrist' is in frame 'optitrack'")
    assert driven.device.counters()["other_frame"] > 0


def test_nothing_is_delivered_while_the_node_is_not_active_and_the_clutch_must_open_after_it(driven):
    driven.engage()
    driven.node.trigger_deactivate()
    time.sleep(0.1)
    count = len(driven.scene.heard)
    time.sleep(0.3)
    assert len(driven.scene.heard) == count
    driven.node.trigger_activate()
    for _ in range(5):
        assert not driven.newest().engaged
    driven.engage()


@pytest.mark.parametrize(
    ("parameters", "package"),
    [
        ({"device": "trackers", "gloves": "manus"}, "manus_ros2_msgs"),
        ({"device": "isaac_teleop"}, "teleop_ros2_interfaces"),
    ],
)
def test_messages_that_are_not_installed_are_said_with_what_to_do(scene, capfd, monkeypatch, parameters, package):
    for module in (package, f"{package}.msg"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed, also where it is
    assert not scene.operator(**parameters).start()
    said = capfd.readouterr().err
    assert "which is not installed" in said and f"build package {package}" in said
