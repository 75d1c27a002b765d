# SPDX-License-Identifier: Apache-2.0
"""Trackers without ROS: which poses make one sample, where a strapped tracker puts the wrist, which axes it has."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from fake_topics import FakeTopics, pose_message
from made_people import moving

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.config import OperatorConfig
from gr00t_teleop.devices.frames import composed, inverse, poses_from_y_up, turned_from_y_up
from gr00t_teleop.devices.person_clutch import TopicClutch
from gr00t_teleop.devices.tracked_parts import TrackedParts
from gr00t_teleop.devices.trackers import TrackerOptions, Trackers, mount
from gr00t_teleop.types import tracked

MS = 1_000_000
PLACE = np.array([0.3, 0.2, 1.0, 0.0, 0.0, 0.0, 1.0])


def moved(n: int) -> np.ndarray:
    return PLACE + 1e-3 * n * np.eye(7)[0]


def moments(parts: TrackedParts, said) -> list:
    """said: (part, number of the pose, stamp, arrival) [ms]."""
    made = []
    for part, n, stamp_ms, arrival_ms in said:
        made += parts.hear(part, moved(n), None if stamp_ms is None else int(stamp_ms * MS), int(arrival_ms * MS))
    return made


def test_two_trackers_of_one_rate_give_samples_of_that_rate_with_one_new_pose_of_each():
    said = []
    for n in range(50):
        said += [("left_wrist", n, 11 * n, 1000 + 11 * n), ("right_wrist", n, 11 * n + 2, 1000 + 11 * n + 3)]
    made = moments(TrackedParts(), said)[1:]  # the first left wrist came alone
    assert len(made) == 50
    for n, moment in enumerate(made):
        assert np.array_equal(moment.left_wrist, moved(n)) and np.array_equal(moment.right_wrist, moved(n))
    assert (np.diff([moment.stamp_ns for moment in made]) == 11 * MS).all()


def test_a_wrist_that_says_nothing_is_lost_after_50_ms_and_does_not_hold_up_the_other():
    said = [("left_wrist", n, None, 10 * n) for n in range(30)]
    said += [("right_wrist", 0, None, 95)]
    made = moments(TrackedParts(), sorted(said, key=lambda each: each[3]))
    seen = {moment.stamp_ns // MS: bool(tracked(moment.right_wrist)) for moment in made}
    assert seen[140] and not seen[150]
    assert max(np.diff(sorted(seen))) <= 20 and max(seen) == 290


def test_a_slow_head_neither_holds_up_wrists_nor_makes_samples():
    said = []
    for n in range(30):
        said += [(part, n, None, 10 * n) for part in ("left_wrist", "right_wrist")]
        said += [("head", n, None, 10 * n + 5)] if n % 3 == 0 else []
    made = moments(TrackedParts(), said)
    assert 30 <= len(made) <= 31 and all(tracked(moment.head) for moment in made[3:])
    assert moments(TrackedParts(), [("head", n, None, 10 * n) for n in range(30)]) == []


def test_a_stamp_that_does_not_go_on_is_no_new_pose():
    parts = TrackedParts()
    assert len(moments(parts, [("left_wrist", n, 7.0, 10 * n) for n in range(9)])) == 1
    assert parts.repeated == 8


def test_a_clock_that_is_set_back_does_not_stop_the_samples():
    said = [("left_wrist", n, None, 5000 + 10 * n) for n in range(9)]
    said += [("left_wrist", n, None, 10 * n) for n in range(9)]
    made = moments(TrackedParts(), said)
    assert len(made) == 18 and all(tracked(moment.left_wrist) for moment in made)


@pytest.mark.parametrize("numbers", [(0.0, 0.0, 0.1, 0.2, -0.4, 1.1), (0.05, -0.02, 0.0, 0.0, 0.0, np.pi / 2)])
def test_a_mount_puts_the_wrist_where_it_is_in_the_trackers_axes(numbers):
    x, y, z, roll, pitch, yaw = numbers
    ahead = composed(mount("m", numbers), np.array([1.0, 0, 0, 0, 0, 0, 1]))[:3] - (x, y, z)
    assert np.allclose(ahead, [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    assert np.allclose(mount("m", numbers)[:3], (x, y, z))
    assert np.allclose(mount("m", (0.0, 0.0, 0.0, roll, 0.0, 0.0))[3:], [np.sin(roll / 2), 0, 0, np.cos(roll / 2)])


@pytest.mark.parametrize("is_y_up", [False, True])
def test_a_mounted_tracker_in_either_axes_gives_the_true_wrist(is_y_up):
    offset = (0.02, 0.01, 0.05, 0.3, -0.2, 0.7)
    topics, states = FakeTopics(), []
    clutch = TopicClutch(topics)
    device = Trackers(TrackerOptions(is_y_up, offset, offset), topics, clutch, None, time.time_ns)
    device.start(states.append)
    now_ns = time.time_ns()
    true = poses_from_y_up(moving("left", 0.7))
    strapped = composed(true, inverse(mount("left_mount", offset)))
    sent = strapped
    if is_y_up:  # back into a headset's axes: the turn of the axes applied twice more is none
        sent = turned_from_y_up(turned_from_y_up(strapped))
    header = SimpleNamespace(frame_id="f", stamp=SimpleNamespace(sec=0, nanosec=0))
    topics.put("trackers/left_wrist", SimpleNamespace(header=header, pose=pose_message(sent)), now_ns)
    deadline = time.monotonic() + 5
    while not states:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    device.stop()
    assert np.allclose(states[0].left_wrist[:3], true[:3]) and not tracked(states[0].right_wrist)
    assert abs(states[0].left_wrist[3:] @ true[3:]) == pytest.approx(1.0)
    assert set(topics.types) == set(), "closed"


def test_a_head_tracker_that_is_strapped_on_sideways_looks_ahead_with_its_mount():
    options = TrackerOptions(head_mount=(0.0, 0.0, -0.1, 0.0, 0.0, -np.pi / 2))
    sideways = np.array([0.0, 0.0, 1.7, 0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4)])
    head = composed(sideways, options.mounts["head"])
    assert np.allclose(head, [0.0, 0.0, 1.6, 0.0, 0.0, 0.0, 1.0])


def test_wrong_options_are_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="left_mount has 3 numbers; give 6"):
        TrackerOptions(left_mount=(0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match="needs fingers"):
        OperatorConfig(device="trackers", clutch="gesture")
    with pytest.raises(ConfigError, match="'pose_axes' is 'up'"):
        OperatorConfig(device="trackers", pose_axes="up")
