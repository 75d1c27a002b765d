# SPDX-License-Identifier: Apache-2.0
"""Samples that no hand can have made: leaps, and trackers that report the same numbers for ever."""

import numpy as np

from gr00t_teleop.retargeting.pose import Pose, rotation_vector

# The fastest a hand moves in ordinary work is about 3 m/s and 20 rad/s; a tracker that swaps hands leaps by decimetres.
_MAX_SPEED_M_S, _MAX_TURN_RAD_S = 6.0, 40.0
_NOISE_M, _NOISE_RAD = 0.02, 0.15
_LONGEST_S = 0.03  # a gap of many samples explains no greater leap than this: what comes after it is latched anew
FROZEN_S = 0.25  # trackers that lost a hand often repeat its last pose; real ones never give the same numbers twice


class OutlierGate:
    """Compares every sample with the one before, also with one that was refused: a lasting change of place costs one sample."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Without a sample to compare with the next one is believed."""
        self._last: Pose | None = None
        self._last_s = 0.0
        self._same_since_s = 0.0

    def fault(self, pose: Pose, stamp_s: float) -> str:
        """Why the sample must not be used, '' when it may. stamp_s: when the device sampled."""
        last, last_s = self._last, self._last_s
        self._last, self._last_s = pose, stamp_s
        if last is None:
            self._same_since_s = stamp_s
            return ""
        dt_s = min(max(stamp_s - last_s, 0.0), _LONGEST_S)
        moved_m = float(np.linalg.norm(pose.position - last.position))
        turned_rad = float(np.linalg.norm(rotation_vector(pose.rotation @ last.rotation.T)))
        if moved_m > 0.0 or turned_rad > 0.0:
            self._same_since_s = stamp_s
        if moved_m > _NOISE_M + _MAX_SPEED_M_S * dt_s:
            return f"leapt {moved_m:.2f} m in {1e3 * dt_s:.0f} ms"
        if turned_rad > _NOISE_RAD + _MAX_TURN_RAD_S * dt_s:
            return f"turned {turned_rad:.1f} rad in {1e3 * dt_s:.0f} ms"
        if stamp_s - self._same_since_s > FROZEN_S:
            return "frozen: the same numbers again and again"
        return ""
