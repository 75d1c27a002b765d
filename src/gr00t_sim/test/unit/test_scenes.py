# SPDX-License-Identifier: Apache-2.0
"""Still scenes say of every wish where its object and target are."""

import json
from dataclasses import replace

import numpy as np
import pytest
from killed_once import KilledOnce

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.grounding import GroundingFacts, load_grounding, save_grounding
from gr00t_sim import scenes as scenes_module
from gr00t_sim.jobs.workers import run_jobs
from gr00t_sim.scenes import Block, ScenesConfig, blocks, draw_block, run
from gr00t_sim.tasks.task import TaskError

COUNT = 3
STACKING = ScenesConfig(scenes=COUNT, suite="stack", workers=1)


@pytest.fixture(scope="module")
def stacking():
    drawn = draw_block(STACKING, Block("stack", 0, COUNT))
    return drawn.images, drawn.asked, drawn.places


def test_a_scene_is_the_same_whichever_block_it_is_drawn_in(stacking):
    again = draw_block(STACKING, Block("stack", 1, 1))
    for part, whole in zip((again.images, again.asked, again.places), stacking, strict=True):
        np.testing.assert_array_equal(part[0], whole[1])


@pytest.mark.parametrize(("count", "suite"), [(1, "gr1_tabletop"), (2001, "stack"), (20000, "gr1_tabletop")])
def test_blocks_hold_every_scene_once_and_tasks_have_equal_shares(count, suite):
    made = blocks(ScenesConfig(scenes=count, suite=suite))
    assert [row for block in made for row in range(block.first, block.first + block.count)] == list(range(count))
    shares = [sum(block.count for block in made if block.task == task) for task in {block.task for block in made}]
    assert max(shares) - min(shares) <= 1 and max(block.count for block in made) <= 100


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


def test_a_set_of_scenes_is_written_once_and_read_back_also_when_a_worker_is_killed(tmp_path, capsys, monkeypatch):
    """It waited for ever for what the killed worker had been drawing."""

    def killing(jobs, work, *rest, **names):
        run_jobs(jobs, KilledOnce(work, jobs[0], tmp_path / "killed"), *rest, **names)

    monkeypatch.setattr(scenes_module, "run_jobs", killing)
    config = ScenesConfig(scenes=2, suite="close_door", workers=1, out=tmp_path / "scenes")
    assert run(config) == 0 and run(config) == 0
    said = capsys.readouterr().out
    assert "a worker died; drawn again: scenes 0 to 1, of close_door" in said and "exists" in said
    scenes = load_grounding(config.out)
    sentence, place = scenes.draw(0, np.random.default_rng(0))
    assert any(sentence in said for said in scenes.facts.wishes) and place.shape == (4,)


@pytest.fixture
def there(tmp_path):
    """A set as it would be drawn for this configuration, in which nothing is to be seen."""
    config = replace(STACKING, out=tmp_path / "scenes")
    facts = GroundingFacts(scenes_module._said("stack"), config.seed, suite="stack", crop_fraction=1.0)
    asked = np.zeros((COUNT, 4), int)
    save_grounding(config.out, facts, np.zeros((COUNT, 112, 112, 3), np.uint8), asked, np.zeros((COUNT, 4, 4)))
    return config


def test_a_set_made_otherwise_is_refused_and_all_that_differs_is_named(there):
    assert run(there) == 0
    other = replace(there, scenes=5, suite="close_door", seed=7, image_size=64, crop_fraction=0.9, looks="mild")
    with pytest.raises(DatasetError) as refused:
        run(other)
    differing = (
        "suite: stack there, close_door asked for; seed: 500000 there, 7 asked for; scenes: 3 there, 5 asked for; "
    )
    differing += "image_size: 112 there, 64 asked for; looks: none there, mild asked for; "
    assert differing + "crop_fraction: 1.0 there, 0.9 asked for" in str(refused.value)


def test_a_set_from_before_it_said_its_suite_and_crop_is_known_by_what_is_said_in_it(there):
    path = there.out / "grounding.json"
    facts = json.loads(path.read_text())
    path.write_text(
        json.dumps({name: value for name, value in facts.items() if name not in ("suite", "crop_fraction")})
    )
    assert run(there) == 0
    with pytest.raises(DatasetError, match="suite: another there, close_door asked for"):
        run(replace(there, suite="close_door"))


def test_a_folder_that_cannot_be_written_is_one_error_before_and_after_the_work(there, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"file/scenes cannot be written.*use another --out"):
        run(replace(there, out=tmp_path / "file" / "scenes"))
    scenes = load_grounding(there.out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "images.npy").symlink_to("/dev/full")
    with pytest.raises(DatasetError, match="full cannot be written.*make room"):
        save_grounding(tmp_path / "full", scenes.facts, scenes.images, scenes.asked, scenes.places)


def test_a_set_of_an_earlier_format_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "grounding.json").write_text('{"version": 1, "objects": ["can"]}')
    with pytest.raises(DatasetError, match="version 1.*gr00t sim scenes"):
        load_grounding(tmp_path)


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(TaskError, match="gr1_tabletop"):
        ScenesConfig(suite="kitchen")
