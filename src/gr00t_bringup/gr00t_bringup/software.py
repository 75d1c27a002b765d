# SPDX-License-Identifier: Apache-2.0
"""Which software a measurement was made with: versions of what computes and carries messages, and this repository's commit."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

_LIBRARIES = ("torch", "openvino", "rclpy", "mujoco")
_HERE = Path(__file__)
_GIT_TIMEOUT_S = 10.0


def versions() -> dict[str, str]:
    """Of Python and of the libraries that make up the time of a tick; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def revision(file: Path = _HERE) -> str | None:
    """The commit that ``file`` is of, '-dirty' behind it when the tree differs from it; None outside of a repository."""
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") if tracked else None


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
