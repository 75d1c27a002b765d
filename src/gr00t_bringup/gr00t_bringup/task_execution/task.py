# SPDX-License-Identifier: Apache-2.0
"""A goal that may begin: what was asked for is possible, and the stack is there. Refusals are one error with a reason."""

import math
from dataclasses import dataclass
from enum import Enum, auto

from gr00t_bringup.task_execution.config import TaskServerConfig
from gr00t_bringup.task_execution.stack_view import POLICY, GateNews, GateWord, StackView
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.core.instruction import instruction_fault

_SHOWN = 60  # characters of a sentence in a message


class End(Enum):
    """How a task ended, in the words of ExecuteTask's ERROR_*; NONE: it succeeded."""

    NONE = auto()
    INVALID_GOAL = auto()
    NOT_READY = auto()
    TIME_LIMIT = auto()
    HELD = auto()
    CANCELED = auto()
    REPLACED = auto()


class TaskRefusedError(Gr00tError):
    """A goal that cannot begin; ``end`` for programs, the text for people."""

    def __init__(self, end: End, text: str) -> None:
        super().__init__(text)
        self.end = end


@dataclass(frozen=True)
class Task:
    """sentence: as the planner will show it. limit_s: above 0, finite."""

    sentence: str
    limit_s: float


def checked_task(instruction: str, time_limit_s: float, settings: TaskServerConfig) -> Task:
    """The goal as a task; 0 is the default limit. Raises TaskRefusedError (INVALID_GOAL)."""
    sentence = instruction.strip()  # as the planner does
    wrong = instruction_fault(sentence, settings.max_instruction_bytes)
    fault = ""
    if not sentence:
        fault = "the instruction is empty; say what the robot is to do"
    elif wrong:
        fault = f"the instruction {wrong}"
    elif not math.isfinite(time_limit_s) or time_limit_s < 0:
        fault = f"time_limit_s is {time_limit_s}; give seconds, or 0 for {settings.default_time_limit_s:g} s"
    if fault:
        raise TaskRefusedError(End.INVALID_GOAL, fault)
    return Task(sentence, time_limit_s or settings.default_time_limit_s)


def check_ready(view: StackView, now_s: float) -> None:
    """Raises TaskRefusedError when a node is missing, a person drives, or the gate waits for a person's reset.

    Nobody selected is fine, and so is a gate that holds for want of tokens: the task brings both.
    """
    missing = view.missing(now_s)
    gate = view.newest(GateNews)
    if missing or gate is None:
        raise TaskRefusedError(End.NOT_READY, missing)
    if gate.source not in ("", POLICY):
        raise TaskRefusedError(
            End.NOT_READY, f"'{gate.source}' drives the robot; select '{POLICY}' or '' at command_gate/select first"
        )
    if gate.word in (GateWord.DAMPED, GateWord.STOPPED):
        raise TaskRefusedError(End.HELD, f"{gate_words(gate)}; look, then call command_gate/reset")


def check_free(running: Task | None) -> None:
    """Raises TaskRefusedError when a goal is being executed."""
    if running is not None:
        raise TaskRefusedError(
            End.NOT_READY,
            f"another goal is being executed: '{shown(running.sentence)}'; cancel it or wait for its end",
        )


def shown(sentence: str) -> str:
    """As much of it as a message has room for."""
    return sentence[:_SHOWN]


def gate_words(gate: GateNews) -> str:
    """'the gate is in HOLD: commands are too old'."""
    return f"the gate is in {gate.word.name}" + (f": {gate.reason}" if gate.reason else "")
