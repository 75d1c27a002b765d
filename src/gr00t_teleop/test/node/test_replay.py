# SPDX-License-Identifier: Apache-2.0
"""A recorded person as a device: what a bag holds comes again, as fast, with its gaps and its age."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_people import sample

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.message_definitions import message_definition
from gr00t_teleop.devices.replay import Replay
from gr00t_teleop.operator_wire import state_to_cdr
from gr00t_teleop.types import OperatorState, tracked, untracked

_TYPE = "gr00t_msgs/msg/OperatorState"
_AGE_NS = 4_000_000
TIMES_S = [0.0, 0.02, 0.04, 0.2, 0.22, 0.9, 0.92]  # a gap of 0.68 s before the last two


def recorded(clutch) -> list[OperatorState]:
    states = []
    for i, t in enumerate(TIMES_S):
        made = sample(t)
        left = untracked() if i == 2 else made.left_wrist
        poses = (made.head, left, made.right_wrist, made.left_hand, made.right_hand)
        states.append(OperatorState(10**18 + int(t * 1e9), "operator", "webxr", 2 * i + 1, clutch(i), *poses))
    return states


def write(folder: Path, states, topic: str = "/operator_state") -> Path:
    shares = [Path(prefix) / "share" for prefix in os.environ["AMENT_PREFIX_PATH"].split(":")]
    with BagWriter(folder) as bag:
        bag.add_topic(BagTopic(topic, _TYPE, message_definition(_TYPE, shares)))
        for state in states:
            log_ns = state.stamp_ns + _AGE_NS
            cdr = state_to_cdr(state)
            bag.write(BagMessage(topic, cdr, log_ns, state.stamp_ns, state.sequence))
    return folder


def play(folder: Path) -> list[tuple[float, OperatorState]]:
    heard: list[tuple[float, OperatorState]] = []
    device = Replay(folder, time.time_ns)
    device.start(lambda state: heard.append((time.time_ns(), state)))
    deadline = time.monotonic() + 10
    while "ended" not in device.silence():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert device.is_running, "it does not begin again by itself"
    device.stop()
    return heard


def test_a_recorded_person_comes_again_with_timing_gaps_validity_and_age(tmp_path):
    states = recorded(lambda i: i > 0)
    heard = play(write(tmp_path / "bag", states, "/left/operator_state"))
    assert len(heard) == len(states)
    for (_, played), state in zip(heard, states, strict=True):
        for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand"):
            assert np.array_equal(getattr(played, name), getattr(state, name), equal_nan=True)
        assert (played.sequence, played.source, played.frame) == (state.sequence, "webxr", "operator")
    assert not tracked(heard[2][1].left_wrist)
    at = np.array([at for at, _ in heard]) / 1e9
    assert np.allclose(at - at[0], TIMES_S, atol=0.1)
    assert all(0 <= at - played.stamp_ns - _AGE_NS < 50e6 for at, played in heard)


def test_a_person_recorded_while_the_clock_was_set_back_is_not_waited_for_and_lets_go_of_the_clutch(tmp_path):
    states = recorded(lambda i: i in (1, 2, 3, 5, 6))
    moved = [replace(state, stamp_ns=state.stamp_ns - 3600 * 10**9 * (i > 2)) for i, state in enumerate(states)]
    began_s = time.monotonic()
    heard = play(write(tmp_path / "bag", moved))
    assert time.monotonic() - began_s < 5
    assert [state.sequence for _, state in heard] == [state.sequence for state in states], "in the order of recording"
    assert [state.engaged for _, state in heard] == [False, True, True, False, False, False, False]


def test_a_clutch_that_was_held_at_the_start_or_over_a_gap_does_not_drive(tmp_path):
    heard = play(write(tmp_path / "bag", recorded(lambda i: i != 1)))
    assert [state.engaged for _, state in heard] == [False, False, True, True, True, False, False]


def test_a_folder_that_is_no_bag_and_a_bag_without_a_person_are_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no bag"):
        Replay(tmp_path / "nothing", time.time_ns).start(print)
    folder = write(tmp_path / "bag", [], "/joint_states")
    with pytest.raises(ConfigError, match="0 topics operator_state, expected one; it has: /joint_states"):
        Replay(folder, time.time_ns).start(print)
