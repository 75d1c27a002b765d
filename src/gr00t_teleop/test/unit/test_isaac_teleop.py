# SPDX-License-Identifier: Apache-2.0
"""Isaac Teleop's messages without ROS: names decide, not places; what is not valid is not tracked; axes are turned once."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from fake_topics import FakeTopics, pose_message
from made_people import moving, open_hand, sample

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.frames import ROS_FROM_Y_UP, poses_from_matrices
from gr00t_teleop.devices.isaac_teleop import ENDS, HAND, HEAD, TOPICS, IsaacTeleop, ends, hands
from gr00t_teleop.devices.person_clutch import GestureClutch
from gr00t_teleop.types import KEYPOINTS, tracked

OPENXR_NAMES = [name.upper() for name in KEYPOINTS]


def header(now_ns: int, frame: str = "world"):
    stamp = SimpleNamespace(sec=now_ns // 10**9, nanosec=now_ns % 10**9)
    return SimpleNamespace(stamp=stamp, frame_id=frame)


def hand_message(t: float, now_ns: int = 1, *, unseen: tuple[str, ...] = (), order=slice(None)):
    """As its publisher makes it: 25 left, then 25 right, in OpenXR's axes; zero poses where not valid."""
    rows = []
    for side in ("left", "right"):
        points = poses_from_matrices(moving(side, t) @ open_hand(side))
        rows += [(f"{side}_{name}", points[i], side not in unseen) for i, name in enumerate(OPENXR_NAMES)]
    rows = rows[order]
    zero = np.array([0.0, 0, 0, 0, 0, 0, 1])
    return SimpleNamespace(
        header=header(now_ns),
        name=[name for name, _, _ in rows],
        pose=[pose_message(pose if good else zero) for _, pose, good in rows],
        is_valid=[good for _, _, good in rows],
    )


def ends_message(t: float, now_ns: int = 1):
    poses = [pose_message(poses_from_matrices(moving(side, t))) for side in ("left", "right")]
    return SimpleNamespace(header=header(now_ns), name=["left", "right"], pose=poses, is_valid=[True, True])


def head_message(t: float, now_ns: int = 1, frame: str = "world"):
    return SimpleNamespace(header=header(now_ns, frame), pose=pose_message(poses_from_matrices(moving("head", t))))


class Running:
    def __init__(self, is_y_up: bool = True) -> None:
        self.topics, self.states = FakeTopics(), []
        self.device = IsaacTeleop(is_y_up, 0.15, self.topics, GestureClutch(lambda _: None), time.time_ns)
        self.device.start(self.states.append)

    def put(self, topic: str, message) -> None:
        """A message that arrives a millisecond after its stamp, however busy the machine is."""
        stamp = message.header.stamp
        self.topics.put(topic, message, stamp.sec * 10**9 + stamp.nanosec + 10**6)

    def until(self, happened):
        deadline = time.monotonic() + 5
        while not happened():
            assert time.monotonic() < deadline, (self.device.silence(), self.device.counters())
            time.sleep(0.002)


@pytest.fixture
def running():
    running = Running()
    yield running
    running.device.stop()


def test_hands_and_head_arrive_in_our_axes(running):
    now_ns = time.time_ns()
    running.put(HEAD, head_message(1.2, now_ns))
    running.put(HAND, hand_message(1.2, now_ns))
    running.until(lambda: running.states)
    state, truth = running.states[0], sample(1.2)
    for name in ("head", "left_wrist", "right_wrist", "left_hand", "right_hand"):
        ours, true = getattr(state, name), getattr(truth, name)
        assert np.allclose(ours[..., :3], true[..., :3]), name
        assert np.allclose(np.abs((ours[..., 3:] * true[..., 3:]).sum(axis=-1)), 1.0), name
    assert set(running.topics.types) == set(TOPICS)


