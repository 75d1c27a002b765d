# SPDX-License-Identifier: Apache-2.0
"""The commit of a file: of a checkout, changed, only lying in one, without git."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gr00t_policy.core.source_revision import source_revision

_AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *_AUTHOR, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_revision_is_that_of_a_file_in_the_checkout_and_says_whether_something_is_changed(tmp_path):
    file, installed = tmp_path / "code.py", tmp_path / "installed.py"
    file.touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "tag", "-a", "v1", "-m", "v1")
    installed.touch()
    revision = git(tmp_path, "rev-parse", "HEAD")
    assert source_revision(file) == revision
    assert source_revision(installed) == "", "it only lies there"
    file.write_text("changed")
    assert source_revision(file) == f"{revision}-dirty"


def test_without_a_checkout_or_without_git_there_is_no_revision(tmp_path, monkeypatch):
    (tmp_path / "code.py").touch()
    assert source_revision(tmp_path / "code.py") == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_revision(Path(__file__)) == ""
