# SPDX-License-Identifier: Apache-2.0
"""Fast DDS keeps its queues in /dev/shm; a process that was killed leaves them behind. This removes what ours left.

Only files that one of our own processes had mapped are looked at, and of those only the ones no living process holds:
Fast DDS keeps a lock on ``<name>_el`` for as long as its owner lives.
"""

import fcntl
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path("/dev/shm")
_PREFIX = "fastrtps_"


def mapped_segments(pid: int, proc: Path = Path("/proc")) -> frozenset[str]:
    """Names of the Fast DDS segments and ports a living process has mapped; empty when it is gone."""
    try:
        lines = (proc / str(pid) / "maps").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return frozenset()
    names = (Path(line.split()[-1]).name for line in lines if f"/{_PREFIX}" in line)
    return frozenset(name.removesuffix("_el") for name in names)


def remove_dead(names: Iterable[str], folder: Path = FOLDER) -> list[str]:
    """Delete those of the segments ``names`` that nobody holds any more; returns the names deleted."""
    removed = []
    for name in sorted(set(names)):
        lock = folder / f"{name}_el"
        if _held(lock):
            continue
        files = (folder / name, lock, folder / f"sem.{name}_mutex")
        deleted = [_delete(file) for file in files]
        if any(deleted):
            removed.append(name)
    return removed


def dead_segments(folder: Path = FOLDER) -> list[str]:
    """Names of the Fast DDS segments in ``folder`` whose owner no longer lives."""
    locks = sorted(folder.glob(f"{_PREFIX}*_el"))
    return [lock.name.removesuffix("_el") for lock in locks if not _held(lock)]


def _held(lock: Path) -> bool:
    try:
        with lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _delete(file: Path) -> bool:
    try:
        file.unlink()
    except (FileNotFoundError, PermissionError):
        return False
    return True