def test_fingers_that_make_the_gesture_of_the_clutch_are_not_passed_on(running):
    now_ns = time.time_ns()
    for place, touches in enumerate((False, True, False)):
        message = hand_message(0.1 * place, now_ns + place * 10_000_000)
        for side in ("LEFT", "RIGHT") if touches else ():
            names = [name.upper() for name in message.name]
            message.pose[names.index(f"{side}_THUMB_TIP")] = message.pose[names.index(f"{side}_LITTLE_TIP")]
        running.put(HAND, message)
    running.until(lambda: len(running.states) == 3)
    for side in ("left", "right"):
        seen = [bool(tracked(getattr(state, f"{side}_hand")).all()) for state in running.states]
        assert seen == [True, False, True], "what the robot holds must not be let go"
        assert tracked(getattr(running.states[1], f"{side}_wrist")), "the arms go on"


def test_poses_that_their_publisher_turned_already_are_left_as_they_are():
    """Its ``transform_rotation`` turns the axes of world and bodies, as we do."""
    running = Running(is_y_up=False)
    points = poses_from_matrices(moving("left", 0.3))
    turn = np.eye(4)
    turn[:3, :3] = ROS_FROM_Y_UP
    turned = poses_from_matrices(turn @ moving("left", 0.3) @ turn.T)
    message = ends_message(0.3, time.time_ns())
    message.pose[0] = pose_message(turned)
    running.put(ENDS, message)
    running.until(lambda: running.states)
    running.device.stop()
    assert np.allclose(running.states[0].left_wrist, turned) and not np.allclose(turned, points)


def test_names_decide_and_what_is_not_valid_is_not_tracked():
    plain, mixed = hands(hand_message(0.5)), hands(hand_message(0.5, order=slice(None, None, -1)))
    assert all(np.array_equal(plain[side], mixed[side]) for side in ("left", "right"))
    lost = hands(hand_message(0.5, unseen=("left",)))
    assert not tracked(lost["left"]).any() and tracked(lost["right"]).all()
    assert not tracked(ends(ends_message(0.1))["left"][1:]).any()


def test_messages_that_are_not_as_published_say_what_is_missing():
    with pytest.raises(MessageError, match=r"no pose 'right_wrist' \(25 of 25"):
        hands(hand_message(0.5, order=slice(0, 25)))
    short = hand_message(0.5)
    short.is_valid.pop()
    with pytest.raises(MessageError, match="50 names, 50 poses and 49 is_valid"):
        hands(short)
    with pytest.raises(MessageError, match="has no pose 'left'"):
        ends(hand_message(0.5))


def test_ends_count_only_where_no_hands_come_and_an_old_head_does_not_belong(running):
    now_ns = time.time_ns()
    running.put(HEAD, head_message(1.0, now_ns - 10**8))
    running.put(HAND, hand_message(1.0, now_ns))
    running.put(ENDS, ends_message(1.0, now_ns))
    running.until(lambda: running.device.counters()["messages"] == 3)
    time.sleep(0.02)
    assert len(running.states) == 1 and tracked(running.states[0].left_hand).all()
    assert not tracked(running.states[0].head)


def test_repeats_other_frames_and_broken_messages_are_counted_and_named(running):
    now_ns = time.time_ns()
    for _ in range(3):
        running.put(HAND, hand_message(1.0, now_ns))
    running.until(lambda: running.device.counters()["repeated_messages"] == 2)
    now_ns = time.time_ns()
    running.put(HAND, hand_message(1.0, now_ns, order=slice(0, 25)))
    running.until(lambda: "no pose 'right_wrist'" in running.device.silence())
    now_ns = time.time_ns()
    running.put(HEAD, head_message(1.0, now_ns, frame="odom"))
    running.put(HAND, hand_message(1.0, now_ns))
    running.until(lambda: "'xr_teleop/head_pose' in 'odom'" in running.device.silence())
    assert running.device.counters()["malformed"] == 2 and len(running.states) == 1
    running.topics.senders[HAND] = 2
    time.sleep(0.3)
    running.put(HAND, hand_message(1.1, time.time_ns()))
    running.until(lambda: "2 publishers send 'xr_teleop/hand'" in running.device.silence())
