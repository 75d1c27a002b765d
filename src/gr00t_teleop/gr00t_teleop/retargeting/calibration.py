# SPDX-License-Identifier: Apache-2.0
"""The person's size and heading: what makes a tall and a short person, and one who stands askew, the same to the robot."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import Gr00tError
from gr00t_teleop.retargeting.pose import Pose, turn_about_z
from gr00t_teleop.retargeting.robot_model import RobotModel

Matrix = NDArray[np.float64]

# Wrist to wrist of people from the 1st percentile of women to the 99th of men, arms stretched sideways (about 0.78 of height).
_SPAN_M = (1.0, 1.75)
_MAX_SPREAD_M = 0.04  # between samples: the arms are held still
_MAX_TILT = 0.35  # height of one wrist over the other, in spans: both arms are level
_MIN_SAMPLES = 20
_STRAIGHT_UP = 0.3  # forward axis shorter than this on the floor: the head looks up or down and has no heading


class CalibrationError(Gr00tError):
    """The person's size could not be taken."""


def heading(head: Pose | None) -> Matrix | None:
    """(3, 3) turn about the vertical from the person's forward axis to x; None when the head is not tracked or looks up."""
    if head is None:
        return None
    forward = head.rotation[:2, 0]
    if np.linalg.norm(forward) < _STRAIGHT_UP:
        return None
    return turn_about_z(float(np.arctan2(forward[1], forward[0])))


class ArmSpan:
    """Takes the distance between the wrists of a person who stretches both arms sideways, for a moment."""

    def __init__(self) -> None:
        self._spans_m: list[float] = []
        self._tilts: list[float] = []

    def offer(self, left: Pose | None, right: Pose | None) -> None:
        """One sample; None for a wrist that is not tracked."""
        if left is not None and right is not None:
            apart = left.position - right.position
            self._spans_m.append(float(np.linalg.norm(apart)))
            self._tilts.append(abs(float(apart[2])) / max(self._spans_m[-1], 1e-6))

    def result_m(self) -> float:
        """The span. Raises CalibrationError: too few samples, arms not level, not still, or no human span."""
        if len(self._spans_m) < _MIN_SAMPLES:
            raise CalibrationError(
                f"both wrists were tracked in {len(self._spans_m)} samples only, {_MIN_SAMPLES} are needed; "
                "stand where the device sees both hands, and calibrate again"
            )
        span_m, spread_m = float(np.median(self._spans_m)), float(np.ptp(self._spans_m))
        if spread_m > _MAX_SPREAD_M:
            raise CalibrationError(
                f"the wrists' distance changed by {spread_m:.2f} m (at most {_MAX_SPREAD_M} m); hold the arms still"
            )
        if max(self._tilts) > _MAX_TILT or not _SPAN_M[0] <= span_m <= _SPAN_M[1]:
            raise CalibrationError(
                f"the wrists are {span_m:.2f} m apart (a person's are {_SPAN_M[0]} to {_SPAN_M[1]} m, level); "
                "stretch both arms out sideways and calibrate again"
            )
        return span_m


def robot_span_m(embodiment: Embodiment) -> float:
    """The robot's distance between the wrists with both arms stretched sideways."""
    names = ("left_shoulder_roll_joint", "right_shoulder_roll_joint")
    model = RobotModel(embodiment, names)
    model.update(np.array([np.pi / 2, -np.pi / 2]))
    left, right = (model.pose(model.frame(f"{side}_end_effector_link")).position for side in ("left", "right"))
    return float(np.linalg.norm(left - right))
