# SPDX-License-Identifier: Apache-2.0
"""``gr00t sim experts``: every scene is tried once, also when a worker is killed; figures that cannot be written are said."""

import json

import pytest
from killed_once import KilledOnce

from gr00t_policy.core.errors import ConfigError
from gr00t_sim import expert_rates
from gr00t_sim.expert_rates import ExpertsConfig, Tried, run
from gr00t_sim.jobs.workers import run_jobs


def test_the_scene_whose_worker_was_killed_is_tried_again(tmp_path, capsys, monkeypatch):
    """It waited for ever for what the killed worker had been trying."""

    def killing(jobs, work, *rest, **names):
        run_jobs(jobs, KilledOnce(work, jobs[0], tmp_path / "killed"), *rest, **names)

    monkeypatch.setattr(expert_rates, "run_jobs", killing)
    config = ExpertsConfig(task="close_door", episodes=1, json=tmp_path / "rates.json")
    assert run(config) == 0
    assert "a worker died; tried again: close_door, seed 20000" in capsys.readouterr().out
    rates = json.loads((tmp_path / "rates.json").read_text())
    assert rates["tasks"]["close_door"]["successes"] == rates["tasks"]["close_door"]["episodes"] == 1


def test_rates_that_cannot_be_written_are_printed_and_one_error_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(expert_rates, "_try_all", lambda _: [Tried("close_door", 20000, 3.0, "shut")])
    (tmp_path / "full.json").mkdir()
    with pytest.raises(
        ConfigError, match=r"full\.json cannot be written.*figures are printed above.*another file in --json"
    ):
        run(ExpertsConfig(task="close_door", episodes=1, json=tmp_path / "full.json"))
    assert "close_door" in capsys.readouterr().out
