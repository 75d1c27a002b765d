# SPDX-License-Identifier: Apache-2.0
"""Rotations: every type leads to every other and back, by the conventions of the published data."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.core.encoding import EULER_ANGLES, ROTATION_WIDTHS
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.rotation import convert_rotation, from_matrix, to_matrix

TYPES = st.sampled_from(list(ROTATION_WIDTHS))


def random_matrices(seed: int, count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return to_matrix(rng.normal(size=(count, 4)), "quaternion")


@settings(max_examples=60)
@given(TYPES, TYPES, st.integers(0, 2**32 - 1))
def test_there_and_back_is_the_same_rotation(source, target, seed):
    matrices = random_matrices(seed)
    there = convert_rotation(from_matrix(matrices, source), source, target)
    assert there.shape == (20, ROTATION_WIDTHS[target])
    assert np.allclose(to_matrix(there, target), matrices, atol=1e-9)
    back = convert_rotation(there, target, source)
    assert np.allclose(back, from_matrix(matrices, source), atol=1e-6)


@pytest.mark.parametrize("name", ROTATION_WIDTHS)
def test_it_agrees_with_an_independent_library(name):
    scipy = pytest.importorskip("scipy.spatial.transform")
    matrices = random_matrices(3, 200)
    theirs = scipy.Rotation.from_matrix(matrices)
    if name in EULER_ANGLES:
        letters = name[-3:].translate(str.maketrans("rpy", "XYZ"))  # capital letters: turns about the turned axes
        expected = theirs.as_euler(letters)
    else:
        expected = {
            "quaternion": theirs.as_quat(canonical=True)[:, [3, 0, 1, 2]],
            "axis_angle": theirs.as_rotvec(),
            "matrix": matrices.reshape(-1, 9),
            "rotation_6d": matrices[:, :2].reshape(-1, 6),
        }[name]
    assert np.allclose(from_matrix(matrices, name), expected, atol=1e-9)
    assert np.allclose(to_matrix(expected, name), matrices, atol=1e-9)


def test_known_turns_have_the_known_numbers():
    half = np.sqrt(0.5)
    quarter_about_z = np.array([half, 0, 0, half])  # w, x, y, z
    assert np.allclose(to_matrix(quarter_about_z, "quaternion"), [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert np.allclose(convert_rotation(quarter_about_z, "quaternion", "rotation_6d"), [0, -1, 0, 1, 0, 0])
    assert np.allclose(convert_rotation(quarter_about_z, "quaternion", "axis_angle"), [0, 0, np.pi / 2])
    assert np.allclose(convert_rotation(quarter_about_z, "quaternion", "euler_angles_rpy"), [0, 0, np.pi / 2])
    assert np.allclose(convert_rotation(quarter_about_z, "quaternion", "euler_angles_ypr"), [np.pi / 2, 0, 0])


@pytest.mark.parametrize("name", EULER_ANGLES)
@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
def test_euler_angles_at_the_lock_still_give_the_same_rotation(name, middle):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrices = to_matrix(np.array([[0.3, middle, -0.8], [2.0, middle, 3.0]]), name)
        angles = from_matrix(matrices, name)
    assert np.array_equal(angles[:, 2], [0.0, 0.0])
    assert np.allclose(to_matrix(angles, name), matrices, atol=1e-9)


@pytest.mark.parametrize("turn", [0.0, 1e-12, 1e-4, np.pi - 1e-9, np.pi])
def test_turns_of_nothing_and_of_half_a_circle_keep_their_digits(turn):
    for axis in np.vstack([np.eye(3), [0.6, 0.0, 0.8]]):
        quaternion = convert_rotation(axis * turn, "axis_angle", "quaternion")
        assert np.allclose(quaternion, [np.cos(turn / 2), *(axis * np.sin(turn / 2))], atol=1e-15)
        back = convert_rotation(quaternion, "quaternion", "axis_angle")
        assert np.allclose(to_matrix(back, "axis_angle"), to_matrix(axis * turn, "axis_angle"), atol=1e-12)
        assert np.linalg.norm(back) == pytest.approx(turn, abs=1e-9)


def test_six_numbers_of_a_network_become_the_rotation_next_to_them():
    rows = random_matrices(5)[:, :2].reshape(-1, 6)
    noisy = rows * 1.3 + np.random.default_rng(0).normal(size=rows.shape) * 0.02
    matrices = to_matrix(noisy, "rotation_6d")
    assert np.allclose(matrices @ matrices.swapaxes(-1, -2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(matrices), 1)
    assert np.abs(matrices[:, :2].reshape(-1, 6) - rows).max() < 0.12


@pytest.mark.parametrize(
    ("values", "source"),
    [([0, 0, 0, 0], "quaternion"), ([1, 0, 0, 2, 0, 0], "rotation_6d"), ([np.nan, 0, 0], "axis_angle")],
)
def test_numbers_that_are_no_rotation_are_refused(values, source):
    with pytest.raises(MessageError, match="no rotation|NaN or infinity"):
        convert_rotation(np.array(values, float), source, "matrix")


def test_an_unknown_type_and_a_wrong_width_are_refused():
    with pytest.raises(ConfigError, match="unknown rotation type 'euler'; known: axis_angle, quaternion"):
        convert_rotation(np.zeros(3), "euler", "matrix")
    with pytest.raises(ConfigError, match="a rotation of type quaternion has 4 values, got 3"):
        convert_rotation(np.zeros(3), "quaternion", "matrix")
