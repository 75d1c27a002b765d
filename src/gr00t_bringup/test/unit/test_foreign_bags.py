# SPDX-License-Identifier: Apache-2.0
"""Bags that another recorder wrote, of a robot with its own names and rates: converted, evaluated and played like ours."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from foreign_bags import CAMERA, CAMERA_HZ, COMMANDS, JOINTS, LAG_S, STATE_HZ, topic_options, write_foreign_bag
from rosbags.rosbag2 import StoragePlugin
from sample_data import small_robot
from test_bag_play import Stage, _play

from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import embodiment_to_dict, load_embodiment

SMALL = small_robot()
ROBOT = replace(SMALL, cameras=(replace(SMALL.cameras[0], rate_hz=CAMERA_HZ),))
SENTENCE = "wave at the person"


@pytest.fixture
def robot_file(tmp_path) -> Path:
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(embodiment_to_dict(ROBOT)))
    return file


def _convert(bag: Path, out: Path, robot_file: Path, *more: str) -> int:
    words = ["data", "convert", str(bag), "--out", str(out), "--robot", str(robot_file), "--instruction", SENTENCE]
    return main([*words, *topic_options(ROBOT), *more])


def test_a_foreign_bag_becomes_a_dataset_that_passes_the_check(tmp_path, robot_file, capsys):
    write_foreign_bag(tmp_path / "bag", ROBOT, 4.0, StoragePlugin.MCAP)
    found = tmp_path / "found.json"
    assert _convert(tmp_path / "bag", tmp_path / "data", robot_file, "--state-hz", "100", "--json", str(found)) == 0
    [bag] = json.loads(found.read_text())["bags"]
    rates = {name: timing["rate_hz"] for name, timing in bag["timings"].items()}
    assert rates["state"] == pytest.approx(STATE_HZ, rel=1e-3) and rates["head"] == pytest.approx(CAMERA_HZ, rel=1e-3)
    assert {timing["lost"] for timing in bag["timings"].values()} == {-1}
    assert " ? " in capsys.readouterr().out, "what nobody counted is not told as 0"
    assert [episode["action_lag_s"] for episode in bag["episodes"]] == pytest.approx([LAG_S + 0.05], abs=0.051)
    rows = pq.read_table(tmp_path / "data" / "data" / "chunk-000" / "episode_000000.parquet")
    state, action = (np.array(rows[name].to_pylist()) for name in ("observation.state", "action"))
    assert np.abs(action - state).max() < 0.2 * 2 * (LAG_S + 0.06) and np.ptp(action, axis=0).min() > 0.3
    assert main(["data", "check", str(tmp_path / "data"), "--robot", str(robot_file)]) == 0


def test_a_foreign_bag_is_evaluated(tmp_path, capsys):
    gr1 = load_embodiment("gr1")
    write_foreign_bag(tmp_path / "bag", gr1, 1.6, StoragePlugin.MCAP)
    words = [
        "eval",
        "--bag",
        str(tmp_path / "bag"),
        "--out",
        str(tmp_path / "out"),
        "--sentence",
        SENTENCE,
        "--no-film",
    ]
    code = main([*words, *topic_options(gr1), "--control-hz", "60", "--probes", "2", "--latency", "zero"])
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert code == (0 if result["ok"] else 1), capsys.readouterr().err
    errors = result["errors"]["right_arm"]["policy"]["mae_rad_by_step"]
    assert len(errors) == 16 and np.isfinite(errors).all()
    assert result["bags"][0]["compared_with"] == "commands"
    assert "units_or_order" not in {each["code"] for each in result["verdicts"]}


def test_a_foreign_bag_is_played_as_it_was_recorded(tmp_path):
    counts = write_foreign_bag(tmp_path / "bag", ROBOT, 2.0, StoragePlugin.MCAP)
    stage = Stage()
    report = _play(tmp_path / "bag", stage, topics=(JOINTS, CAMERA)).report
    assert report.messages == Counter({JOINTS: counts[JOINTS], CAMERA: counts[CAMERA]})
    first_ns = min(message.log_ns for _, message in stage.sent)
    for at_s, message in stage.sent:
        assert at_s == pytest.approx((message.log_ns - first_ns) / 1e9, abs=0.002), "commands begin 1 ms earlier"


@pytest.mark.parametrize("verb", ["convert", "eval", "play", "inspect"])
def test_a_bag_in_sqlite3_is_refused_with_the_commands_that_make_one_that_can_be_read(
    tmp_path, robot_file, capsys, verb
):
    write_foreign_bag(tmp_path / "bag", ROBOT, 0.5, StoragePlugin.SQLITE3)
    words = {
        "convert": [
            "data",
            "convert",
            str(tmp_path / "bag"),
            "--out",
            str(tmp_path / "out"),
            "--robot",
            str(robot_file),
        ],
        "eval": ["eval", "--bag", str(tmp_path / "bag"), "--out", str(tmp_path / "out")],
        "play": ["bag", "play", str(tmp_path / "bag")],
        "inspect": ["inspect", str(tmp_path / "bag")],
    }[verb]
    assert main(words) == 2
    said = capsys.readouterr()
    assert "sqlite3" in said.err and "ros2 bag convert" in said.err and "rosbags-convert" in said.err, said
    assert len(said.err.strip().splitlines()) == 1


def test_the_command_that_the_refusal_names_makes_a_bag_that_converts(tmp_path, robot_file, capsys):
    write_foreign_bag(tmp_path / "bag", ROBOT, 3.0, StoragePlugin.SQLITE3)
    assert _convert(tmp_path / "bag", tmp_path / "out", robot_file) == 2
    command = capsys.readouterr().err.strip().rpartition("rosbags-convert ")[2].split()
    folder = Path(command[command.index("--dst") + 1])
    tool = Path(sys.executable).parent / "rosbags-convert"
    subprocess.run([tool, *command], check=True, capture_output=True, timeout=60)
    assert _convert(folder, tmp_path / "data", robot_file) == 0


def test_commands_of_a_foreign_bag_are_not_played_unasked(tmp_path):
    write_foreign_bag(tmp_path / "bag", ROBOT, 0.5, StoragePlugin.MCAP)
    stage = Stage()
    report = _play(tmp_path / "bag", stage, topics=()).report
    assert COMMANDS not in report.messages and JOINTS in report.messages
