# SPDX-License-Identifier: Apache-2.0
"""Which revision of the project results were made with, so that a table can be traced to its source."""

import shutil
import subprocess
from pathlib import Path

_ANSWER_S = 10.0


def git_revision(folder: Path | None = None) -> str:
    """The commit checked out where ``folder`` (this file's) lies, ``-dirty`` if files differ from it; '' without git."""
    git = shutil.which("git")
    if git is None:
        return ""
    where = folder or Path(__file__).parent
    command = [git, "-C", str(where), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""
