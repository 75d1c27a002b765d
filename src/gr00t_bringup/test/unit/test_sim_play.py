# SPDX-License-Identifier: Apache-2.0
"""``gr00t sim play``: the expert's episode is filmed to its end, and what cannot be filmed is refused before anything is."""

import json
import math

import av
import pytest

from gr00t_bringup.sim_play import PlayConfig, run
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError


def _frames(film) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_film_lasts_as_long_as_the_episode_and_tells_that_it_was_solved(tmp_path, capsys):
    film, told = tmp_path / "films" / "lift.mp4", tmp_path / "lift.json"
    assert run(PlayConfig(task="lift_box", seed=3, out=film, settle_s=0.5, json=told)) == 0
    result = json.loads(told.read_text())
    assert result["success"] is True
    assert result["real_time_factor"] > 0
    rate_hz = load_embodiment("gr1").rate_hz
    assert _frames(film) == pytest.approx(result["duration_s"] * rate_hz, abs=1)
    assert "SOLVED" in capsys.readouterr().out


def test_an_episode_that_is_not_solved_in_time_is_filmed_all_the_same(tmp_path, capsys):
    film = tmp_path / "lift.mp4"
    assert run(PlayConfig(task="lift_box", seed=3, out=film, duration_s=0.2)) == 1
    assert _frames(film) > 0
    assert "NOT SOLVED in 0.2 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seed": -1}, "--seed is -1"),
        ({"duration_s": 0.0}, "duration_s must be above 0"),
        ({"duration_s": math.nan}, "both finite: nan"),
        ({"duration_s": math.inf}, "both finite: inf"),
        ({"settle_s": -1.0}, "settle_s not below"),
        ({"settle_s": math.nan}, "both finite"),
    ],
)
def test_what_cannot_be_filmed_is_refused_with_what_was_given(wrong, said):
    with pytest.raises(ConfigError, match=said):
        PlayConfig(**wrong)
