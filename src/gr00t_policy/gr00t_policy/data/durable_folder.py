# SPDX-License-Identifier: Apache-2.0
"""A folder that is replaced as a whole: after a kill or a power cut at any moment, its old or its new content is there.

``.NAME.part`` beside it is the new one while it is written, ``.NAME.old`` the former one where the two cannot be exchanged.
"""

import ctypes
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from gr00t_policy.data.durable import flush

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # a kernel or a file system without exchange


def begin_aside(folder: Path) -> Path:
    """A new empty folder in which the next content of ``folder`` is written; then ``put_in_place``. Raises OSError."""
    restore(folder)
    aside = _aside(folder)
    remove(aside)
    aside.mkdir(parents=True)
    return aside


def put_in_place(folder: Path) -> None:
    """What was written aside becomes ``folder``, on the disk before the former content is deleted. Raises OSError."""
    aside, old = _aside(folder), _old(folder)
    flush_all(aside)
    if not folder.exists():
        aside.rename(folder)
    elif not _exchanged(aside, folder):
        remove(old)
        folder.rename(old)
        try:
            aside.rename(folder)
        except FileNotFoundError:
            if not folder.exists():  # a reader may have done it: see ``restore``
                raise
    flush(folder.parent)
    remove(aside)
    remove(old)


def restore(folder: Path) -> None:
    """Where a kill came between the two renames of ``put_in_place``, the second one is done now; otherwise nothing."""
    if folder.exists():  # asked first, since "." has no neighbours by name
        return
    aside, old = _aside(folder), _old(folder)
    if old.exists():
        with suppress(OSError):  # somebody else did it, or it may not be written here: the caller finds no folder then
            (aside if aside.is_dir() else old).rename(folder)


def discard(folder: Path) -> None:
    """Delete a folder; a kill leaves it whole, or under a hidden name with what earlier kills left. Raises OSError."""
    for left in folder.parent.glob(".*.removed"):
        remove(left)
    gone = folder.with_name(f".{folder.name}.removed")
    folder.rename(gone)
    remove(gone)


def flush_all(folder: Path) -> None:
    """Have the system write all files in a folder, and the lists of their names, to the disk."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


def remove(folder: Path) -> None:
    """Delete a folder as far as it can be; of a link to one, the link. A file is deleted too."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _exchanged(one: Path, other: Path) -> bool:
    """Both names change places in one step; False where that does not exist. Raises OSError."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
