# SPDX-License-Identifier: Apache-2.0
"""``gr00t train`` on datasets of the user's own says what is wrong with them before it makes anything."""

import pytest

from gr00t_bringup import train_recipe
from gr00t_bringup.train_recipe import TrainVerbConfig
from gr00t_policy.core.errors import DatasetError


@pytest.mark.parametrize("recipe", ["tiny", "demonstrations"])
def test_a_dataset_that_is_not_there_is_refused_before_still_scenes_are_made(recipe, tmp_path):
    config = TrainVerbConfig(
        recipe=recipe, datasets=(tmp_path / "absent",), data=tmp_path / "data", out=tmp_path / "run"
    )
    with pytest.raises(DatasetError, match=r"absent.*info.json is missing"):
        train_recipe.run(config)
    assert not list(tmp_path.iterdir())
