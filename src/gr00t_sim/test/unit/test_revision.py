# SPDX-License-Identifier: Apache-2.0
"""Results say the commit that they were made with, and whether files differed from it."""

import shutil
import subprocess

import pytest

from gr00t_sim.evaluation.revision import git_revision


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_it_is_the_commit_checked_out_and_says_when_files_differ(tmp_path):
    def git(*words):
        who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        return subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD").strip()
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_outside_of_a_checkout_it_is_empty(tmp_path, monkeypatch):
    assert git_revision(tmp_path) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() == ""
