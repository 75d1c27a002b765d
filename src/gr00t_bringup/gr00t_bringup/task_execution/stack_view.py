# SPDX-License-Identifier: Apache-2.0
"""What was last heard of the nodes that a task needs, as plain data, and which of them are missing."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

POLICY = "policy"  # the gate's name of the source that obeys sentences


class GateWord(Enum):
    """In the words of GateState."""

    UNKNOWN = auto()
    INACTIVE = auto()
    ACTIVE = auto()
    HOLD = auto()
    DAMPED = auto()
    STOPPED = auto()


@dataclass(frozen=True)
class PlannerNews:
    """instruction: the sentence in force. detail: what the planner adds for people."""

    is_active: bool
    instruction: str
    detail: str = ""


@dataclass(frozen=True)
class ControllerNews:
    """state: as the message has it, which feedback passes on."""

    is_active: bool
    state: int
    detail: str = ""


@dataclass(frozen=True)
class GateNews:
    """source: who is selected; '' is nobody. reason: why it is in this state."""

    word: GateWord
    source: str
    reason: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the node is, not whether the robot moves."""
        return self.word not in (GateWord.UNKNOWN, GateWord.INACTIVE)

    @property
    def policy_drives(self) -> bool:
        return self.word is GateWord.ACTIVE and self.source == POLICY


@dataclass(frozen=True)
class Verdict:
    """Of a referee, which a real robot has not. sentence: what it judges by."""

    sentence: str
    success: bool
    detail: str = ""


News = PlannerNews | ControllerNews | GateNews | Verdict
Kind = TypeVar("Kind", PlannerNews, ControllerNews, GateNews, Verdict)
_NEEDED: dict[type[PlannerNews | ControllerNews | GateNews], str] = {
    PlannerNews: "planner",
    ControllerNews: "controller",
    GateNews: "command_gate",
}


class StackView:
    """The newest news of each kind and when it came. Times are of the steady clock [s]."""

    def __init__(self, timeout_s: float) -> None:
        """timeout_s: silence from which a node is missing."""
        self._timeout_s = timeout_s
        self._heard: dict[type, tuple[float, News]] = {}

    def hear(self, now_s: float, news: News) -> None:
        self._heard[type(news)] = (now_s, news)

    def newest(self, kind: type[Kind]) -> Kind | None:
        """None: nothing has come yet."""
        found = self._heard.get(kind)
        return found[1] if found is not None and isinstance(found[1], kind) else None

    def missing(self, now_s: float) -> str:
        """Which node of the stack is missing, silent or inactive, one sentence; '' when all are there."""
        for kind, name in _NEEDED.items():
            if kind not in self._heard:
                return f"nothing has been heard of the node '{name}'; start it"
            at_s, news = self._heard[kind]
            if now_s - at_s > self._timeout_s:
                return f"nothing has been heard of the node '{name}' for {now_s - at_s:.1f} s"
            if not isinstance(news, Verdict) and not news.is_active:
                return f"the node '{name}' is not active; activate it"
        return ""
