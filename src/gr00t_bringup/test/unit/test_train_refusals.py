# SPDX-License-Identifier: Apache-2.0
"""``gr00t train`` says what is wrong with datasets and options before it makes anything, and gives the options to the loop."""

import math
from pathlib import Path

import pytest
from released_folder import write_release_folder

from gr00t_bringup import train_recipe
from gr00t_bringup.train_recipe import RECIPES, TrainVerbConfig
from gr00t_policy.baseline.train import DiffusionTrainConfig
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.training import train
from gr00t_policy.training.config import TrainConfig


@pytest.mark.parametrize("recipe", ["tiny", "demonstrations", "without_places"])
def test_a_dataset_that_is_not_there_is_refused_before_still_scenes_are_made(recipe, tmp_path):
    config = TrainVerbConfig(
        recipe=recipe, datasets=(tmp_path / "absent",), data=tmp_path / "data", out=tmp_path / "run"
    )
    with pytest.raises(DatasetError, match=r"absent.*info.json is missing"):
        train_recipe.run(config)
    assert not list(tmp_path.iterdir())


def test_a_published_network_is_refused_before_data_are_made(tmp_path):
    """It ended in an AssertionError after hours of that, or learnt from pictures it is not served."""
    released = write_release_folder(tmp_path / "released")
    for recipe in RECIPES:
        config = TrainVerbConfig(recipe=recipe, initial=released, data=tmp_path / "data", out=tmp_path / "run")
        with pytest.raises(ConfigError, match=r"published form.*--recipe finetune --init .*released .*posttrain"):
            train_recipe.run(config)
    assert [entry.name for entry in tmp_path.iterdir()] == ["released"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accumulate": 5}, "accumulate is 5, but stage 'find' of recipe 'tiny' takes 48 pictures a step"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"log_every": 0}, "save_every and log_every must be at least 1"),
        ({"rate": 0.0}, "rate is a share of the recipe's learning rates and must be above 0, got 0.0"),
        ({"rate": math.inf}, "rate is a share"),
        ({"budget": math.nan}, "budget is a share of the recipe's steps"),
    ],
)
def test_options_that_the_loop_would_refuse_are_refused_before_data_are_made(options, said):
    with pytest.raises(ConfigError, match=said):
        TrainVerbConfig(**options)


def test_the_options_of_the_loop_reach_it_in_every_recipe(tmp_path, monkeypatch):
    given: list[TrainConfig] = []
    monkeypatch.setattr(train, "run", lambda config: given.append(config) or 0)
    monkeypatch.setattr("gr00t_policy.data.fitting.open_alike", lambda *_: [])
    monkeypatch.setattr("gr00t_sim.scenes.run", lambda config: 0)
    for recipe in RECIPES:
        more = {"accumulate": 2, "save_every": 7, "log_every": 3, "tensorboard": True, "rate": 0.5}
        config = TrainVerbConfig(recipe=recipe, datasets=(tmp_path,), out=tmp_path / recipe, **more)
        assert train_recipe.run(config) == 0
        passed = given.pop()
        assert (passed.accumulate, passed.save_every, passed.log_every, passed.tensorboard) == (2, 7, 3, True)
        plain = RECIPES[recipe].rounds[0].stages
        assert {name: stage.learning_rate for name, stage in passed.stages.items()} == {
            name: stage.learning_rate / 2 for name, stage in plain.items()
        }


def test_without_places_acts_in_as_many_steps_as_the_recipe_that_is_told_them():
    (told,), (untold,) = RECIPES["demonstrations"].rounds, RECIPES["without_places"].rounds
    assert sum(stage.steps for stage in told.stages.values()) == sum(stage.steps for stage in untold.stages.values())
    assert told.episodes == untold.episodes
    for stage in untold.stages.values():
        assert stage.aux_weight == 0 and stage.looks_per_step == stage.scenes_per_step == 0
        assert stage.images_per_step == told.stages["joint"].images_per_step == DiffusionTrainConfig.images_per_step
        assert stage.samples_per_image == DiffusionTrainConfig.samples_per_image


def test_a_recipe_that_makes_its_data_says_which_ones_run_in_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="runs in one process; .* pretrain, posttrain, finetune or diffusion_policy"):
        train_recipe.run(TrainVerbConfig(recipe="tiny", out=tmp_path / "run"))
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
