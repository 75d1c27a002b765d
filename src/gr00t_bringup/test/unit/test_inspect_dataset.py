# SPDX-License-Identifier: Apache-2.0
"""Inspecting a dataset: contents, damaged files by name, fit to a robot; on made and, where it is there, on real data."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from sample_data import REAL, small_robot, write_sample

from gr00t_bringup.cli import main
from gr00t_bringup.inspection.dataset_report import dataset_report
from gr00t_policy.core.embodiment import embodiment_to_dict

_VIDEO = "videos/chunk-000/observation.images.head/episode_000001.mp4"
_ROWS = "data/chunk-000/episode_000001.parquet"


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_sample(tmp_path / "set", [1, 2, 3], ["go left", "go right", "go left"])


def _robot(tmp_path: Path, **changes) -> str:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(embodiment_to_dict(small_robot(**changes))))
    return str(file)


def _damages(report) -> dict[str, str]:
    return {problem.what: problem.detail for problem in report.problems if problem.severity == "damage"}


def _differences(report) -> list[str]:
    return [problem.what for problem in report.problems if problem.severity == "difference"]


def test_a_whole_dataset_fits_its_robot_and_is_described(dataset, tmp_path):
    file = tmp_path / "found.json"
    assert main(["inspect", str(dataset), "--robot", _robot(tmp_path), "--verify", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert (found["episodes"], found["frames"], found["fps"]) == (3, 12 + 13 + 14, 20.0)
    assert found["tasks"] == {"go left": 2, "go right": 1}
    assert found["cameras"] == {"head": {"height": 48, "width": 64, "codec": "h264"}}
    assert found["groups"]["action"] == {"left_arm": [0, 3], "right_arm": [3, 5], "waist": [5, 6]}
    assert found["statistics_stored"] is True


def test_each_number_is_shown_with_its_joint_and_statistics(dataset, capsys):
    """The screen had ranges of numbers alone, and of the statistics the name of their file."""
    stored = json.loads((dataset / "meta" / "stats.json").read_text())["action"]
    assert main(["inspect", str(dataset)]) in (0, 1)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    for number, joint in enumerate(["left_arm_0", "left_arm_1", "left_arm_2", "right_arm_0", "right_arm_1", "waist_0"]):
        (row,) = [words for words in shown if joint in words and words[0] == str(number)]
        values = [float(word) for word in row[-6:]]
        wanted = [stored[key][number] for key in ("min", "q01", "mean", "std", "q99", "max")]
        assert values == pytest.approx(wanted, abs=6e-4)
    assert main(["inspect", str(dataset), "--details"]) in (0, 1)
    assert sum("waist_0" in line.split() for line in capsys.readouterr().out.splitlines()) == 2
    (dataset / "meta" / "stats.json").unlink()
    report = dataset_report(dataset)
    assert report.grids[-1].rows[0] == ("0", "left_arm", "left_arm_0", *["-"] * 6)


def test_missing_and_cut_files_are_named_without_reading_them(dataset, tmp_path):
    (dataset / _ROWS).unlink()
    video = dataset / _VIDEO
    video.write_bytes(video.read_bytes()[:-200])
    damages = _damages(dataset_report(dataset, _robot(tmp_path)))
    assert damages[_ROWS] == "missing"
    assert "cut off or damaged" in damages[_VIDEO]
    assert len(damages) == 2
    assert main(["inspect", str(dataset), "--robot", _robot(tmp_path)]) == 1


def test_a_parquet_file_with_too_few_rows_or_without_its_end_is_damage(dataset, tmp_path):
    table = pq.read_table(dataset / _ROWS)
    pq.write_table(table.slice(0, 5), dataset / _ROWS)
    assert _damages(dataset_report(dataset, _robot(tmp_path)))[_ROWS] == "5 rows, episodes.jsonl says 13"
    (dataset / _ROWS).write_bytes((dataset / _ROWS).read_bytes()[:-4])
    assert "damaged" in _damages(dataset_report(dataset, _robot(tmp_path)))[_ROWS]


def test_many_damaged_files_are_counted_on_the_screen_and_listed_for_programs(tmp_path):
    dataset = write_sample(tmp_path / "set", list(range(9)))
    for file in dataset.rglob("*.mp4"):
        file.unlink()
    report = dataset_report(dataset, _robot(tmp_path))
    assert "4 more files" in _damages(report)
    assert len(report.data["damages"]) == 9


def test_a_broken_meta_file_is_damage_and_says_which(dataset):
    (dataset / "meta" / "info.json").write_text("{")
    report = dataset_report(dataset)
    assert "info.json is not valid JSON" in report.problems[0].detail
    assert not report.ok


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"groups": {"left_arm": 3, "right_arm": 2, "waist": 1, "neck": 1}}, "action group neck"),
        ({"groups": {"left_arm": 4, "right_arm": 2, "waist": 1}}, "state group left_arm"),
        ({"cameras": ()}, ""),
        ({"rate_hz": 30.0}, "rate"),
    ],
)
def test_differences_to_a_robot_are_named(dataset, tmp_path, changes, named):
    report = dataset_report(dataset, _robot(tmp_path, **changes))
    assert _differences(report) == [] if not named else named in _differences(report)


def test_a_missing_camera_and_a_joint_in_another_place_are_differences(dataset, tmp_path):
    data = embodiment_to_dict(small_robot())
    data["cameras"][0]["name"] = "chest"
    arm = [joint for joint in data["joints"] if joint["group"] == "left_arm"]
    arm[0]["name"], arm[1]["name"] = arm[1]["name"], arm[0]["name"]
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(data))
    found = _differences(dataset_report(dataset, str(file)))
    assert found == ["order of joints in state left_arm", "order of joints in action left_arm", "camera chest"]


def test_without_a_robot_given_every_shipped_one_is_tried(dataset):
    report = dataset_report(dataset)
    assert report.data["robots"]["gr1"]["fits"] is False
    assert "state group left_hand" in _differences(report)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published GR-1 dataset is not here")
def test_the_published_gr1_dataset_fits_and_its_joints_beyond_the_limits_are_named():
    report = dataset_report(REAL, "gr1", verify=True)
    assert report.data["frames"] == 2096
    assert _differences(report) == []
    assert _damages(report) == {}
    limits = [problem.what for problem in report.problems if problem.severity == "limit"]
    assert "L_pinky_proximal_joint" in limits
    assert len(report.data["tasks"]) == 5
