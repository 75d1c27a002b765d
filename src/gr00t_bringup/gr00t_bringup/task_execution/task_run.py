# SPDX-License-Identifier: Apache-2.0
"""One task from its acceptance to its end, decided from what is heard and the time. Knows no ROS and reads no clock.

The sentence comes first, and the policy is selected only when the planner has taken it: a robot that was held never begins
with the sentence before. However a task ends, it ends with nobody selected, unless someone else has been selected meanwhile.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from gr00t_bringup.task_execution.config import TaskServerConfig
from gr00t_bringup.task_execution.stack_view import (
    POLICY,
    ControllerNews,
    GateNews,
    GateWord,
    PlannerNews,
    StackView,
    Verdict,
)
from gr00t_bringup.task_execution.task import End, Task, gate_words, shown

NOBODY = ""
_OTHER_SENTENCE_S = 0.6  # planner/state comes twice a second: what was told before a sentence is over by then


class Phase(Enum):
    """SAYING: until the planner has the sentence. SELECTING: until the gate has answered. ENDING: until the robot is held."""

    SAYING = auto()
    SELECTING = auto()
    DRIVING = auto()
    ENDING = auto()


@dataclass(frozen=True)
class Ended:
    """text: one sentence, empty on success. drove_s: how long the policy drove. warning: what a person must know besides."""

    end: End
    text: str
    drove_s: float
    warning: str = ""


@dataclass(frozen=True)
class Order:
    """What is to be done now: say the sentence, select a source ('' is nobody), tell the client the end."""

    say: bool = False
    select: str | None = None
    ended: Ended | None = None


class TaskRun:
    """Call ``step`` some 20 times a second, and ``answered`` when the gate has answered. Times are of the steady clock [s]."""

    def __init__(self, task: Task, settings: TaskServerConfig, view: StackView, now_s: float) -> None:
        self.task = task
        self._settings, self._view = settings, view
        self._phase = Phase.SAYING
        self._began_s = self._stepped_s = now_s
        self._said, self._said_s = 0, -math.inf
        self._asked_s = now_s  # the gate, in SELECTING and ENDING
        self._refusal = ""  # of the gate, in SELECTING
        self._still_since_s: float | None = None
        self._other_since_s: float | None = None  # the planner has another sentence than the task's, which it had taken
        self._policy_was_selected = self._has_driven = False
        self._unsolved_seen = False
        self._drove_s = 0.0
        self._ended: Ended | None = None
        self._is_answered = False  # by the gate, in ENDING

    def elapsed_s(self, now_s: float) -> float:
        return max(now_s - self._began_s, 0.0)

    @property
    def detail(self) -> str:
        """What the task is about or waits for, one sentence."""
        gate, controller = self._view.newest(GateNews), self._view.newest(ControllerNews)
        if self._phase is Phase.SAYING:
            return "the planner is to take the sentence"
        if self._phase is Phase.SELECTING:
            return "the gate is asked to let the policy drive"
        if self._phase is Phase.ENDING:
            return "the robot is to be held"
        if gate is not None and not gate.policy_drives:
            return gate_words(gate)
        verdict = self._view.newest(Verdict)
        if verdict is not None and verdict.sentence == self.task.sentence:
            return verdict.detail
        return controller.detail if controller is not None else ""

    def step(self, now_s: float, *, canceled: bool = False) -> Order:
        """What to do now. Once ``ended`` was given the run is over."""
        self._look(now_s)
        if self._phase is Phase.ENDING:
            return self._wait_held(now_s)
        found = self._why_end(now_s, canceled)
        if found is not None:
            return self._end(now_s, *found)
        if self._phase is Phase.SAYING:
            return self._say(now_s)
        return Order()

    def answered(self, source: str, refusal: str) -> None:
        """What the gate said to ``select``; refusal: '' when it did."""
        if self._phase is Phase.SELECTING and source == POLICY:
            self._refusal = refusal
            self._phase = Phase.SELECTING if refusal else Phase.DRIVING
        elif self._phase is Phase.ENDING and source == NOBODY:
            assert self._ended is not None
            self._is_answered = True
            self._ended = replace(self._ended, warning=_not_held(refusal) if refusal else "")

    def abandon(self, now_s: float, text: str) -> Order:
        """The server itself ends: the last order, which waits for no answer."""
        self._look(now_s)
        before = self._ended
        order = self._end(now_s, End.NOT_READY, text)
        return replace(order, ended=before or self._ended)

    def _look(self, now_s: float) -> None:
        """Count the time the policy drove, and remember what is judged by more than the newest news."""
        past_s, self._stepped_s = max(now_s - self._stepped_s, 0.0), now_s
        verdict, gate = self._view.newest(Verdict), self._view.newest(GateNews)
        self._unsolved_seen |= verdict is not None and not verdict.success
        self._look_at_sentence(now_s)
        if self._phase is not Phase.DRIVING or gate is None:
            return
        self._policy_was_selected |= gate.source == POLICY
        if gate.policy_drives:
            self._has_driven, self._still_since_s = True, None
            self._drove_s += past_s
        elif self._still_since_s is None:
            self._still_since_s = now_s

    def _look_at_sentence(self, now_s: float) -> None:
        planner = self._view.newest(PlannerNews)
        was_taken = self._phase in (Phase.SELECTING, Phase.DRIVING)
        if not was_taken or planner is None or planner.instruction == self.task.sentence:
            self._other_since_s = None
        elif self._other_since_s is None:
            self._other_since_s = now_s

    def _why_end(self, now_s: float, canceled: bool) -> tuple[End, str] | None:
        missing = self._view.missing(now_s)
        if canceled:
            return End.CANCELED, "the client cancelled"
        if self._is_solved():
            return End.NONE, ""
        if missing:
            return End.NOT_READY, missing
        if self.elapsed_s(now_s) >= self.task.limit_s:
            return End.TIME_LIMIT, f"the task was not seen to succeed within {self.task.limit_s:g} s"
        if self._phase is Phase.SAYING:
            return self._not_taken(now_s)
        if (replaced := self._replaced(now_s)) is not None:
            return replaced
        if self._phase is Phase.SELECTING:
            return self._not_selected(now_s)
        return self._held(now_s)

    def _is_solved(self) -> bool:
        """A success counts when the task was seen unsolved first: another run's is told on and on, and is latched."""
        verdict = self._view.newest(Verdict)
        return (
            self._phase is Phase.DRIVING
            and self._unsolved_seen
            and verdict is not None
            and verdict.success
            and verdict.sentence == self.task.sentence
        )

    def _not_taken(self, now_s: float) -> tuple[End, str] | None:
        planner, settings = self._view.newest(PlannerNews), self._settings
        if self._said < settings.sayings or now_s - self._said_s < settings.say_period_s:
            return None
        if planner is None or planner.instruction == self.task.sentence:
            return None
        why = f": {planner.detail}" if planner.detail else ""
        return End.NOT_READY, f"the planner did not take the sentence, said {self._said} times{why}"

    def _replaced(self, now_s: float) -> tuple[End, str] | None:
        planner = self._view.newest(PlannerNews)
        if planner is None or self._other_since_s is None or now_s - self._other_since_s <= _OTHER_SENTENCE_S:
            return None
        other = planner.instruction
        return End.REPLACED, f"another sentence was said: '{shown(other)}'" if other else "the sentence was taken back"

    def _not_selected(self, now_s: float) -> tuple[End, str] | None:
        if self._refusal:
            return End.NOT_READY, f"the gate did not select '{POLICY}': {self._refusal}"
        if now_s - self._asked_s > self._settings.answer_s:
            return End.NOT_READY, f"the gate did not answer command_gate/select within {self._settings.answer_s:g} s"
        return None

    def _held(self, now_s: float) -> tuple[End, str] | None:
        gate, settings = self._view.newest(GateNews), self._settings
        if gate is None or self._still_since_s is None:
            return None
        if self._policy_was_selected and gate.source != POLICY:
            return End.HELD, f"'{gate.source}' was selected to drive" if gate.source else "nobody is selected to drive"
        patient = not self._has_driven and gate.word is GateWord.HOLD
        allowed_s = settings.start_s if patient else settings.held_s
        return (End.HELD, gate_words(gate)) if now_s - self._still_since_s > allowed_s else None

    def _say(self, now_s: float) -> Order:
        """The sentence, until the planner shows it; then the next phase."""
        planner, gate = self._view.newest(PlannerNews), self._view.newest(GateNews)
        if self._said and planner is not None and planner.instruction == self.task.sentence:
            if gate is not None and gate.source == POLICY:
                self._phase = Phase.DRIVING
                return Order()
            if gate is not None and gate.source != NOBODY:
                return self._end(now_s, End.HELD, f"'{gate.source}' was selected to drive")
            self._phase, self._asked_s = Phase.SELECTING, now_s
            return Order(select=POLICY)
        if self._said < self._settings.sayings and now_s - self._said_s >= self._settings.say_period_s:
            self._said, self._said_s = self._said + 1, now_s
            return Order(say=True)
        return Order()

    def _end(self, now_s: float, end: End, text: str) -> Order:
        """Nobody shall drive any more; but what a person has taken over is not taken from them."""
        self._ended = Ended(end, text, self._drove_s)
        self._phase, self._asked_s = Phase.ENDING, now_s
        gate = self._view.newest(GateNews)
        if gate is not None and gate.source not in (NOBODY, POLICY):
            return Order(ended=self._ended)
        return Order(select=NOBODY)

    def _wait_held(self, now_s: float) -> Order:
        assert self._ended is not None
        if self._is_answered:
            return Order(ended=self._ended)
        if now_s - self._asked_s > self._settings.answer_s:
            return Order(ended=replace(self._ended, warning=_not_held("it did not answer")))
        return Order()


def _not_held(why: str) -> str:
    return f"the gate did not let go of the policy ({why}): the robot may go on moving, use its emergency stop"
