# SPDX-License-Identifier: Apache-2.0
"""``gr00t train`` says what is wrong with its options and with datasets of the user's own before it makes anything."""

from pathlib import Path

import pytest

from gr00t_bringup import train_recipe
from gr00t_bringup.train_recipe import TrainVerbConfig
from gr00t_policy.core.errors import ConfigError, DatasetError


@pytest.mark.parametrize("recipe", ["tiny", "demonstrations"])
def test_a_dataset_that_is_not_there_is_refused_before_still_scenes_are_made(recipe, tmp_path):
    config = TrainVerbConfig(
        recipe=recipe, datasets=(tmp_path / "absent",), data=tmp_path / "data", out=tmp_path / "run"
    )
    with pytest.raises(DatasetError, match=r"absent.*info.json is missing"):
        train_recipe.run(config)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("every", "keep"), [(-1, 5), (10, 0)])
def test_checkpoints_that_make_no_sense_are_refused_before_data_are_made(every, keep):
    with pytest.raises(ConfigError, match=f"checkpoint_every must be 0.*got {every} and {keep}"):
        TrainVerbConfig(checkpoint_every=every, keep=keep)


def test_takeovers_lie_in_a_folder_of_the_policy_that_drove(tmp_path, monkeypatch):
    """Another policy's are made anew instead of being taken for this one's."""
    from gr00t_policy.model.checkpoint import load_checkpoint
    from gr00t_sim import generate

    asked: list[generate.GenerateConfig] = []
    monkeypatch.setattr(generate, "run", asked.append)
    shipped = Path(__file__).parents[4] / "models" / "gr1_tabletop_tiny"
    second = train_recipe.RECIPES["smoke"].rounds[1]
    config = TrainVerbConfig(recipe="smoke", data=tmp_path)
    (folder,) = train_recipe._episodes(config, second, 1, shipped)
    assert folder == asked[0].out == tmp_path / f"choose_bin_round_2_{load_checkpoint(shipped).hash[:12]}"
    assert (asked[0].seed, asked[0].policy) == (3000, shipped)
    (first,) = train_recipe._episodes(config, second, 0, None)
    assert first == tmp_path / "choose_bin_1"
