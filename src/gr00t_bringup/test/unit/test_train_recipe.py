# SPDX-License-Identifier: Apache-2.0
"""``gr00t train --recipe smoke``: from nothing to a checkpoint, through every stage that the shipped one went through."""

import json

from gr00t_bringup import train_recipe
from gr00t_bringup.train_recipe import TrainVerbConfig
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.model.checkpoint import load_checkpoint


def test_a_recipe_makes_its_data_trains_corrects_itself_and_leaves_a_checkpoint(tmp_path, capfd):
    config = TrainVerbConfig(recipe="smoke", out=tmp_path / "run", data=tmp_path / "data", workers=1, threads=1)
    assert train_recipe.run(config) == 0
    load_checkpoint(tmp_path / "run" / "checkpoint", "gr1").load_weights()
    card = json.loads((tmp_path / "run" / "checkpoint" / "training_card.json").read_text())
    assert list(card["stages"]) == ["look", "act"]
    assert card["peak_memory_gb"]["process"] < 6, "what the suite allows itself"
    driven_by = load_checkpoint(tmp_path / "run" / "round_1" / "checkpoint").hash
    corrections = LeRobotDataset(tmp_path / "data" / f"choose_bin_round_2_{driven_by[:12]}")
    episode = corrections.episode(0)
    assert 0 < episode.extras["valid"].sum() < len(episode), "the policy's own part is there and not to be imitated"
    # Everything is there: nothing is made again, no step is taken again.
    capfd.readouterr()
    assert train_recipe.run(config) == 0
    assert "exists" in capfd.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert [(line["stage"], line["step"]) for line in log] == [("act", 4)]
