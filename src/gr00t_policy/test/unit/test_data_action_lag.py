# SPDX-License-Identifier: Apache-2.0
"""The lag between actions and states is found whatever offset and scale lie between them, and not guessed."""

import numpy as np
import pytest

from gr00t_policy.data.action_lag import action_lag


def _walk(length: int, joints: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth random motion (N, J), about 1 rad wide."""
    steps = np.random.default_rng(seed).normal(0, 1, (length, joints))
    smooth = np.apply_along_axis(lambda column: np.convolve(column, np.ones(9) / 9, "same"), 0, steps)
    return np.cumsum(smooth, axis=0) * 0.1


@pytest.mark.parametrize("shift", [-4, -1, 0, 1, 3, 9])
def test_a_shift_is_found_whatever_offset_and_scale_lie_between(shift):
    motion = _walk(200)
    actions, states = motion[20:180], 0.3 * motion[20 - shift : 180 - shift] - 0.7
    lag = action_lag(actions, states, 10)
    assert lag is not None
    assert (lag.frames, lag.joints) == (shift, 3)
    assert lag.match == pytest.approx(1, abs=1e-9)


def test_exchanging_both_sides_turns_the_sign():
    motion = _walk(120)
    there, back = action_lag(motion[5:105], motion[2:102], 8), action_lag(motion[2:102], motion[5:105], 8)
    assert there is not None and back is not None
    assert there.frames == -back.frames == 3


def test_actions_that_are_differences_are_summed_up_first():
    motion = _walk(120)
    lag = action_lag(np.diff(motion, axis=0)[4:104], motion[1:101], 8, absolute=False)
    assert lag is not None
    assert lag.frames == 4


def test_joints_that_stand_do_not_count():
    motion = _walk(120)
    motion[:, 1] = 0.2
    lag = action_lag(motion[3:103], motion[0:100], 8)
    assert lag is not None
    assert (lag.frames, lag.joints) == (3, 2)


def test_nothing_is_said_of_what_stands_is_short_unrelated_or_no_number():
    still, motion, other = np.zeros((50, 2)), _walk(300, 2), np.random.default_rng(1).normal(size=(300, 2))
    assert action_lag(still, still, 8) is None
    assert action_lag(motion[:7], motion[:7], 8) is None
    assert action_lag(motion, other, 8) is None
    assert action_lag(motion, np.where(np.arange(300)[:, None] == 9, np.nan, motion), 8) is None
