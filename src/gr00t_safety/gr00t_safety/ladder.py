# SPDX-License-Identifier: Apache-2.0
"""The ladder of safety states as a table: what may follow what, and what a person must release.

Going down is always allowed. Going up needs the cause gone; after a fault, also a reset. Knows no streams or clocks.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class State(IntEnum):
    """Numbers as in gr00t_msgs/GateState."""

    INACTIVE = 1
    ACTIVE = 2
    HOLD = 3
    DAMPED = 4
    STOPPED = 5


class Event(Enum):
    """What can happen to the gate."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    INTERRUPT = "interrupt"  # a stream is missing: hold, and go on by itself when it is back
    FAULT = "fault"  # a source sends what it must not: hold until reset
    LOSE = "lose"  # the robot's state is unknown: damp until reset
    STOP = "stop"  # a person says stop: stand still until reset
    RESUME = "resume"  # streams are healthy and nothing waits for a reset
    RESET = "reset"  # a person has looked


# What only a reset clears, the gravest last: a stop keeps the robot still by commands, and none may follow a loss unasked.
LATCHING = (Event.FAULT, Event.STOP, Event.LOSE)

_S, _E = State, Event
TRANSITIONS: dict[tuple[State, Event], State] = {
    # A stop or fault that is still latched is applied again by the ladder right after ACTIVATE.
    (_S.INACTIVE, _E.ACTIVATE): _S.HOLD,
    (_S.INACTIVE, _E.DEACTIVATE): _S.INACTIVE,
    (_S.INACTIVE, _E.INTERRUPT): _S.INACTIVE,
    (_S.INACTIVE, _E.FAULT): _S.INACTIVE,
    (_S.INACTIVE, _E.LOSE): _S.INACTIVE,
    (_S.INACTIVE, _E.STOP): _S.INACTIVE,
    (_S.INACTIVE, _E.RESUME): _S.INACTIVE,
    (_S.INACTIVE, _E.RESET): _S.INACTIVE,
    (_S.ACTIVE, _E.ACTIVATE): _S.ACTIVE,
    (_S.ACTIVE, _E.DEACTIVATE): _S.INACTIVE,
    (_S.ACTIVE, _E.INTERRUPT): _S.HOLD,
    (_S.ACTIVE, _E.FAULT): _S.HOLD,
    (_S.ACTIVE, _E.LOSE): _S.DAMPED,
    (_S.ACTIVE, _E.STOP): _S.STOPPED,
    (_S.ACTIVE, _E.RESUME): _S.ACTIVE,
    (_S.ACTIVE, _E.RESET): _S.ACTIVE,
    (_S.HOLD, _E.ACTIVATE): _S.HOLD,
    (_S.HOLD, _E.DEACTIVATE): _S.INACTIVE,
    (_S.HOLD, _E.INTERRUPT): _S.HOLD,
    (_S.HOLD, _E.FAULT): _S.HOLD,
    (_S.HOLD, _E.LOSE): _S.DAMPED,
    (_S.HOLD, _E.STOP): _S.STOPPED,
    (_S.HOLD, _E.RESUME): _S.ACTIVE,
    (_S.HOLD, _E.RESET): _S.HOLD,  # a reset never starts motion
    (_S.DAMPED, _E.ACTIVATE): _S.DAMPED,
    (_S.DAMPED, _E.DEACTIVATE): _S.INACTIVE,
    (_S.DAMPED, _E.INTERRUPT): _S.DAMPED,
    (_S.DAMPED, _E.FAULT): _S.DAMPED,
    (_S.DAMPED, _E.LOSE): _S.DAMPED,
    (_S.DAMPED, _E.STOP): _S.DAMPED,  # drives that damp get no commands again because somebody says stop
    (_S.DAMPED, _E.RESUME): _S.DAMPED,
    (_S.DAMPED, _E.RESET): _S.HOLD,
    (_S.STOPPED, _E.ACTIVATE): _S.STOPPED,
    (_S.STOPPED, _E.DEACTIVATE): _S.INACTIVE,
    (_S.STOPPED, _E.INTERRUPT): _S.STOPPED,
    (_S.STOPPED, _E.FAULT): _S.STOPPED,
    (_S.STOPPED, _E.LOSE): _S.STOPPED,
    (_S.STOPPED, _E.STOP): _S.STOPPED,
    (_S.STOPPED, _E.RESUME): _S.STOPPED,
    (_S.STOPPED, _E.RESET): _S.HOLD,
}


@dataclass(frozen=True)
class Latch:
    """What must be reset: the first cause of each kind, told even when it is long gone."""

    causes: dict[Event, str]

    @property
    def event(self) -> Event:
        """The gravest: it decides on the state, after another activation too."""
        return max(self.causes, key=LATCHING.index)

    @property
    def reason(self) -> str:
        return "; ".join([*self.causes.values(), "waits for a reset"])


class Ladder:
    """The present state, why, and whether it waits for a reset. A latch outlives deactivation."""

    def __init__(self) -> None:
        self.state = State.INACTIVE
        self.reason = "not activated"
        self.latch: Latch | None = None

    def apply(self, event: Event, reason: str = "") -> bool:
        """Let ``event`` happen; True if the state changed. RESUME does nothing while a latch is set."""
        before = self.state
        if event is Event.RESUME and self.latch is not None:
            return False
        known = {} if self.latch is None else self.latch.causes
        if event in LATCHING and event not in known:
            self.latch = Latch({**known, event: reason})
        if event is Event.RESET:
            self.latch = None
        self.state = TRANSITIONS[before, event]
        if self.state is not before or (self.state is State.HOLD and self.latch is None):
            self.reason = reason
        if self.latch is not None and self.state is not State.INACTIVE:
            self.state = TRANSITIONS[self.state, self.latch.event]
            self.reason = self.latch.reason
        return self.state is not before
