# SPDX-License-Identifier: Apache-2.0
"""After someone else drove the robot: the policy's commands begin where the robot is and come back to its plan gently.

A policy that sees the robot where no demonstration had it may want to be far away at once. The command gate refuses a start
like that, and rightly: so the distance between the robot and the plan is taken along and then let go, slowly. Between drivers
the gate holds the robot; whatever else makes it hold is no hand-over, and the plan goes on as ever.
"""

from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_NS = 1_000_000_000
_GIVEN_S = 0.1  # age of what the gate gave the robot from which the measured pose counts
_SPEED_RAD_S = 0.5  # mean speed of coming back: a quarter of what a shoulder may do (embodiments/gr1.yaml)
_SHORTEST_S, _LONGEST_S = 0.3, 4.0


class _Phase(Enum):
    DRIVES = auto()  # the plan itself is commanded
    WAITS = auto()  # someone else drives, or drove last and the gate does not pass the policy's commands yet
    RETURNS = auto()


class HandOver:
    """Owned by the controller; ``gate`` and ``given`` may be called from another thread. Without a word of a gate the plan
    itself is commanded, always."""

    def __init__(self) -> None:
        self._phase = _Phase.DRIVES
        self._passes = self._others_drove = False
        self._given: tuple[Vector, int] | None = None
        self._offset = np.zeros(0)
        self._began_ns: int | None = None
        self._return_s = _SHORTEST_S

    @property
    def waits(self) -> bool:
        """Whether what the gate gives the robot counts."""
        return self._others_drove or self._phase is _Phase.WAITS

    def gate(self, *, others_drive: bool, passes: bool) -> None:
        """What the gate said. others_drive: its source is not the policy; passes: it passes the policy's commands on."""
        self._passes = passes
        self._others_drove = self._others_drove or others_drive

    def given(self, positions: Vector, now_ns: int) -> None:
        """What the gate gave the robot: (J,) of the policy's joints."""
        self._given = positions, now_ns

    def command(self, plan: Vector, measured: NDArray[np.floating], now_ns: int) -> Vector:
        """What to command (J,) where the plan says ``plan`` (J,) and the robot is measured at ``measured`` (J,)."""
        if self._others_drove or (self._phase is _Phase.RETURNS and not self._passes):
            self._phase, self._others_drove = _Phase.WAITS, False
        if self._phase is _Phase.DRIVES:
            return plan
        if self._phase is _Phase.WAITS:
            held = self._held(measured, now_ns)
            if not self._passes:
                return held
            self._phase, self._began_ns, self._offset = _Phase.RETURNS, now_ns, held - plan
            self._return_s = float(np.clip(np.abs(self._offset).max() / _SPEED_RAD_S, _SHORTEST_S, _LONGEST_S))
        assert self._began_ns is not None
        share = (now_ns - self._began_ns) / _NS / self._return_s
        if share >= 1.0:
            self._phase = _Phase.DRIVES
            return plan
        return plan + (1.0 - share * share * (3.0 - 2.0 * share)) * self._offset

    def _held(self, measured: NDArray[np.floating], now_ns: int) -> Vector:
        """Where the gate holds the robot; an arm that is blocked or sags is measured elsewhere."""
        if self._given is None or now_ns - self._given[1] > _NS * _GIVEN_S:
            return np.asarray(measured, np.float64)
        return self._given[0]
