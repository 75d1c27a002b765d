# SPDX-License-Identifier: Apache-2.0
"""Every example runs: with random weights always, with the shipped checkpoint where it is."""

import runpy
from pathlib import Path

import pytest

from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError

_EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
_NAMES = ("act_without_ros.py", "encode_then_act.py", "show_robot.py")


def _main(name: str):
    return runpy.run_path(str(_EXAMPLES / name))["main"]


def _checkpoints(random: Path) -> list[Path]:
    try:
        return [random, shipped_checkpoint()]
    except ConfigError:
        return [random]


def test_every_example_has_a_test_here():
    assert {file.name for file in _EXAMPLES.glob("*.py")} == set(_NAMES)


def test_acting_without_ros_moves_the_robot_and_reports(checkpoint, capsys):
    for folder in _checkpoints(checkpoint):
        _main("act_without_ros.py")(str(folder), 0.5)
        assert "after 0.5 s: not solved" in capsys.readouterr().out


def test_the_detour_through_bytes_changes_little(checkpoint):
    for folder in _checkpoints(checkpoint):
        assert 0 <= _main("encode_then_act.py")(str(folder)) < 0.05


def test_every_joint_of_a_robot_is_shown(capsys):
    for name in ("gr1", "gr1_full_upper_body"):
        assert _main("show_robot.py")(name)
        assert "right_wrist_pitch_joint" in capsys.readouterr().out


@pytest.mark.parametrize("name", _NAMES)
def test_each_example_is_short(name):
    assert len((_EXAMPLES / name).read_text().splitlines()) <= 60
