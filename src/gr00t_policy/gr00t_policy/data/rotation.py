# SPDX-License-Identifier: Apache-2.0
"""Rotations in the types of GR00T N1's data, converted over the 3x3 matrix. Pure functions on the last axis.

Conventions (those of pytorch3d, which the published code uses): quaternions are w, x, y, z with w >= 0 in results;
rotation_6d is the first two rows of the matrix; letters r, p, y of Euler angles are turns about X, Y, Z, and the matrix is
their product in the stated order; axis_angle is at most pi long. Angles in radians.
"""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.encoding import EULER_ANGLES, ROTATION_WIDTHS
from gr00t_policy.core.errors import ConfigError, MessageError

Array = NDArray[np.float64]

_SMALLEST = 1e-9  # shorter quaternions and rows have no direction
_LOCKED = 1e-8  # cosine of the middle Euler angle below which the outer two turn about one axis
_AXES = {"r": 0, "p": 1, "y": 2}


def convert_rotation(values: NDArray[np.floating], source: str, target: str) -> Array:
    """(..., width of source) -> (..., width of target) float64; unchanged when both are the same.

    Raises ConfigError on an unknown type, MessageError on values that are no rotation (a zero quaternion, NaN).
    """
    for name in (source, target):
        if name not in ROTATION_WIDTHS:
            raise ConfigError(f"unknown rotation type '{name}'; known: {', '.join(ROTATION_WIDTHS)}")
    if values.shape[-1] != ROTATION_WIDTHS[source]:
        raise ConfigError(f"a rotation of type {source} has {ROTATION_WIDTHS[source]} values, got {values.shape[-1]}")
    given = np.asarray(values, np.float64)
    return given if source == target else from_matrix(to_matrix(given, source), target)


def to_matrix(values: Array, source: str) -> Array:
    """(..., width of source) -> (..., 3, 3)."""
    if not np.isfinite(values).all():
        raise MessageError(f"a rotation of type {source} holds NaN or infinity")
    if source in EULER_ANGLES:
        turns = [_turn(axis, values[..., place]) for place, axis in enumerate(_order(source))]
        return turns[0] @ turns[1] @ turns[2]
    if source == "quaternion":
        return _matrix_of_quaternion(values)
    if source == "axis_angle":
        return _matrix_of_axis_angle(values)
    return _matrix_of_rows(values[..., :3], values[..., 3:6])  # rotation_6d, or the first two rows of a matrix


def from_matrix(matrix: Array, target: str) -> Array:
    """(..., 3, 3) -> (..., width of target)."""
    if target in EULER_ANGLES:
        return _euler_angles(matrix, _order(target))
    if target == "quaternion":
        return _quaternion(matrix)
    if target == "axis_angle":
        return _axis_angle(_quaternion(matrix))
    rows = matrix if target == "matrix" else matrix[..., :2, :]
    return rows.reshape(*matrix.shape[:-2], -1)


def _order(name: str) -> tuple[int, int, int]:
    first, second, third = (_AXES[letter] for letter in name.removeprefix("euler_angles_"))
    return first, second, third


def _turn(axis: int, angle: Array) -> Array:
    """Rotation about one axis."""
    matrix = np.zeros((*angle.shape, 3, 3))
    following, last = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., following, following] = matrix[..., last, last] = np.cos(angle)
    matrix[..., last, following] = np.sin(angle)
    matrix[..., following, last] = -np.sin(angle)
    return matrix


def _euler_angles(matrix: Array, order: tuple[int, int, int]) -> Array:
    """Middle angle in [-pi/2, pi/2]; where it is +-pi/2 the third angle is 0."""
    i, j, k = order
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    cosine = np.hypot(matrix[..., i, i], matrix[..., i, j])
    locked = cosine < _LOCKED
    first = np.where(
        locked,
        np.arctan2(sign * matrix[..., k, j], matrix[..., j, j]),
        np.arctan2(-sign * matrix[..., j, k], matrix[..., k, k]),
    )
    third = np.where(locked, 0.0, np.arctan2(-sign * matrix[..., i, j], matrix[..., i, i]))
    return np.stack([first, np.arctan2(sign * matrix[..., i, k], cosine), third], axis=-1)


def _matrix_of_quaternion(values: Array) -> Array:
    w, x, y, z = np.moveaxis(_unit(values, "quaternion"), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _matrix_of_axis_angle(values: Array) -> Array:
    half = np.linalg.norm(values, axis=-1, keepdims=True) / 2
    vector = values / 2 * np.sinc(half / np.pi)  # numpy's sinc(x) is sin(pi x) / (pi x)
    return _matrix_of_quaternion(np.concatenate([np.cos(half), vector], axis=-1))


def _matrix_of_rows(first: Array, second: Array) -> Array:
    """Gram-Schmidt: what a network gives for two rows need not be orthogonal nor of length 1."""
    x = _unit(first, "rotation row")
    y = _unit(second - (x * second).sum(axis=-1, keepdims=True) * x, "rotation row")
    return np.stack([x, y, np.cross(x, y)], axis=-2)


def _quaternion(matrix: Array) -> Array:
    """The largest of w, x, y, z comes from the diagonal, the others from it: no loss of digits anywhere."""
    m = matrix
    diagonal = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    trace = diagonal.sum(axis=-1, keepdims=True)
    squares = np.concatenate([1 + trace, 1 + 2 * diagonal - trace], axis=-1)  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    sums = np.zeros((*m.shape[:-2], 4, 4))  # 4 times the products of every two components
    for a, b, product in (
        (0, 1, m[..., 2, 1] - m[..., 1, 2]),
        (0, 2, m[..., 0, 2] - m[..., 2, 0]),
        (0, 3, m[..., 1, 0] - m[..., 0, 1]),
        (1, 2, m[..., 0, 1] + m[..., 1, 0]),
        (1, 3, m[..., 0, 2] + m[..., 2, 0]),
        (2, 3, m[..., 1, 2] + m[..., 2, 1]),
    ):
        sums[..., a, b] = sums[..., b, a] = product
    sums[..., range(4), range(4)] = squares
    largest = squares.argmax(axis=-1)[..., None, None]
    chosen = np.take_along_axis(sums, largest, axis=-2)[..., 0, :]
    quaternion = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return np.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def _axis_angle(quaternion: Array) -> Array:
    vector = quaternion[..., 1:]
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    half = np.arctan2(sine, quaternion[..., :1])
    return 2 * vector / np.sinc(half / np.pi)


def _unit(values: Array, what: str) -> Array:
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    if (length < _SMALLEST).any():
        raise MessageError(f"a {what} is zero or parallel to another; it is no rotation")
    return values / length
