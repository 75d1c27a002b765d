# SPDX-License-Identifier: Apache-2.0
"""What a person presses while a bag is played. Without a terminal there is only waiting."""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

HELP = "space: pause or go on; s or right: next message; up, down: faster, slower; Ctrl-C: end"
_ESCAPE = "\x1b"


class Command(Enum):
    """As the keys of `ros2 bag play`."""

    PAUSE = auto()
    NEXT = auto()
    FASTER = auto()
    SLOWER = auto()


_KEYS = {" ": Command.PAUSE, "s": Command.NEXT, "C": Command.NEXT, "A": Command.FASTER, "B": Command.SLOWER}


class Controls(Protocol):
    """Waits for a person at most so long, and returns what was asked for meanwhile."""

    def wait(self, timeout_s: float) -> list[Command]: ...


class NoControls:
    """Nobody can press anything."""

    def wait(self, timeout_s: float) -> list[Command]:
        time.sleep(max(timeout_s, 0.0))
        return []


class Keys:
    """The keys of a terminal, given as a file descriptor. Its settings must let single keys through: ``keys_of``."""

    def __init__(self, terminal: int) -> None:
        self._terminal: int | None = terminal

    def wait(self, timeout_s: float) -> list[Command]:
        if self._terminal is None:
            return NoControls().wait(timeout_s)
        readable, _, _ = select.select([self._terminal], [], [], max(timeout_s, 0.0))
        if not readable:
            return []
        try:
            pressed = os.read(self._terminal, 64)
        except OSError:  # a terminal that went away
            pressed = b""
        if not pressed:
            self._terminal = None
        return commands(pressed.decode("ascii", "ignore"))


def commands(pressed: str) -> list[Command]:
    """What the characters of a terminal ask for; arrows are an escape, '[' or 'O', and a letter. Others mean nothing."""
    found, rest = [], pressed
    while rest:
        if rest[0] == _ESCAPE and rest[1:2] in ("[", "O"):
            key, rest = rest[2:3], rest[3:]
            arrow = key in ("A", "B", "C")
        else:
            key, rest, arrow = rest[0].lower(), rest[1:], False
        if key in _KEYS and (arrow or key in " s"):
            found.append(_KEYS[key])
    return found


@contextlib.contextmanager
def keys_of_terminal(*, disabled: bool = False) -> Iterator[Controls]:
    """The keys of the standard input where that is a terminal; its settings are restored afterwards."""
    if disabled or not sys.stdin.isatty():
        yield NoControls()
        return
    terminal = sys.stdin.fileno()
    saved = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)  # keys at once and unseen; Ctrl-C still ends
    try:
        yield Keys(terminal)
    finally:
        with contextlib.suppress(termios.error):  # a terminal that is gone needs no settings
            termios.tcsetattr(terminal, termios.TCSANOW, saved)
