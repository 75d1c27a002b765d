# SPDX-License-Identifier: Apache-2.0
"""How one joint group becomes numbers for the network: normalisation mode and rotation type, as declared data.

Modes, rotation names and their rules: GR00T N1. The arithmetic is in ``data/normalization.py`` and ``data/rotation.py``.
"""

from dataclasses import dataclass

from gr00t_policy.core.errors import EmbodimentError

STATE_MODES = ("sin_cos", "min_max", "q99", "mean_std", "scale", "binary", "none")
ACTION_MODES = ("min_max", "q99", "mean_std", "binary", "none")  # those that lead back to the joints
EULER_ANGLES = tuple(f"euler_angles_{order}" for order in ("rpy", "ryp", "pry", "pyr", "yrp", "ypr"))
ROTATION_WIDTHS = {"axis_angle": 3, "quaternion": 4, "rotation_6d": 6, "matrix": 9, **dict.fromkeys(EULER_ANGLES, 3)}


@dataclass(frozen=True)
class GroupEncoding:
    """mode: one of STATE_MODES or ACTION_MODES. The values of the group are a rotation of type ``rotation_source``
    ("" = no rotation), which the network sees as ``rotation_target``. Raises EmbodimentError when this makes no sense.
    """

    mode: str = "min_max"
    rotation_source: str = ""
    rotation_target: str = ""

    def __post_init__(self) -> None:
        if self.mode not in STATE_MODES:
            raise EmbodimentError(f"unknown mode '{self.mode}'; known: {', '.join(STATE_MODES)}")
        if bool(self.rotation_source) != bool(self.rotation_target):
            raise EmbodimentError("a rotation needs both rotation_source and rotation_target")
        for name in (self.rotation_source, self.rotation_target):
            if name and name not in ROTATION_WIDTHS:
                raise EmbodimentError(f"unknown rotation type '{name}'; known: {', '.join(ROTATION_WIDTHS)}")
        if self.converts and self.mode not in ("min_max", "none"):
            raise EmbodimentError(
                f"mode '{self.mode}' cannot follow the conversion of a rotation; use min_max (fixed bounds) or none"
            )

    @property
    def converts(self) -> bool:
        """Whether a rotation really changes its type."""
        return self.rotation_source != self.rotation_target

    def width(self, values: int) -> int:
        """How many numbers the network sees for a group of ``values``."""
        if self.converts:
            return ROTATION_WIDTHS[self.rotation_target]
        return 2 * values if self.mode == "sin_cos" else values

    def check_width(self, group: str, values: int) -> None:
        """Raises EmbodimentError unless a group of ``values`` can hold the declared rotation."""
        needed = ROTATION_WIDTHS.get(self.rotation_source, values)
        if needed != values:
            raise EmbodimentError(
                f"group '{group}' has {values} values, but a rotation of type {self.rotation_source} has {needed}"
            )
