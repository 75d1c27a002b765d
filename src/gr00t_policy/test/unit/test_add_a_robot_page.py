# SPDX-License-Identifier: Apache-2.0
"""The page "Add a robot" runs as it stands: its files are robots, its commands and its program succeed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gr00t_policy.core.encoding import ROTATION_WIDTHS, STATE_MODES

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "add_a_robot.md").read_text()
FILES = re.findall(r"`(\w+\.yaml)`[^\n]*\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name, content in FILES:
        (tmp_path / name).write_text(content)
    return tmp_path


def run(folder: Path, arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_files_commands_and_a_program():
    assert [name for name, _ in FILES] == ["my_gr1.yaml", "my_arm.yaml"]
    assert (len(COMMANDS), len(PROGRAMS)) == (2, 1)


@pytest.mark.parametrize(
    ("command", "expected"), [*zip(COMMANDS, ["13 state", "3 state numbers, 3 action"], strict=True)]
)
def test_a_command_shows_the_robot(folder, command, expected):
    words = command.split()
    assert words[0] == "python"
    assert expected in run(folder, words[1:])


def test_the_program_makes_a_dataset_and_comes_back_to_the_joints(folder):
    (folder / "program.py").write_text(PROGRAMS[0])
    assert float(run(folder, ["program.py"]).split()[-1]) < 1e-5


def test_every_mode_and_rotation_type_is_explained():
    words = set(re.findall(r"`(\w+)`", PAGE))
    assert set(STATE_MODES) <= words
    assert {name for name in ROTATION_WIDTHS if not name.startswith("euler")} <= words
