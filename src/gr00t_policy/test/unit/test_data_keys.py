# SPDX-License-Identifier: Apache-2.0
"""Keys: the arithmetic of every mode in numbers worked out by hand, rotations before it, padding after it."""

import numpy as np
import pytest

from gr00t_policy.core.encoding import GroupEncoding
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.key_statistics import KeyStatistics
from gr00t_policy.data.keys import KeySequence, KeyTransform
from gr00t_policy.data.rotation import from_matrix, to_matrix
from gr00t_policy.data.statistics import KeyModality

# The second dimension never changed in the data.
STATISTICS = KeyStatistics(min=[-4, 3], max=[2, 3], mean=[1, 3], std=[0.5, 0], q01=[-1, 3], q99=[1, 3])
VALUES = np.array([[-4.0, 3.0], [2.0, 3.5], [5.0, -9.0]])


def key(mode: str, statistics: KeyStatistics = STATISTICS, **rotation: str) -> KeyTransform:
    return KeyTransform("key", GroupEncoding(mode, **rotation), statistics)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("min_max", [[-1, 0], [1, 0], [2, 0]]),  # not clipped; constant: 0
        ("q99", [[-1, 1], [1, 1], [1, -1]]),  # clipped; constant: the raw value, clipped too
        ("mean_std", [[-10, 3], [2, 3.5], [8, -9]]),  # constant: the raw value
        ("scale", [[-1, 1], [0.5, 3.5 / 3], [1.25, -3]]),  # by max(|min|, |max|)
        ("binary", [[0, 1], [1, 1], [1, 0]]),
        ("none", VALUES),
        ("sin_cos", np.concatenate([np.sin(VALUES), np.cos(VALUES)], axis=1)),
    ],
)
def test_every_mode_has_the_published_arithmetic(mode, expected):
    assert np.allclose(key(mode).encode(VALUES), expected)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("min_max", [0.5, 3]),  # (0.5 + 1) / 2 * 6 - 4
        ("q99", [0.5, 3]),
        ("mean_std", [1.25, 3]),
        ("binary", [0, 1]),
        ("none", [0.5, 0.7]),
    ],
)
def test_the_way_back_has_the_published_arithmetic(mode, expected):
    assert np.allclose(key(mode).decode(np.array([0.5, 0.7])), expected)


@pytest.mark.parametrize("mode", ["min_max", "q99", "mean_std", "none", "sin_cos"])
def test_the_way_back_is_exact_where_nothing_was_clipped_and_the_data_moved(mode):
    statistics = KeyStatistics(min=[-1, -3], max=[2, 3], mean=[1, 0], std=[0.5, 2], q01=[-1, -2], q99=[1, 3])
    values = np.random.default_rng(0).uniform([-1, -2], [1, 3], (50, 2))
    transform = key(mode, statistics)
    assert np.allclose(transform.decode(transform.encode(values)), values, atol=1e-14)


def test_scale_divides_by_nothing_where_the_data_were_zero_and_has_no_way_back():
    zero = KeyStatistics(*([0.0],) * 6)
    assert key("scale", zero).encode(np.array([3.0])) == 0
    with pytest.raises(ConfigError, match="mode 'scale' has no inverse"):
        key("scale").decode(np.zeros(2))


@pytest.mark.parametrize(
    ("source", "target", "bound"),
    [
        ("quaternion", "rotation_6d", 1.0),
        ("rotation_6d", "quaternion", 1.0),
        ("quaternion", "axis_angle", np.pi),
        ("axis_angle", "euler_angles_rpy", np.pi),
    ],
)
def test_a_converted_rotation_is_normalised_by_fixed_bounds_not_by_statistics(source, target, bound):
    rotations = to_matrix(np.random.default_rng(0).normal(size=(30, 4)), "quaternion")
    given = from_matrix(rotations, source)
    narrow = KeyStatistics(*(np.zeros(given.shape[1]),) * 6)
    transform = key("min_max", narrow, rotation_source=source, rotation_target=target)
    encoded = transform.encode(given)
    assert encoded.shape == (30, transform.width)
    assert np.allclose(encoded * bound, from_matrix(rotations, target))
    assert np.allclose(transform.decode(encoded), given)


def test_a_rotation_that_keeps_its_type_is_normalised_by_its_statistics():
    transform = key("min_max", KeyStatistics(*([0] * 3,), *([2] * 3,), *([1] * 3,) * 4), **_same("axis_angle"))
    assert np.allclose(transform.encode(np.array([0.0, 1.0, 2.0])), [-1, 0, 1])


def test_relative_rotations_are_converted_but_never_normalised():
    relative, rotation = KeyModality(absolute=False, rotation_type="euler_angles_rpy"), _other("euler_angles_rpy")
    zeros = KeyStatistics(*([0.0] * 3,) * 6)
    angles = np.array([0.0, 0.0, 0.1])
    transform = KeyTransform("key", GroupEncoding("none", **rotation), zeros, relative)
    assert np.allclose(transform.encode(angles), [0, 0, 0.1])
    with pytest.raises(ConfigError, match="key 'key' is a relative rotation; .* use mode none"):
        KeyTransform("key", GroupEncoding("min_max", **rotation), zeros, relative)


def test_what_the_data_are_and_what_the_robot_says_must_agree():
    zeros = KeyStatistics(*([0.0] * 3,) * 6)
    with pytest.raises(ConfigError, match="not continuous; its mode must be binary, not 'min_max'"):
        KeyTransform("grip", GroupEncoding("min_max"), zeros, KeyModality(continuous=False))
    with pytest.raises(ConfigError, match="data hold a rotation of type axis_angle, the embodiment says euler_angles"):
        kind = KeyModality(rotation_type="axis_angle")
        KeyTransform("turn", GroupEncoding("none", **_other("euler_angles_rpy")), zeros, kind)
    with pytest.raises(ConfigError, match="group 'key' has 2 values, but a rotation of type quaternion has 4"):
        key("none", rotation_source="quaternion", rotation_target="matrix")


def test_keys_are_concatenated_in_order_and_padded_with_zeros():
    keys = [key("sin_cos"), key("none"), key("min_max")]
    sequence = KeySequence(keys, width=10)
    values = np.random.default_rng(0).normal(size=(5, 4, 6))
    encoded = sequence.encode(values)
    assert encoded.shape == (5, 4, 10) and encoded.dtype == np.float32
    parts = [one.encode(values[..., 2 * n : 2 * n + 2]) for n, one in enumerate(keys)]
    assert np.allclose(encoded[..., :8], np.concatenate(parts, axis=-1), atol=1e-6)
    assert not encoded[..., 8:].any()
    assert sequence.mask.tolist() == [True] * 8 + [False] * 2


def test_states_may_be_cut_to_the_width_and_actions_may_not():
    keys = [key("sin_cos"), key("none")]
    values = np.arange(8.0).reshape(2, 4) / 10
    cut = KeySequence(keys, width=5, truncate=True)
    assert np.array_equal(cut.encode(values), KeySequence(keys, width=6).encode(values)[:, :5])
    assert cut.mask.all()
    with pytest.raises(ConfigError, match="6 numbers were cut to 5; there is no way back"):
        cut.decode(np.zeros((2, 5)))
    with pytest.raises(ConfigError, match="6 numbers do not fit the network's width 5"):
        KeySequence(keys, width=5)


def _same(rotation: str) -> dict[str, str]:
    return {"rotation_source": rotation, "rotation_target": rotation}


def _other(source: str) -> dict[str, str]:
    return {"rotation_source": source, "rotation_target": "axis_angle"}
