# SPDX-License-Identifier: Apache-2.0
"""A recorded person as a device: what a bag holds comes again, as fast, with its gaps and its age."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from recorded_person import AGE_NS, state_at, write
from std_srvs.srv import Trigger

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.replay import Replay
from gr00t_teleop.types import OperatorState, tracked, untracked

TIMES_S = [0.0, 0.02, 0.04, 0.2, 0.22, 0.9, 0.92]  # a gap of 0.68 s before the last two


def recorded(clutch) -> list[OperatorState]:
    lost = {2: {"left_wrist": untracked()}}
    return [state_at(t, 2 * i + 1, clutch=clutch(i), **lost.get(i, {})) for i, t in enumerate(TIMES_S)]


def play(folder: Path) -> list[tuple[float, OperatorState]]:
    heard: list[tuple[float, OperatorState]] = []
    device = Replay(folder, time.time_ns)
    device.start(lambda state: heard.append((time.time_ns(), state)))
    wait(lambda: "ended" in device.silence())
    assert device.is_running, "it does not begin again by itself"
    device.stop()
    return heard


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.005)


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
    assert all(0 <= at - played.stamp_ns - AGE_NS < 50e6 for at, played in heard)


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


def test_one_that_waits_begins_when_it_is_asked_and_from_the_beginning_each_time(tmp_path):
    states = recorded(lambda i: i > 0)
    heard: list[OperatorState] = []
    device = Replay(write(tmp_path / "bag", states), time.time_ns, waits=True)
    assert not device.begin(), "it does not run"
    device.start(heard.append)
    time.sleep(0.1)
    assert heard == [] and "waits to be begun" in device.silence()
    assert device.begin()
    wait(lambda: len(heard) == 5)
    assert device.silence() == ""
    device.begin()  # in the midst of it
    wait(lambda: "ended" in device.silence())
    device.begin()
    wait(lambda: device.counters() == {"delivered": 5 + 7 + 7, "playings": 3})
    device.stop()
    places = [0, 1, 2, 3, 4, *range(7), *range(7)]
    for state, place in zip(heard, places, strict=True):
        assert np.array_equal(state.right_wrist, states[place].right_wrist)
    stamps, sequences = np.array([(state.stamp_ns, state.sequence) for state in heard]).T
    assert (np.diff(stamps) > 0).all() and sequences[4:7].tolist() == [9, 10, 12], "a recorded loss stays one"
    assert not device.is_running and not device.begin()


def test_a_clutch_closed_from_the_first_sample_drives_at_no_beginning_before_it_was_open(tmp_path):
    heard: list[OperatorState] = []
    device = Replay(write(tmp_path / "bag", recorded(lambda i: i != 1)), time.time_ns, waits=True)
    device.start(heard.append)
    for playings in (1, 2):
        device.begin()
        wait(lambda: device.counters() == {"delivered": 7 * playings, "playings": playings})  # noqa: B023
    device.stop()
    assert [state.engaged for state in heard] == 2 * [False, False, True, True, True, False, False]


def test_the_service_begins_it_and_is_there_for_this_device_alone(scene, tmp_path):
    bag = write(tmp_path / "bag", recorded(lambda i: i > 0))
    node = scene.operator(device="replay", bag=str(bag), replay_waits=True)
    assert node.start()
    asking = Node("asking", context=scene.context)
    executor = SingleThreadedExecutor(context=scene.context)
    executor.add_node(asking)
    client = asking.create_client(Trigger, "operator/replay")
    assert client.wait_for_service(10.0)
    wait(lambda: node._publisher.get_subscription_count() > 0)
    for time_number in (1, 2):
        future = client.call_async(Trigger.Request())
        executor.spin_until_future_complete(future, timeout_sec=10.0)
        assert future.result().success, future.result().message
        wait(lambda: len(scene.heard) >= 7 * time_number)  # noqa: B023
    node.stop()
    wait(lambda: not client.service_is_ready())
    executor.shutdown()
    asking.destroy_node()
