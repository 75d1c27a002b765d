# SPDX-License-Identifier: Apache-2.0
"""A clutch for bare hands: both thumbs on their little fingers, held for a moment, opens or closes it.

The two pinches together do not happen by themselves at work: fingers that grasp close from the index on. While they
last the fingers are not passed on: they mean the clutch, and the robot's hands, which may hold something, must not copy them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.types import KEYPOINTS, tracked, untracked

HINT = "touch both little fingers with your thumbs for a second to start or stop"
_THUMB, _LITTLE = KEYPOINTS.index("thumb_tip"), KEYPOINTS.index("little_tip")
_TOUCH_M, _APART_M = 0.025, 0.045  # fingertips are 15 mm thick, and headsets err by some 5 mm
_HOLD_NS = 700_000_000
_LOST_NS = 1_000_000_000


class ClutchGesture:
    """Owned by one stream of samples. The clutch also opens when no hand has been seen for a second, or nothing came."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Open, as at the start: a new connection or origin, or a person who took controllers."""
        self._closed, self._armed, self._touching = False, True, False
        self._since_ns: int | None = None
        self._seen_ns: int | None = None

    def read(self, sample: DeviceSample, now_ns: int) -> DeviceSample:
        """The sample with its clutch, and without fingers while they make the gesture."""
        clutch = self.clutch(sample.left_hand, sample.right_hand, now_ns)
        if not self._touching:
            return replace(sample, clutch=clutch)
        unseen = untracked(len(KEYPOINTS))
        return replace(sample, clutch=clutch, left_hand=unseen, right_hand=unseen)

    def clutch(self, left_hand: NDArray[np.float64], right_hand: NDArray[np.float64], now_ns: int) -> bool:
        """Whether the clutch is closed, given the key points (25, 7) of a new sample."""
        gaps = [gap for gap in (_gap_m(left_hand), _gap_m(right_hand)) if np.isfinite(gap)]
        if self._seen_ns is not None and now_ns - self._seen_ns > _LOST_NS:  # before this sample counts as seen
            self._closed, self._since_ns = False, None
        if gaps or self._seen_ns is None:
            self._seen_ns = now_ns
        self._touching = touching = len(gaps) == 2 and max(gaps) < _TOUCH_M
        if len(gaps) == 2 and min(gaps) > _APART_M:
            self._armed = True
        self._since_ns = (self._since_ns or now_ns) if touching and self._armed else None
        if self._since_ns is not None and now_ns - self._since_ns >= _HOLD_NS:
            self._closed, self._armed, self._since_ns = not self._closed, False, None
        return self._closed


def _gap_m(hand: NDArray[np.float64]) -> float:
    seen = tracked(hand[[_THUMB, _LITTLE]]).all()
    return float(np.linalg.norm(hand[_THUMB, :3] - hand[_LITTLE, :3])) if seen else np.nan
