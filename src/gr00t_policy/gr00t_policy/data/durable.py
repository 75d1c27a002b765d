# SPDX-License-Identifier: Apache-2.0
"""Files that are there completely or not at all, also after a power cut: written aside, flushed, then renamed."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from gr00t_policy.core.errors import Gr00tError

PART = ".part"  # suffix of a file that is being written; such a file may be deleted by whoever finds it


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on leaving without an error it is flushed and becomes ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{PART}")
    try:
        yield aside
        flush(aside)
        os.replace(aside, path)
        flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextmanager
def writing(place: Path, error: type[Gr00tError], remedy: str) -> Iterator[None]:
    """What the system refuses, as on a full disk or in a folder of somebody else, becomes one ``error`` with what to do."""
    try:
        yield
    except OSError as refused:
        raise error(f"{place} cannot be written ({refused}); {remedy}") from refused


def append_json_line(path: Path, value: Any) -> None:
    """Add one line of JSON; durable on return. A kill in the middle leaves a last line without its newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def drop_torn_line(path: Path) -> bool:
    """Cut a last line that a kill left without its newline. Returns whether there was one."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return False
    with path.open("rb+") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return True


def lock(path: Path, refusal: Exception) -> TextIO:
    """Make and lock the file ``path`` until what is returned is closed. Raises ``refusal`` when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise refusal from error
    return file


def flush(path: Path) -> None:
    """Have the system write a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
