# SPDX-License-Identifier: Apache-2.0
"""Still scenes say of every wish where its object and target are."""

import numpy as np
import pytest

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.grounding import load_grounding
from gr00t_sim.scenes import ScenesConfig, make_scenes, run
from gr00t_sim.tasks.task import TaskError

COUNT = 3


@pytest.fixture(scope="module")
def stacking():
    config = ScenesConfig(scenes=COUNT, suite="stack", workers=1)
    return make_scenes(config, COUNT, config.seed, show=False)


def test_every_wish_of_a_task_is_asked_in_each_of_its_scenes(stacking):
    _, asked, places = stacking
    assert (asked == np.arange(4)).all()  # two cubes, two blocks
    assert np.isfinite(places).all() and (places > 0).all() and (places < 1).all()


def test_wishes_that_name_the_same_thing_have_it_at_the_same_place(stacking):
    _, _, places = stacking
    objects = [{tuple(np.round(place[:2], 4)) for place in scene} for scene in places]
    targets = [{tuple(np.round(place[2:], 4)) for place in scene} for scene in places]
    assert all(len(places_of) == 2 for places_of in (*objects, *targets))


def test_the_named_cube_is_seen_where_the_label_says(stacking):
    images, _, places = stacking
    size = images.shape[1]
    for image, scene in zip(images, places, strict=True):
        (u, v), (red, green, _) = scene[0, :2] * size, (0, 1, 2)  # wish 0 is about the red cube
        patch = image[int(v) - 1 : int(v) + 2, int(u) - 1 : int(u) + 2].reshape(-1, 3).astype(int)
        hidden_by_a_hand = np.abs(np.diff(patch, axis=1)).max() < 60
        assert hidden_by_a_hand or patch[:, red].mean() > patch[:, green].mean() + 60


def test_a_set_of_scenes_is_written_once_and_read_back(tmp_path, capsys):
    config = ScenesConfig(scenes=2, suite="close_door", workers=1, out=tmp_path / "scenes")
    assert run(config) == 0 and run(config) == 0
    assert "exists" in capsys.readouterr().out
    scenes = load_grounding(config.out)
    sentence, place = scenes.draw(0, np.random.default_rng(0))
    assert any(sentence in said for said in scenes.facts.wishes) and place.shape == (4,)


def test_a_set_of_an_earlier_format_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "grounding.json").write_text('{"version": 1, "objects": ["can"]}')
    with pytest.raises(DatasetError, match="version 1.*gr00t sim scenes"):
        load_grounding(tmp_path)


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(TaskError, match="gr1_tabletop"):
        ScenesConfig(suite="kitchen")
