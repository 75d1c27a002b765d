# SPDX-License-Identifier: Apache-2.0
"""``gr00t sim experts``: every scene is tried once, also when a worker is killed."""

import json

from killed_once import KilledOnce

from gr00t_sim import expert_rates
from gr00t_sim.expert_rates import ExpertsConfig, run
from gr00t_sim.jobs.workers import run_jobs


def test_the_scene_whose_worker_was_killed_is_tried_again(tmp_path, capsys, monkeypatch):
    """It waited for ever for what the killed worker had been trying."""

    def killing(jobs, work, *rest, **names):
        run_jobs(jobs, KilledOnce(work, jobs[0], tmp_path / "killed"), *rest, **names)

    monkeypatch.setattr(expert_rates, "run_jobs", killing)
    assert run(ExpertsConfig(task="close_door", episodes=1, json=tmp_path / "rates.json")) == 0
    assert "a worker died; tried again: close_door, seed 20000" in capsys.readouterr().out
    rates = json.loads((tmp_path / "rates.json").read_text())
    assert rates["tasks"]["close_door"]["successes"] == rates["tasks"]["close_door"]["episodes"] == 1
