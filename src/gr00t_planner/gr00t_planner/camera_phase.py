# SPDX-License-Identifier: Apache-2.0
"""The planner ticks shortly after a picture came: else each waits up to a camera's period, 50 ms at 20 Hz, as the start fell.

Once a second the loop is moved a little, so that the picture that waited least waits a margin for its tick. The margin is for
pictures that come later than others. The first move may be half a period, where a camera began after the loop; from then on
the rate stays the planner's own to 0.5 %, whatever the camera does.
"""

from collections import deque

_LARGEST_MARGIN_NS = 3_000_000  # pictures of the simulator come within 1.5 ms of each other, 99 in 100
_MARGIN = (
    0.1  # of the planner's period, which shortens it above 33 Hz: what a picture waits is to be a small part of that
)
_FIRST_STEP, _STEP = 0.5, 0.05  # of the planner's period: once, and then once a second
_SLACK = 1 / 6  # of the margin
_TICKS = 10  # behind a decision


class CameraPhase:
    """``came`` and ``ticked`` tell it when; all times are of the steady clock. One thread may tell each."""

    def __init__(self, period_ns: int) -> None:
        self._step_ns = round(_FIRST_STEP * period_ns)
        self._margin_ns = min(_LARGEST_MARGIN_NS, round(_MARGIN * period_ns))
        self._period_ns = period_ns
        self._came_ns = 0
        self._waits_ns: deque[int] = deque(maxlen=_TICKS)

    def came(self, now_ns: int) -> None:
        """A picture is there, ready to be encoded."""
        self._came_ns = now_ns

    def ticked(self, now_ns: int) -> None:
        """The planner begins a tick."""
        wait_ns = now_ns - self._came_ns
        if 0 <= wait_ns < self._period_ns:  # else the camera is away, or slower than the planner
            self._waits_ns.append(wait_ns)

    @property
    def first_phase_ns(self) -> int | None:
        """Phase for a loop that is about to start; None while no picture came."""
        return self._came_ns + self._margin_ns if self._came_ns else None

    def move_ns(self) -> int:
        """By how much the loop should tick later (negative: earlier) from now on; to be asked about once a second."""
        if len(self._waits_ns) < _TICKS:
            return 0
        later_ns = min(max(self._margin_ns - min(self._waits_ns), -self._step_ns), self._step_ns)
        self._waits_ns.clear()
        if abs(later_ns) <= _SLACK * self._margin_ns:
            return 0
        self._step_ns = round(_STEP * self._period_ns)
        return later_ns
