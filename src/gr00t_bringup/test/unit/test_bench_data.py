# SPDX-License-Identifier: Apache-2.0
"""The figures of reading a mixture add up, and the verb writes them."""

import json

import pytest
import yaml
from sample_data import small_robot, write_sample

from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import embodiment_to_dict


def test_the_figures_are_written_and_add_up(tmp_path, capsys):
    write_sample(tmp_path / "set", [1, 2])
    robot, file = tmp_path / "small.yaml", tmp_path / "figures.json"
    robot.write_text(yaml.safe_dump(embodiment_to_dict(small_robot())))
    options = ["--robot", str(robot), "--block", "32", "--seconds", "0.1", "--workers", "1", "--json", str(file)]
    assert main(["bench", "data", str(tmp_path / "set"), *options]) == 0
    found = json.loads(file.read_text())
    assert found["samples"] == found["pictures"] == found["drawn"]["set"]
    assert found["samples"] % 32 == 0
    assert found["samples_per_s"] * found["seconds"] == pytest.approx(found["samples"])
    assert found["pictures_per_core_s"] > 10
    assert found["memory_bound_bytes"] == 2 * 32 * found["sample_bytes"] + 64_000_000
    assert "pictures/s per core" in capsys.readouterr().out


def test_what_cannot_be_measured_is_wrong_use(tmp_path):
    assert main(["bench", "data", str(tmp_path / "absent.yaml")]) == 2
    assert main(["bench", "data", str(tmp_path / "absent.yaml"), "--robot", "gr1"]) == 2
    assert main(["bench", "data", str(tmp_path), "--seconds", "0"]) == 2
    assert main(["bench", "data", str(tmp_path), "--block", "0"]) == 2
