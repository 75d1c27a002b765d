# SPDX-License-Identifier: Apache-2.0
"""Reads JSON that others wrote. Whatever is wrong with it becomes one error of ours that names the file."""

import json
import reprlib
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import Gr00tError


def read_text(path: Path, error: type[Gr00tError], missing: str) -> str:
    """The content as UTF-8. missing: what to tell people when there is no such file. Raises ``error``."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        raise error(f"{path} is missing; {missing}") from cause
    except OSError as cause:
        raise error(f"{path} cannot be read: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise error(f"{path} is not valid JSON: {cause}") from cause


def parse_json(text: str, path: Path, error: type[Gr00tError]) -> Any:
    """One value. Raises ``error``."""
    try:
        return json.loads(text)
    except RecursionError as cause:
        raise error(f"{path} is not valid JSON: nested too deeply") from cause
    except ValueError as cause:  # also a number of thousands of digits
        raise error(f"{path} is not valid JSON: {cause}") from cause


def json_lines(text: str) -> list[str]:
    """The lines of a file with one JSON value a line, without empty ones.

    ``str.splitlines`` would also split within a text that holds another line separator, such as U+2028.
    """
    return [line for line in text.split("\n") if line.strip()]


def read_json(path: Path, error: type[Gr00tError], missing: str) -> Any:
    """The value in a file. Raises ``error``."""
    return parse_json(read_text(path, error, missing), path, error)


def shown(value: Any) -> str:
    """A value for an error message, shortened."""
    return reprlib.repr(value)
