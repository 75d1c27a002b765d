# SPDX-License-Identifier: Apache-2.0
"""Which parts of a device's sample may be used: the same checks for every device.

A part that fails becomes NaN ("not tracked"), so whoever uses the sample holds and latches anew instead of following a
leap. What a device itself calls not tracked is NaN before it comes here and is not counted.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.types import tracked, untracked

Array = NDArray[np.float64]

REASONS = ("not_finite", "no_rotation", "too_far", "jump", "frozen")
_QUATERNION_TOLERANCE = 1e-2  # of a device's own; results are normalised


@dataclass(frozen=True)
class CheckLimits:
    """Bounds of what a person can do and a device should say.

    A wrist of a boxer reaches 10 m/s; ``max_speed_m_s`` plus ``slack_m`` (tracking noise) bounds a step between samples.
    settle_s: how long a pose must move like a person again after a jump before it is believed.
    freeze_s: a live wrist never repeats bit for bit for so long; 0 for devices that do rest (a keyboard).
    """

    max_speed_m_s: float = 8.0
    slack_m: float = 0.03
    settle_s: float = 0.1
    freeze_s: float = 0.1
    max_distance_m: float = 10.0


@dataclass
class _Memory:
    pose: Array | None = None  # last pose that was a pose at all, believed or not
    pose_ns: int = 0
    changed_ns: int = 0  # since when it has been bitwise the same
    settled_ns: int = 0  # from when poses are believed again


class SampleChecks:
    """Owned by one stream of samples; call in the order of their stamps. ``counts`` holds one number per reason."""

    def __init__(self, limits: CheckLimits) -> None:
        self._limits = limits
        self.counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.reset()

    def reset(self) -> None:
        """Forget what came before: the device's origin is a new one."""
        self._memories = {name: _Memory() for name in ("head", "left_wrist", "right_wrist")}

    def check(self, sample: DeviceSample, stamp_ns: int) -> DeviceSample:
        """The sample with NaN in what must not be used. A wrist that is lost takes its fingers along."""
        head = self._part("head", sample.head, stamp_ns, freezes=False)
        left = self._part("left_wrist", sample.left_wrist, stamp_ns, freezes=True)
        right = self._part("right_wrist", sample.right_wrist, stamp_ns, freezes=True)
        return replace(
            sample,
            head=head,
            left_wrist=left,
            right_wrist=right,
            left_hand=self._fingers(sample.left_hand, left),
            right_hand=self._fingers(sample.right_hand, right),
        )

    def _part(self, name: str, pose: Array, stamp_ns: int, *, freezes: bool) -> Array:
        if np.isnan(pose).all():
            return pose
        reason = self._flaw(pose) or self._motion(self._memories[name], pose, stamp_ns, freezes)
        if reason:
            self.counts[reason] += 1
            return untracked()
        return _normalised(pose)

    def _flaw(self, pose: Array) -> str:
        """What is wrong with the numbers alone."""
        numbers = pose.tolist()
        if not all(map(math.isfinite, numbers)):
            return "not_finite"
        if abs(math.hypot(*numbers[3:]) - 1.0) > _QUATERNION_TOLERANCE:
            return "no_rotation"
        return "too_far" if math.hypot(*numbers[:3]) > self._limits.max_distance_m else ""

    def _motion(self, memory: _Memory, pose: Array, stamp_ns: int, freezes: bool) -> str:
        """What is wrong with the step from the pose before."""
        limits, last, last_ns = self._limits, memory.pose, memory.pose_ns
        memory.pose, memory.pose_ns = pose, stamp_ns
        if last is None or not np.array_equal(pose, last):
            memory.changed_ns = stamp_ns
        if last is not None:
            reach_m = limits.slack_m + limits.max_speed_m_s * (stamp_ns - last_ns) / 1e9
            if math.dist(pose[:3].tolist(), last[:3].tolist()) > reach_m:
                memory.settled_ns = stamp_ns + int(limits.settle_s * 1e9)
        if stamp_ns < memory.settled_ns:
            return "jump"
        frozen = freezes and limits.freeze_s > 0 and stamp_ns - memory.changed_ns > limits.freeze_s * 1e9
        return "frozen" if frozen else ""

    def _fingers(self, hand: Array, wrist: Array) -> Array:
        """A finger's flaw costs that key point only."""
        if not tracked(wrist):
            return untracked(len(hand))
        with np.errstate(invalid="ignore"):
            lengths = np.sqrt((hand[:, 3:] * hand[:, 3:]).sum(axis=1))
            good = tracked(hand) & (np.abs(lengths - 1.0) <= _QUATERNION_TOLERANCE)
            checked = hand.copy()
            checked[:, 3:] /= lengths[:, None]
        if not good.all():
            self.counts["not_finite"] += int((~good & ~np.isnan(hand).all(axis=-1)).sum())
            checked[~good] = np.nan
        return checked


def _normalised(pose: Array) -> Array:
    """The pose (7,) with a quaternion of length 1."""
    result = pose.copy()
    result[3:] /= math.hypot(*pose[3:].tolist())
    return result
