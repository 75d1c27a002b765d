# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval`` with a Diffusion Policy that has learnt nothing: its episodes run, and are compared with ours."""

import json
from pathlib import Path

import pytest

from gr00t_policy.baseline.checkpoint import save_diffusion_checkpoint
from gr00t_policy.baseline.config import diffusion_config
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_sim.checkpoint_policy import read_checkpoint
from gr00t_sim.compare import CompareConfig
from gr00t_sim.compare import run as run_comparison
from gr00t_sim.evaluate import SCORES, EvalConfig, run

_SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"
_HOW = {"task": "choose_bin", "episodes": 1, "language": ("own",), "max_s": 0.1, "workers": 1, "engine": "torch"}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Path:
    """With statistics, tokenizer and robot of the shipped checkpoint."""
    folder, ours = tmp_path_factory.mktemp("baseline") / "checkpoint", load_checkpoint(_SHIPPED)
    model = build_diffusion_policy(diffusion_config(58, 29), 0)
    save_diffusion_checkpoint(folder, model, ours.embodiment, ours.statistics, ours.prompt.tokenizer, {})
    return folder


def test_an_episode_is_run_and_compared_with_one_of_ours(untrained, tmp_path, capsys):
    shown = {"film": None, "gallery": 0}
    assert run(EvalConfig(checkpoint=untrained, out=tmp_path / "b", **_HOW, **shown)) == 0
    assert run(EvalConfig(checkpoint=_SHIPPED, out=tmp_path / "a", **_HOW, **shown)) == 0
    scores = json.loads((tmp_path / "b" / SCORES).read_text())
    assert scores["tasks"]["choose_bin"]["episodes"] == 1
    assert scores["checkpoint_hash"] == read_checkpoint(untrained).hash
    assert scores["settings"]["noise_scale"] == 1.0, "as the network is meant"
    assert json.loads((tmp_path / "a" / SCORES).read_text())["settings"]["noise_scale"] == 0.0
    capsys.readouterr()
    assert run_comparison(CompareConfig(compare=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "c")) == 0
    assert "1 episodes in both" in capsys.readouterr().out
