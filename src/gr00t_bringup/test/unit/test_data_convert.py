# SPDX-License-Identifier: Apache-2.0
"""``gr00t data convert``: what it prints and writes, its exit codes, and that its result passes ``gr00t data check``."""

import json
from pathlib import Path

import pytest
import yaml
from sample_bags import SENTENCE, Story, cut_short, write_bag
from sample_data import small_robot

from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_teleop.recording.episode_folders import add_custom_data

ROBOT = small_robot()


@pytest.fixture
def robot_file(tmp_path) -> Path:
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(embodiment_to_dict(ROBOT)))
    return file


def test_good_bags_become_a_dataset_that_passes_the_check(tmp_path, robot_file, capsys):
    for seed in range(2):
        write_bag(tmp_path / "bags" / f"bag_{seed}", ROBOT, Story(6.0, seed=seed, codec="jpeg"))
    out, found = tmp_path / "data", tmp_path / "found.json"
    command = ["data", "convert", str(tmp_path / "bags"), "--out", str(out), "--robot", str(robot_file)]
    assert main([*command, "--json", str(found)]) == 0
    said = capsys.readouterr().out
    assert "2 episodes added" in said
    assert SENTENCE in said
    report = json.loads(found.read_text())
    assert report["ok"]
    assert [bag["episodes"][0]["action_lag_s"] for bag in report["bags"]] == pytest.approx([0.15, 0.15], abs=0.051)
    assert report["bags"][0]["timings"]["state"]["rate_hz"] == pytest.approx(100, rel=1e-3)
    checked = tmp_path / "checked.json"
    assert main(["data", "check", str(out), "--robot", str(robot_file), "--json", str(checked), "--all-frames"]) == 0
    levels = {(each["level"], each["name"]) for each in json.loads(checked.read_text())["datasets"][0]["findings"]}
    assert not {name for level, name in levels if level != "ok"}
    assert main(command) == 0
    assert "0 episodes added" in capsys.readouterr().out


def test_a_refused_bag_is_one_line_and_exit_code_1_and_the_others_are_kept(tmp_path, robot_file, capsys):
    good = write_bag(tmp_path / "good", ROBOT, Story(1.6))
    bad = write_bag(tmp_path / "bad", ROBOT, Story(1.6))
    cut_short(bad, 0.7)
    command = ["data", "convert", str(bad), str(good), "--out", str(tmp_path / "data"), "--robot", str(robot_file)]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("refused:")] == [
        line for line in said.splitlines() if "cut off" in line
    ]
    assert "1 episodes added" in said


def test_a_bag_that_was_judged_a_failure_after_its_conversion_is_named(tmp_path, robot_file, capsys):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6))
    command = ["data", "convert", str(bag), "--out", str(tmp_path / "data"), "--robot", str(robot_file)]
    assert main(command) == 0
    add_custom_data(bag, {"outcome": "failure"})
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"known: {bag}: it is in the dataset already, although it was judged a failure" in said


def test_pictures_and_commands_on_other_topics_are_found(tmp_path, robot_file):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6, namespace="/left"))
    command = ["data", "convert", str(bag), "--robot", str(robot_file), "--state-topic", "/left/joint_states"]
    names = ["--action-topic", "/left/joint_trajectory", "--language-topic", "/left/language_command"]
    assert main([*command, *names, "--cameras", "head=/left/camera/head/image_raw", "--out", str(tmp_path / "a")]) == 0
    assert main([*command, *names, "--out", str(tmp_path / "b")]) == 1


@pytest.mark.parametrize(
    "options", [[], ["BAG", "--cameras", "head"], ["BAG", "--fps", "0"], ["BAG", "--idle-rad", "0"], ["nothing/here"]]
)
def test_wrong_use_is_exit_code_2(tmp_path, options, capsys):
    write_bag(tmp_path / "bag", ROBOT, Story(0.1))
    typed = [str(tmp_path / "bag") if word == "BAG" else word for word in options]
    assert main(["data", "convert", *typed, "--out", str(tmp_path / "data")]) == 2
    assert capsys.readouterr().err.startswith("gr00t data convert: ")
    assert not (tmp_path / "data").exists()
