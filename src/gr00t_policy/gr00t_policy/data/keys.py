# SPDX-License-Identifier: Apache-2.0
"""One key of state or action, and several in a row, <-> the network's numbers.

Per key: rotation first, then normalisation; back in reverse. Keys in a row: concatenated, then padded with zeros. As GR00T
N1 does it (gr00t/data/transform/{state_action,concat}.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.encoding import EULER_ANGLES, ROTATION_WIDTHS, GroupEncoding
from gr00t_policy.core.errors import ConfigError, EmbodimentError
from gr00t_policy.data.key_statistics import KeyStatistics
from gr00t_policy.data.normalization import INVERSES, NORMALISERS, sin_cos, undo_sin_cos
from gr00t_policy.data.rotation import convert_rotation
from gr00t_policy.data.statistics import KeyModality

_ABSOLUTE_JOINTS = KeyModality()
# Fixed bounds in place of statistics; the published code has none for matrices, whose entries lie in the same range.
_BOUNDS = {"rotation_6d": 1.0, "quaternion": 1.0, "matrix": 1.0, **dict.fromkeys(("axis_angle", *EULER_ANGLES), np.pi)}


@dataclass(frozen=True)
class KeyTransform:
    """One key of ``values`` numbers. Raises ConfigError when encoding, statistics and kind do not belong together."""

    name: str
    encoding: GroupEncoding
    statistics: KeyStatistics
    kind: KeyModality = _ABSOLUTE_JOINTS
    values: int = field(init=False)
    width: int = field(init=False)  # of the network's numbers
    _bounds: KeyStatistics = field(init=False, repr=False)

    def __post_init__(self) -> None:
        encoding, values = self.encoding, len(self.statistics.min)
        self._check_kind()
        try:
            encoding.check_width(self.name, values)
        except EmbodimentError as error:
            raise ConfigError(f"statistics: {error}") from error
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "width", encoding.width(values))
        bounds = fixed_bounds(encoding.rotation_target) if encoding.converts else self.statistics
        object.__setattr__(self, "_bounds", bounds)

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """(..., values) -> (..., width)."""
        if self.encoding.converts:
            values = convert_rotation(values, self.encoding.rotation_source, self.encoding.rotation_target)
        if self.encoding.mode == "sin_cos":
            return sin_cos(values)
        normalise = NORMALISERS.get(self.encoding.mode)
        return normalise(values, self._bounds) if normalise else values

    def decode(self, numbers: NDArray[np.floating]) -> NDArray[np.floating]:
        """(..., width) -> (..., values). Raises ConfigError for the mode that has no way back."""
        mode = self.encoding.mode
        if mode == "scale":
            raise ConfigError(f"key '{self.name}': mode 'scale' has no inverse; use min_max")
        if mode == "sin_cos":
            numbers = undo_sin_cos(numbers)
        elif mode != "none":
            numbers = INVERSES[mode](numbers, self._bounds)
        if self.encoding.converts:
            return convert_rotation(numbers, self.encoding.rotation_target, self.encoding.rotation_source)
        return numbers

    def _check_kind(self) -> None:
        encoding, kind = self.encoding, self.kind
        if not kind.continuous and encoding.mode != "binary":
            raise ConfigError(f"key '{self.name}' is not continuous; its mode must be binary, not '{encoding.mode}'")
        if encoding.converts and not kind.absolute and encoding.mode != "none":
            raise ConfigError(
                f"key '{self.name}' is a relative rotation; a converted one cannot be normalised: use mode none"
            )
        if encoding.converts and kind.rotation_type and kind.rotation_type != encoding.rotation_source:
            raise ConfigError(
                f"key '{self.name}': the data hold a rotation of type {kind.rotation_type}, the embodiment says "
                f"{encoding.rotation_source}"
            )


def fixed_bounds(rotation: str) -> KeyStatistics:
    """What normalises a converted rotation: +-1 for rotation_6d, quaternion and matrix, +-pi for angles."""
    bound, zero = np.full(ROTATION_WIDTHS[rotation], _BOUNDS[rotation]), np.zeros(ROTATION_WIDTHS[rotation])
    return KeyStatistics(min=-bound, max=bound, mean=zero, std=bound, q01=-bound, q99=bound)


@dataclass(frozen=True)
class KeySequence:
    """Keys in order as one padded vector of ``width`` numbers.

    truncate: numbers beyond ``width`` are cut off (N1's rule for states) instead of refused (its rule for actions).
    Raises ConfigError when they do not fit.
    """

    keys: Sequence[KeyTransform]
    width: int
    truncate: bool = False

    def __post_init__(self) -> None:
        if self.used > self.width and not self.truncate:
            raise ConfigError(f"{self.used} numbers do not fit the network's width {self.width}")

    @property
    def values(self) -> int:
        return sum(key.values for key in self.keys)

    @property
    def used(self) -> int:
        """Numbers before padding or truncation."""
        return sum(key.width for key in self.keys)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(width,) True for the numbers that mean something."""
        return np.arange(self.width) < self.used

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., values) -> (..., width)."""
        padded = np.zeros((*values.shape[:-1], max(self.width, self.used)), np.float32)
        start = place = 0
        for key in self.keys:
            padded[..., place : place + key.width] = key.encode(values[..., start : start + key.values])
            start, place = start + key.values, place + key.width
        return padded[..., : self.width]

    def decode(self, numbers: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., width) -> (..., values); what lies in the padding is dropped. Nothing can be decoded that was cut off."""
        if self.used > self.width:
            raise ConfigError(f"{self.used} numbers were cut to {self.width}; there is no way back")
        values = np.empty((*numbers.shape[:-1], self.values), np.float64)
        start = place = 0
        for key in self.keys:
            given = np.asarray(numbers[..., place : place + key.width], np.float64)
            values[..., start : start + key.values] = key.decode(given)
            start, place = start + key.values, place + key.width
        return values
