# SPDX-License-Identifier: Apache-2.0
"""OperatorState: its names, what tracked means, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.types import KEYPOINTS, POSE_SIZE, OperatorState, tracked, untracked

IDENTITY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


def state(**changes: Any) -> OperatorState:
    hand = np.tile(IDENTITY, (len(KEYPOINTS), 1))
    values: dict[str, Any] = {
        "stamp_ns": 0,
        "frame": "operator",
        "source": "test",
        "sequence": 1,
        "engaged": False,
        "head": IDENTITY,
        "left_wrist": IDENTITY,
        "right_wrist": IDENTITY,
        "left_hand": hand,
        "right_hand": hand,
    }
    return OperatorState(**{**values, **changes})


def test_a_hand_has_25_different_key_points_and_begins_at_the_wrist() -> None:
    assert len(KEYPOINTS) == len(set(KEYPOINTS)) == 25
    assert KEYPOINTS[0] == "wrist"


def test_tips_are_where_webxr_has_them() -> None:
    assert [index for index, name in enumerate(KEYPOINTS) if name.endswith("_tip")] == [4, 9, 14, 19, 24]


@given(st.integers(min_value=0, max_value=POSE_SIZE - 1))
def test_one_number_that_is_not_finite_makes_its_pose_untracked_and_no_other(column: int) -> None:
    hand = np.tile(IDENTITY, (len(KEYPOINTS), 1))
    hand[7, column] = np.nan
    assert list(np.flatnonzero(~tracked(hand))) == [7]


def test_what_is_untracked_is_not_tracked() -> None:
    assert not tracked(untracked())
    assert not tracked(untracked(3)).any()


def test_a_state_may_say_that_nothing_is_tracked() -> None:
    nothing = state(head=untracked(), left_hand=untracked(len(KEYPOINTS)))
    assert not tracked(nothing.head)


def test_a_hand_with_two_more_joints_than_named_is_refused() -> None:
    with pytest.raises(MessageError, match=r"'left_hand' has shape \(27, 7\), expected \(25, 7\)"):
        state(left_hand=np.tile(IDENTITY, (27, 1)))


def test_a_quaternion_that_is_no_rotation_is_refused() -> None:
    with pytest.raises(MessageError, match="'head' has a quaternion"):
        state(head=np.zeros(POSE_SIZE))
