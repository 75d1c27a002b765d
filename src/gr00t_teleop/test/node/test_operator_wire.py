# SPDX-License-Identifier: Apache-2.0
"""The bytes of an operator's sample against the message objects of ROS, which read and write the same."""

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from gr00t_msgs.msg import HandKeypoints
from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.operator_wire import state_from_cdr, state_to_cdr
from gr00t_teleop.types import KEYPOINTS, OperatorState, untracked

POSES = ("head", "left_wrist", "right_wrist", "left_hand", "right_hand")


def poses(rng: np.random.Generator, count: int | None, seen: float) -> np.ndarray:
    shape = (7,) if count is None else (count, 7)
    made = rng.normal(size=shape)
    made[..., 3:] /= np.linalg.norm(made[..., 3:], axis=-1, keepdims=True)
    made[rng.random(shape[:-1]) >= seen] = np.nan
    return made


@st.composite
def states(draw) -> OperatorState:
    rng, seen = np.random.default_rng(draw(st.integers(0, 2**32))), st.sampled_from([0.0, 0.5, 1.0])
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
    hands = len(KEYPOINTS)
    return OperatorState(
        draw(st.integers(0, 2**31 * 10**9 - 1)),
        draw(text),
        draw(text),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.booleans()),
        *(poses(rng, None, draw(seen)) for _ in range(3)),
        *(poses(rng, hands, draw(seen)) for _ in range(2)),
    )


def assert_same(one: OperatorState, other: OperatorState) -> None:
    for name, value in vars(one).items():
        if name in POSES:
            np.testing.assert_array_equal(value, getattr(other, name), name)
        else:
            assert value == getattr(other, name), name


@settings(max_examples=60, deadline=None)
@given(states())
def test_what_is_written_is_read_by_ros_and_what_ros_writes_is_read(state: OperatorState) -> None:
    written = state_to_cdr(state)
    message = deserialize_message(written, OperatorStateMsg)
    assert_same(state_from_message(message), state)
    assert len(serialize_message(message)) == len(written)
    assert_same(state_from_cdr(written), state)
    assert_same(state_from_cdr(serialize_message(message)), state)


def test_what_is_not_tracked_has_no_turn_and_a_hand_says_which_it_is() -> None:
    hand = untracked(len(KEYPOINTS))
    hand[3] = [1, 2, 3, 0, 0, 0, 1]
    state = OperatorState(1, "operator", "test", 1, True, *(untracked() for _ in range(3)), hand, hand)
    message = deserialize_message(state_to_cdr(state), OperatorStateMsg)
    assert (message.left_hand.hand, message.right_hand.hand) == (HandKeypoints.LEFT, HandKeypoints.RIGHT)
    assert message.head.orientation.w == message.left_hand.poses[0].orientation.w == 1.0
    assert message.left_hand.is_valid == [place == 3 for place in range(len(KEYPOINTS))]


def test_other_names_in_another_order_are_read_where_they_belong() -> None:
    names = ["index_tip", "wrist", "thumb_tip"]
    some = [Pose(position=Point(x=float(n)), orientation=Quaternion(w=1.0)) for n in range(3)]
    message = OperatorStateMsg(source="glove", engaged=True)
    message.right_hand = HandKeypoints(hand=2, names=names, poses=some, is_valid=[True, True, False])
    state = state_from_cdr(serialize_message(message))
    assert_same(state, state_from_message(message))
    assert np.flatnonzero(np.isfinite(state.right_hand[:, 0])).tolist() == sorted(
        KEYPOINTS.index(name) for name in names[:2]
    )


@pytest.mark.parametrize(
    ("names", "valid", "why"),
    [(["palm"], [True], "unknown name 'palm'"), (["wrist"], [True, True], "1 names, 1 poses, 2 is_valid")],
)
def test_key_points_that_do_not_fit_are_refused(names: list[str], valid: list[bool], why: str) -> None:
    message = OperatorStateMsg(left_hand=HandKeypoints(names=names, poses=[Pose()], is_valid=valid))
    with pytest.raises(MessageError, match=why):
        state_from_cdr(serialize_message(message))


def test_bytes_that_are_cut_of_another_kind_or_of_chance_are_refused_and_never_crash() -> None:
    rng = np.random.default_rng(0)
    hand = poses(rng, len(KEYPOINTS), 1.0)
    whole = state_to_cdr(
        OperatorState(1, "operator", "test", 1, True, *(poses(rng, None, 1.0) for _ in range(3)), hand, hand)
    )
    for length in range(0, len(whole), 7):
        with pytest.raises(MessageError):
            state_from_cdr(whole[:length])
    with pytest.raises(MessageError, match=r"encoding 0000, expected little-endian CDR \(0001\)"):
        state_from_cdr(b"\x00\x00" + whole[2:])
    for _ in range(300):
        broken = bytearray(whole)
        for place in rng.integers(2, len(whole), 4):
            broken[place] = rng.integers(256)
        try:
            state_from_cdr(bytes(broken))
        except MessageError:
            continue
