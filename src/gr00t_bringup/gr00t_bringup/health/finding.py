# SPDX-License-Identifier: Apache-2.0
"""One thing looked at, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """level error: the suite does not work like this. warning: it works, but worse. fix: what mends it, '' when ok."""

    level: Level
    name: str
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Finding:
    return Finding("ok", name, found)


def warning(name: str, found: str, fix: str) -> Finding:
    return Finding("warning", name, found, fix)


def error(name: str, found: str, fix: str) -> Finding:
    return Finding("error", name, found, fix)
