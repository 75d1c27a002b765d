# SPDX-License-Identifier: Apache-2.0
"""Keys of a plain terminal, at once and unseen; its settings come back when it is closed."""

import contextlib
import os
import select
import sys
import termios
import tty

from gr00t_policy.core.errors import ConfigError


class Terminal:
    """descriptor: of the terminal to read; the standard input where none is given."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._given = descriptor
        self._fd = -1
        self._saved: list | None = None

    def open(self) -> None:
        """Raises ConfigError when it is no terminal."""
        try:
            fd = sys.stdin.fileno() if self._given is None else self._given
            self._saved = termios.tcgetattr(fd)
        except (termios.error, OSError, ValueError, AttributeError) as error:
            raise ConfigError(
                "the keyboard needs a terminal, and the standard input is none; start the node by "
                "`ros2 run gr00t_teleop operator` in a terminal of its own, not by a launch file"
            ) from error
        self._fd = fd
        tty.setcbreak(fd, termios.TCSANOW)  # Ctrl-C still ends the node

    def close(self) -> None:
        """Also works when it was not open."""
        if self._saved is not None:
            with contextlib.suppress(termios.error):  # a terminal that is gone needs no settings
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)
            self._saved = None

    def keys(self, wait_s: float) -> str | None:
        """Keys that came within ``wait_s``, in lower case; None when the terminal is gone."""
        try:
            readable, _, _ = select.select([self._fd], [], [], wait_s)
            if not readable:
                return ""
            pressed = os.read(self._fd, 64)
        except OSError:
            return None
        return pressed.decode("ascii", "ignore").lower() if pressed else None
