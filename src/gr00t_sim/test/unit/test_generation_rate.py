# SPDX-License-Identifier: Apache-2.0
"""Demonstrations are counted, timed and pictured as asked."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.demonstration import Demonstrator
from gr00t_sim.generate import GenerateConfig, run
from gr00t_sim.generation_rate import Work, cpu_s
from gr00t_sim.simulation import TabletopSim

_BUSY_S = 0.2
_BUSY = f"import time\nwhile time.process_time() < {_BUSY_S}: pass"


def test_rates_are_of_what_was_made_not_of_what_was_tried():
    work = Work(made=100, attempts=125, seconds=144.0, cpu_s=50.0)
    assert work.episodes_per_hour == 2500 and work.cpu_s_per_episode == 0.5
    assert "100 of 125 attempts kept, 2500 episodes per hour, 0.50 CPU seconds" in str(work)
    assert Work(0, 0, 1.0, 0.1).as_dict()["cpu_s_per_episode"] is None


def test_processor_time_counts_processes_that_have_ended():
    before_s = cpu_s()
    subprocess.run([sys.executable, "-c", _BUSY], check=True)
    assert cpu_s() - before_s >= _BUSY_S


def test_more_pictures_change_nothing_but_the_rows_that_repeated_one():
    records = {}
    for hz in (10, 20):
        sim = TabletopSim("pick_named_object")
        records[hz] = Demonstrator(sim, GenerateConfig(picture_hz=hz).variety).run(4)
        sim.close()
    few, many = records[10], records[20]
    np.testing.assert_array_equal(np.stack(few.actions), np.stack(many.actions))
    np.testing.assert_array_equal(np.stack(few.images[::2]), np.stack(many.images[::2]))
    assert all(row is before for row, before in zip(few.images[1::2], few.images[::2], strict=False))
    changed = [
        not np.array_equal(row, before) for row, before in zip(many.images[1::2], many.images[::2], strict=False)
    ]
    assert np.mean(changed) > 0.7


@pytest.mark.parametrize("picture_hz", [0, -10, 15, 40])
def test_a_picture_rate_that_does_not_divide_the_rows_is_refused(picture_hz):
    with pytest.raises(ConfigError, match=r"20, 10 or 5"):
        GenerateConfig(picture_hz=picture_hz)


def test_the_summary_says_the_rate_and_a_finished_set_is_not_made_again(tmp_path, capsys):
    config = GenerateConfig(episodes=1, workers=1, out=tmp_path / "set", json=tmp_path / "summary.json")
    assert run(config) == 0
    summary = json.loads(config.json.read_text())
    assert summary["made"] == summary["episodes"] == 1 and summary["attempts"] >= 1
    assert summary["cpu_s_per_episode"] == pytest.approx(summary["cpu_s"], abs=0.1)
    assert summary["episodes_per_hour"] == pytest.approx(3600 / summary["seconds"], rel=0.1)
    assert "episodes per hour" in capsys.readouterr().out
    assert run(config) == 0
    assert "is complete" in capsys.readouterr().out
