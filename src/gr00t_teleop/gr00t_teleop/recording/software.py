# SPDX-License-Identifier: Apache-2.0
"""Which software makes a recording, so that a bag can be traced back to it."""

import subprocess
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("gr00t_policy", "gr00t_teleop", "mcap")
_GIT_S = 2.0  # git answers in some 10 ms; on a folder that hangs it is not waited for


def software_versions() -> dict[str, str]:
    """Name -> version of what receives and writes; ``git``: the revision of the sources, where they are a git checkout."""
    found = {name: version(name) for name in _PACKAGES}
    revision = source_revision(Path(__file__))
    return {**found, "git": revision} if revision else found


def source_revision(file: Path) -> str:
    """The commit that ``file`` is checked out from, with '-dirty' behind it where files are changed; '' where it is in none.

    A file that git does not know, such as one installed below somebody's own checkout, is in none.
    """
    if not _git(file.parent, "ls-files", "--error-unmatch", file.name):
        return ""
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *words: str) -> str:
    """What git prints; '' where there is no git, it refuses, or it takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
