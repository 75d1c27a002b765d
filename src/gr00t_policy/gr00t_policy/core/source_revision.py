# SPDX-License-Identifier: Apache-2.0
"""Which commit runs, so that a recording, a table or a measurement can be traced to its source."""

import functools
import subprocess
from pathlib import Path

_GIT_S = 2.0  # git answers in some 10 ms; on a folder that hangs it is not waited for


def source_revision(file: Path) -> str:
    """The commit that ``file`` is checked out from, with '-dirty' behind it where files are changed; '' where it is in none.

    A file that git does not know, such as one installed below somebody's own checkout, is in none.
    """
    if not _git(file.parent, "ls-files", "--error-unmatch", file.name):
        return ""
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


@functools.cache
def suite_revision() -> str:
    """Of this suite, asked once."""
    return source_revision(Path(__file__))


def _git(folder: Path, *words: str) -> str:
    """What git prints; '' where there is no git, it refuses, or it takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
