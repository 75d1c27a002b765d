# SPDX-License-Identifier: Apache-2.0
"""Joint angles and the network's units are inverses of each other, for every robot and every statistics."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sample_data import small_robot

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.encoding import GroupEncoding
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.normalization import min_max, sin_cos, undo_min_max, undo_sin_cos
from gr00t_policy.data.statistics import KeyModality, KeyStatistics, Statistics
from gr00t_policy.data.transforms import StateActionTransform

GROUPS = st.dictionaries(st.sampled_from(["left_arm", "right_arm", "waist", "neck"]), st.integers(1, 7), min_size=1)
ANGLES = st.floats(-3.1, 3.1)


def random_statistics(robot: Embodiment, rng: np.random.Generator, constant: float = 0.2) -> Statistics:
    """Ranges of at least 0.1 rad, a share of them constant."""

    def one(count: int) -> KeyStatistics:
        low = rng.uniform(-2, 1, count)
        high = low + np.where(rng.random(count) < constant, 0.0, rng.uniform(0.1, 3, count))
        return KeyStatistics(low, high, (low + high) / 2, (high - low) / 4, low, high)

    sides = [{group: one(part.stop - part.start) for group, part in robot.policy_slices.items()} for _ in range(2)]
    return Statistics(robot.name, *sides)


@st.composite
def transforms(draw, encoding=None):
    robot = small_robot(draw(GROUPS), encoding or draw(st.sampled_from(["sin_cos", "min_max"])))
    joints = len(robot.policy_joints)
    seed, spare = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 5))
    statistics = random_statistics(robot, np.random.default_rng(seed))
    return StateActionTransform(robot, statistics, 2 * joints + spare, joints + spare)


@given(transforms(), st.integers(0, 2**32 - 1))
def test_decoding_undoes_encoding_of_actions_within_the_range_of_the_data(transform, seed):
    low = np.concatenate([item.min for item in transform.statistics.action.values()])
    high = np.concatenate([item.max for item in transform.statistics.action.values()])
    chunk = np.random.default_rng(seed).uniform(low, high, (16, len(low)))
    assert np.allclose(transform.decode_actions(transform.encode_actions(chunk)), chunk, atol=1e-6)


@given(transforms(), st.integers(0, 2**32 - 1))
def test_actions_within_the_range_of_the_data_lie_between_minus_one_and_one(transform, seed):
    low = np.concatenate([item.min for item in transform.statistics.action.values()])
    high = np.concatenate([item.max for item in transform.statistics.action.values()])
    encoded = transform.encode_actions(np.random.default_rng(seed).uniform(low, high, (16, len(low))))
    assert np.abs(encoded).max() <= 1 + 1e-6


@given(transforms(), st.integers(0, 2**32 - 1))
def test_padding_is_exactly_zero_whatever_the_values(transform, seed):
    chunk = np.random.default_rng(seed).normal(0, 50, (16, transform.joints))
    assert not transform.encode_actions(chunk)[:, ~transform.action_mask].any()
    used = transform.joints * (2 if transform.embodiment.state_encoding == "sin_cos" else 1)
    state = transform.encode_state(chunk[0])
    assert state.shape == (1, transform.state_dim)
    assert not state[:, used:].any()


@given(transforms(), st.integers(0, 2**32 - 1))
def test_what_the_network_leaves_in_the_padding_does_not_reach_the_joints(transform, seed):
    values = np.random.default_rng(seed).normal(0, 1, (16, transform.action_dim))
    cleared = np.where(transform.action_mask, values, 0.0)
    assert np.array_equal(transform.decode_actions(values), transform.decode_actions(cleared))


@given(transforms(), st.integers(0, 2**32 - 1))
def test_many_chunks_at_once_are_the_same_as_one_by_one(transform, seed):
    chunks = np.random.default_rng(seed).normal(0, 1, (3, 4, transform.joints))
    assert np.array_equal(transform.encode_actions(chunks), np.stack([transform.encode_actions(c) for c in chunks]))
    states = np.stack([transform.encode_state(state) for state in chunks[:, 0]])
    assert np.array_equal(transform.encode_state(chunks[:, 0]), states)


@given(transforms(encoding="sin_cos"), st.integers(0, 2**32 - 1))
def test_the_state_holds_sines_then_cosines_of_each_group_in_turn(transform, seed):
    state = np.random.default_rng(seed).uniform(-3, 3, transform.joints)
    encoded, start = transform.encode_state(state)[0], 0
    for part in transform.embodiment.policy_slices.values():
        width = part.stop - part.start
        assert np.allclose(encoded[start : start + width], np.sin(state[part]), atol=1e-6)
        assert np.allclose(encoded[start + width : start + 2 * width], np.cos(state[part]), atol=1e-6)
        start += 2 * width


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=ANGLES))
def test_sine_and_cosine_lead_back_to_the_angle(angles):
    assert np.allclose(undo_sin_cos(sin_cos(angles)), angles)


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(-10, 10))
def test_min_max_is_a_straight_line_through_the_extremes_and_does_not_clip(low, span, value):
    statistics = KeyStatistics(*([low], [low + span], [low], [span], [low], [low + span]))
    assume(span > 0)
    ends = min_max(np.array([[low], [low + span]]), statistics)
    assert np.allclose(ends, [[-1], [1]])
    assert np.allclose(undo_min_max(min_max(np.array([value]), statistics), statistics), value)


def test_a_joint_that_never_moved_becomes_zero_and_comes_back_as_its_constant():
    statistics = KeyStatistics(*([0.7],) * 6)
    assert min_max(np.array([0.7]), statistics) == 0.0
    assert min_max(np.array([9.0]), statistics) == 0.0
    assert undo_min_max(np.array([0.3]), statistics) == 0.7


@pytest.mark.parametrize(("state_dim", "action_dim"), [(11, 32), (64, 5)])
def test_a_robot_too_big_for_the_network_is_refused(state_dim, action_dim):
    robot = small_robot()
    statistics = random_statistics(robot, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="needs 12 state and 6 action values, the network has"):
        StateActionTransform(robot, statistics, state_dim, action_dim)


def test_a_state_too_wide_is_cut_only_when_the_robot_says_so():
    robot = small_robot(truncate_state=True)
    statistics = random_statistics(robot, np.random.default_rng(0))
    cut, whole = (StateActionTransform(robot, statistics, width, 32) for width in (11, 64))
    state = np.linspace(-1, 1, 6)
    assert np.array_equal(cut.encode_state(state)[0], whole.encode_state(state)[0, :11])
    assert cut.state_mask.all() and whole.state_mask.sum() == 12


def test_every_group_is_encoded_as_the_robot_declares():
    robot = small_robot(
        {"arm": 2, "wrist": 4, "gripper": 1},
        state_encodings={"wrist": GroupEncoding("none", "quaternion", "rotation_6d"), "gripper": GroupEncoding("q99")},
        action_encodings={
            "wrist": GroupEncoding("min_max", "quaternion", "axis_angle"),
            "gripper": GroupEncoding("binary"),
        },
    )
    transform = StateActionTransform(robot, random_statistics(robot, np.random.default_rng(1), constant=0), 64, 32)
    positions = np.array([0.3, -0.2, np.sqrt(0.5), 0, 0, np.sqrt(0.5), 1.0])
    state = transform.encode_state(positions)[0]
    assert np.allclose(state[:4], [*np.sin(positions[:2]), *np.cos(positions[:2])])
    assert np.allclose(state[4:10], [0, -1, 0, 1, 0, 0], atol=1e-6)
    assert transform.state_mask.sum() == 11 and transform.action_mask.sum() == 6
    assert np.allclose(transform.encode_actions(positions)[2:6], [0, 0, 0.5, 1], atol=1e-6)  # a quarter turn of pi
    assert np.allclose(transform.decode_actions(transform.encode_actions(positions)), positions, atol=1e-6)


def test_relative_actions_are_refused():
    robot = small_robot()
    statistics = random_statistics(robot, np.random.default_rng(0))
    relative = replace(statistics, kinds={"action": {"waist": KeyModality(absolute=False)}})
    with pytest.raises(ConfigError, match="actions of 'waist' are relative; only absolute joint targets"):
        StateActionTransform(robot, relative, 64, 32)


def test_statistics_of_another_robot_are_refused():
    robot, other = small_robot(), small_robot({"leg": 4})
    statistics = random_statistics(other, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="no state statistics for group 'left_arm'; there are: leg"):
        StateActionTransform(robot, statistics, 64, 32)
    wider = random_statistics(small_robot({"left_arm": 4, "right_arm": 2, "waist": 1}), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="state statistics of 'left_arm' have 4 values, not 3"):
        StateActionTransform(robot, wider, 64, 32)


def test_a_vector_of_wrong_width_is_refused():
    robot = small_robot()
    transform = StateActionTransform(robot, random_statistics(robot, np.random.default_rng(0)), 64, 32)
    with pytest.raises(ConfigError, match="'small' has 6 policy joints, got 5 values"):
        transform.encode_state(np.zeros(5))
    with pytest.raises(ConfigError, match="expected 32 values per step, got 6"):
        transform.decode_actions(np.zeros((16, 6)))
