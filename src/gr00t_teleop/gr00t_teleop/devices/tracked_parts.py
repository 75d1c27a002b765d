# SPDX-License-Identifier: Apache-2.0
"""One person out of trackers that each speak for themselves: which of their poses belong to one sample, and of when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.device_clock import DeviceClock
from gr00t_teleop.types import untracked

Part = Literal["head", "left_wrist", "right_wrist"]
PARTS: tuple[Part, ...] = ("head", "left_wrist", "right_wrist")
_WRISTS: tuple[Part, ...] = ("left_wrist", "right_wrist")
# Poses of one sample are at most so far apart: three periods of a tracker at 60 Hz. One that says nothing longer is lost.
_TOGETHER_NS = 50_000_000
_ALIVE_NS = 100_000_000
_JUST_NOW = 0.4  # of a period: a pose this young belongs to the next one of the other wrist, although it is not new


@dataclass
class _Track:
    pose: NDArray[np.float64] = field(default_factory=untracked)
    device_ns: int | None = None  # its own stamp
    stamp_ns: int = -(2**63)  # on the receiver's clock
    arrival_ns: int = -(2**63)
    period_ns: int = 10_000_000


@dataclass(frozen=True)
class Moment:
    """Where head and wrists (7,) were at ``stamp_ns`` on the receiver's clock; NaN for those that are silent."""

    stamp_ns: int
    head: NDArray[np.float64]
    left_wrist: NDArray[np.float64]
    right_wrist: NDArray[np.float64]


class TrackedParts:
    """Makes a moment as soon as both wrists, or the one that is alive, have something new; the head never holds it up.

    So trackers of one rate give samples of that rate, each with one new pose of each. ``repeated``: poses whose stamp
    did not go on.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self._clocks = {part: DeviceClock() for part in PARTS}
        self.reset()

    def reset(self) -> None:
        """Forget all poses: a new origin or a new start. The clocks go on, so that what was held up stays late."""
        self._tracks = {part: _Track() for part in PARTS}
        self._new: set[Part] = set()
        self._last_ns = -(2**63)

    def hear(self, part: Part, pose: NDArray[np.float64], device_ns: int | None, arrival_ns: int) -> Iterator[Moment]:
        """Moments that a pose (7,) completes. device_ns: the tracker's own stamp, None: it has none."""
        if arrival_ns < self._last_ns:
            self.reset()  # the clock was set back
        track = self._tracks[part]
        if device_ns is not None and device_ns == track.device_ns:
            self.repeated += 1
            return
        if part in self._new and part in _WRISTS:
            yield self._moment()
        stamp_ns = arrival_ns if device_ns is None else self._clocks[part].to_receiver_ns(device_ns, arrival_ns)
        if 0 <= arrival_ns - track.arrival_ns < _ALIVE_NS:
            track.period_ns = arrival_ns - track.arrival_ns
        track.pose, track.device_ns, track.stamp_ns, track.arrival_ns = pose, device_ns, stamp_ns, arrival_ns
        self._new.add(part)
        if part in _WRISTS and not any(self._must_wait_for(wrist, arrival_ns) for wrist in _WRISTS):
            yield self._moment()

    def _must_wait_for(self, wrist: Part, now_ns: int) -> bool:
        """Whether this wrist is alive and will soon say something that belongs to what came now."""
        track = self._tracks[wrist]
        age_ns = now_ns - track.arrival_ns
        return wrist not in self._new and _JUST_NOW * track.period_ns < age_ns < _ALIVE_NS

    def _moment(self) -> Moment:
        newest_ns = max(self._tracks[part].stamp_ns for part in self._new if part in _WRISTS)
        self._last_ns = max(newest_ns, self._last_ns + 1)  # of two wrists at one time that came apart, too
        self._new.clear()
        poses = {
            part: track.pose if abs(self._last_ns - track.stamp_ns) <= _TOGETHER_NS else untracked()
            for part, track in self._tracks.items()
        }
        return Moment(self._last_ns, **poses)
