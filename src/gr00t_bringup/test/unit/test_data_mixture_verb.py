# SPDX-License-Identifier: Apache-2.0
"""The verb of mixtures: shares on the screen and for programs, statistics as a checkpoint reads them, faults by name."""

import json

import pytest
import yaml
from sample_data import small_robot, write_sample

from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_policy.data.statistics import load_metadata


@pytest.fixture
def mixture(tmp_path):
    write_sample(tmp_path / "a", [1, 2])
    write_sample(tmp_path / "b", [3])
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(embodiment_to_dict(small_robot())))
    entries = {name: {"path": name, "embodiment": "small.yaml"} for name in ("a", "b")}
    entries["a"]["hold_out"] = [0]
    (tmp_path / "pyramid.yaml").write_text(yaml.safe_dump({"datasets": entries}))
    return tmp_path / "pyramid.yaml"


def test_shares_and_statistics_are_written(mixture, tmp_path, capsys):
    shares, statistics = tmp_path / "shares.json", tmp_path / "metadata.json"
    assert main(["data", "mixture", str(mixture), "--json", str(shares), "--statistics", str(statistics)]) == 0
    data = json.loads(shares.read_text())
    assert data["datasets"]["a"]["share"] == pytest.approx(13 / 25)
    assert (data["datasets"]["a"]["held_out"], data["datasets"]["b"]["episodes"]) == ([0], 1)
    assert set(data["statistics"]) == {"a", "b"}
    assert load_metadata(statistics, "small").state["left_arm"].min.shape == (3,)
    assert "52.0%" in capsys.readouterr().out
    assert (
        main(["data", "mixture", str(mixture), "--statistics", str(statistics)]) == 2
    )  # it would be mixed with the old


def test_a_fault_ends_with_one_line_that_names_it(mixture, capsys):
    mixture.write_text(mixture.read_text().replace("path: b", "path: c"))
    assert main(["data", "mixture", str(mixture)]) == 2
    assert "gr00t data mixture: dataset 'b': " in capsys.readouterr().err
