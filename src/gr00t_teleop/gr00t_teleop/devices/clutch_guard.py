# SPDX-License-Identifier: Apache-2.0
"""A person drives only after asking for it here and now: a clutch that was held before a break does not count."""

from collections.abc import Hashable


class ClutchGuard:
    """Whether a held clutch counts. After a break it counts again once it has been seen open.

    A break is a new epoch (reconnected, origin moved), or no sample for ``silence_s``: whoever was disconnected must
    not find the robot following when the picture comes back.
    """

    def __init__(self, silence_s: float = 0.5) -> None:
        self._silence_ns = int(silence_s * 1e9)
        self._epoch: Hashable = None
        self._last_ns = 0
        self._must_open = True

    def engaged(self, clutch: bool, epoch: Hashable, arrival_ns: int) -> bool:
        """Whether the person drives, given the clutch of a sample that came now."""
        if epoch != self._epoch or arrival_ns - self._last_ns > self._silence_ns:
            self._must_open = True
        self._epoch, self._last_ns = epoch, arrival_ns
        self._must_open = self._must_open and clutch
        return clutch and not self._must_open
