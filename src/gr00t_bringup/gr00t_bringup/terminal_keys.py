# SPDX-License-Identifier: Apache-2.0
"""Single keys of the terminal that the command was typed in, unseen and at once; and a terminal that passes keys on."""

import contextlib
import os
import pty
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self


class TerminalKeys:
    """Use as a context manager: the terminal is as before afterwards. Without a terminal there are no keys."""

    def __init__(self, *, wanted: bool = True) -> None:
        """wanted: False never reads, for runs without a person at the terminal."""
        self._fd = sys.stdin.fileno() if wanted and sys.stdin is not None and sys.stdin.isatty() else None
        self._saved: list | None = None

    @property
    def there(self) -> bool:
        """Whether anybody can press a key."""
        return self._fd is not None

    def __enter__(self) -> Self:
        if self._fd is not None:
            self._saved = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)  # Ctrl-C still interrupts
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None and self._saved is not None:
            with contextlib.suppress(termios.error):  # a terminal that is gone needs no settings
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)

    def read(self, wait_s: float) -> str:
        """The keys that were pressed, after ``wait_s`` at the latest; '' when none was, or there is no terminal."""
        readable, _, _ = select.select([] if self._fd is None else [self._fd], [], [], wait_s)
        if not readable or self._fd is None:
            return ""
        pressed = os.read(self._fd, 64)
        if not pressed:
            self._fd = None  # the terminal was closed
        return pressed.decode("utf-8", "ignore")


class PassedKeys:
    """A terminal for a node that reads keys itself: what is given to ``press`` is typed there. Use as a context manager."""

    def __enter__(self) -> Self:
        self._here, self.terminal = pty.openpty()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._here)
        os.close(self.terminal)

    def press(self, keys: str) -> None:
        """Type these keys; what the node is too slow to read is not waited for."""
        _, writable, _ = select.select([], [self._here], [], 0.0)
        if keys and writable:
            os.write(self._here, keys.encode())
