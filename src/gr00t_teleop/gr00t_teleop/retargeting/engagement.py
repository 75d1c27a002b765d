# SPDX-License-Identifier: Apache-2.0
"""Whether the robot follows the person: the states of the clutch as a whole, and the only ways between them.

Closing the clutch engages only after it has been seen open: a person who comes back, a device that starts, a stop that is
released never move the robot by themselves.
"""

from enum import IntEnum


class State(IntEnum):
    """Numbers are those of the message TeleopState."""

    DISENGAGED = 1
    CALIBRATING = 2
    ENGAGED = 3
    HOLDING = 4
    STOPPED = 5
    INACTIVE = 6


_OPEN_FIRST = "open the clutch and close it again"


class Engagement:
    """``is_engaged``: commands are given. One owner; the reason is one sentence for people."""

    def __init__(self) -> None:
        self.is_engaged = False
        self._is_active = False
        self._stopped = ""
        self._seen_open = False
        self._reason = ""
        self._trouble = ""
        self._calibrating = False

    @property
    def state(self) -> State:
        if not self._is_active:
            return State.INACTIVE
        if self._stopped:
            return State.STOPPED
        if self._calibrating:
            return State.CALIBRATING
        if not self.is_engaged:
            return State.DISENGAGED
        return State.HOLDING if self._trouble else State.ENGAGED

    @property
    def reason(self) -> str:
        """Why; '' in normal operation."""
        return self._stopped or (self._trouble if self.is_engaged else self._reason)

    def activate(self) -> None:
        """A stop from before stays."""
        self._is_active, self._seen_open = True, False
        self._let_go("")

    def deactivate(self) -> None:
        self._is_active = False
        self._let_go("")

    def clutch(self, *, closed: bool) -> bool:
        """A sample of the clutch; True when the robot begins to follow with it."""
        if not closed:
            if self.is_engaged:
                self._let_go("")
            elif self._reason.endswith(_OPEN_FIRST):
                self._reason = ""
            self._seen_open = True
            return False
        if self.is_engaged or not self._is_active or self._stopped or self._calibrating:
            return False
        if not self._seen_open:
            self._reason = self._reason or _OPEN_FIRST
            return False
        self.is_engaged, self._trouble, self._reason = True, "", ""
        return True

    def drop(self, why: str) -> None:
        """Disengage for a reason that a person must take note of."""
        if self.is_engaged:
            self._let_go(f"{why}; {_OPEN_FIRST}")

    def hold(self, why: str) -> None:
        """While engaged: the robot, or a part of it, holds its pose; '' when all is well."""
        self._trouble = why

    def stop(self, why: str) -> None:
        """Until ``release``."""
        self._stopped = why
        self._let_go("")

    def release(self) -> bool:
        """A person allows to engage again; False when nothing was stopped. Never engages by itself."""
        was_stopped, self._stopped = bool(self._stopped), ""
        if was_stopped:
            self._seen_open = False
            self._reason = _OPEN_FIRST
        return was_stopped

    def begin_calibration(self) -> str:
        """'' when calibration may run, else why not."""
        if self.state is not State.DISENGAGED:
            return f"only a disengaged robot can be calibrated; it is {self.state.name.lower()}"
        self._calibrating = True
        return ""

    def end_calibration(self, result: str) -> None:
        """result: one sentence for people, shown until the robot engages."""
        self._calibrating, self._seen_open = False, False
        self._reason = result

    def _let_go(self, reason: str) -> None:
        self.is_engaged, self._calibrating = False, False
        self._trouble, self._reason = "", reason
        self._seen_open = self._seen_open and not reason
