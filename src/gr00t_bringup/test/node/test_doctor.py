# SPDX-License-Identifier: Apache-2.0
"""The verb doctor: every line has a level, problems come first with their remedy, the exit code follows the errors."""

import json

import pytest

from gr00t_bringup.cli import main
from gr00t_bringup.doctor import DoctorConfig
from gr00t_policy.core.errors import ConfigError


@pytest.mark.usefixtures("context")
def test_without_a_robot_a_good_machine_is_well_and_with_one_demanded_it_is_not(tmp_path, capsys):
    file = tmp_path / "found.json"
    assert main(["doctor", "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0 errors")
    assert json.loads(file.read_text())["ok"] is True
    assert main(["doctor", "--live", "--listen-s", "0.5", "--json", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["error", "joint_states"]
    assert lines[2].strip().startswith("->")
    found = json.loads(file.read_text())
    assert found["ok"] is False
    assert {finding["level"] for finding in found["findings"]} <= {"ok", "warning", "error"}
    assert all(finding["fix"] for finding in found["findings"] if finding["level"] != "ok")


def test_a_checkpoint_that_is_not_there_makes_the_doctor_say_no(tmp_path, capsys):
    assert main(["doctor", "--checkpoint", str(tmp_path / "nothing")]) == 1
    assert "no checkpoint folder" in capsys.readouterr().out


def test_a_listening_time_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="listen_s"):
        DoctorConfig(listen_s=0.0)
