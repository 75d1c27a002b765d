# SPDX-License-Identifier: Apache-2.0
"""The published GR-1 demonstration dataset (44 joints, written by others) is read and trained on like our own."""

import json

import numpy as np
import pytest
from sample_data import REAL

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import LeRobotDataset, merge_datasets
from gr00t_policy.data.dataset_statistics import published_statistics, statistics_of
from gr00t_policy.data.frame_cache import build_frame_cache
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the published demonstration dataset is not at {REAL}")


@pytest.fixture(scope="module")
def dataset():
    return LeRobotDataset(REAL, groups=load_embodiment("gr1").policy_groups)


def test_it_is_valid_as_it_is(dataset):
    dataset.validate()
    assert (len(dataset.episodes), dataset.num_frames) == (5, 2096)


def test_the_arms_and_waist_of_the_44_values_are_selected_in_the_order_of_the_robot(dataset):
    whole = LeRobotDataset(REAL).episode(0)
    chosen = dataset.episode(0)
    assert whole.states.shape == (416, 44)
    columns = [*range(7), *range(22, 29), *range(7, 13), *range(29, 35), *range(41, 44)]
    assert np.array_equal(chosen.states, whole.states[:, columns])
    assert np.array_equal(chosen.actions, whole.actions[:, columns])


def test_the_sentence_is_that_of_the_episode(dataset):
    assert dataset.episode(0).task == "pick the pear from the counter and place it in the plate"
    assert dataset.episode(4).task == "pick the cupcake from the counter and place it in the plate"
    with pytest.raises(DatasetError, match="no language 'annotation.human.coarse_action'; it has: annotation.human"):
        LeRobotDataset(REAL, language_key="annotation.human.coarse_action")


def test_its_frames_can_be_had_at_any_index(dataset):
    everything = dataset.frames(4, "ego_view")
    assert everything.shape == (328, 256, 256, 3)
    chosen = [300, 17, 18]
    assert np.array_equal(dataset.frames(4, "ego_view", chosen), everything[chosen])


def test_our_statistics_are_those_it_came_with(dataset):
    ours = statistics_of([LeRobotDataset(REAL)], "gr1")
    published = json.loads(dataset.layout.stats.read_text())["observation.state"]
    start = 0
    for group, part in LeRobotDataset(REAL).state_groups.items():
        width = part.stop - part.start
        assert np.allclose(ours.state[group].mean, published["mean"][part], atol=1e-4), group
        assert np.allclose(ours.state[group].max, published["max"][part], atol=1e-5), group
        start += width
    assert start == 44


def test_its_actions_survive_the_way_to_the_network_and_back(dataset):
    robot = load_embodiment("gr1")
    transform = StateActionTransform(robot, statistics_of([dataset], "gr1"), state_dim=64, action_dim=32)
    episode = dataset.episode(2)
    encoded = transform.encode_actions(episode.actions)
    assert encoded.shape == (470, 32)
    assert np.abs(encoded).max() <= 1 + 1e-6
    assert np.allclose(transform.decode_actions(encoded), episode.actions, atol=1e-6)
    assert transform.encode_state(episode.states[0]).shape == (1, 64)


@pytest.mark.parametrize(
    ("name", "state", "action"),
    [("gr1_arms_only", 52, 26), ("gr1_arms_waist", 58, 29), ("gr1_full_upper_body", 32, 32)],
)
def test_the_published_gr1_statistics_serve_every_published_config(name, state, action):
    meta = REAL.parent / "gr1_metadata"
    if not meta.is_dir():
        pytest.skip(f"the published GR-1 statistics are not at {meta}")
    robot = load_embodiment(name)
    statistics = published_statistics(meta, robot.tag)
    transform = StateActionTransform(robot, statistics, state_dim=64, action_dim=32)
    assert (transform.state_mask.sum(), transform.action_mask.sum()) == (state, action)
    assert statistics.action["left_arm"].min == pytest.approx(
        [-2.291, -0.002, -2.500, -2.814, -2.361, -1.494, -1.497], abs=5e-4
    )
    chunk = transform.decode_actions(np.random.default_rng(0).uniform(-1, 1, (16, 32)))
    again = transform.decode_actions(transform.encode_actions(chunk))
    assert np.allclose(again, chunk, atol=1e-6)


def test_it_can_be_cached_and_merged(dataset, tmp_path):
    cache = build_frame_cache([dataset], "ego_view", ImageTransform(112), tmp_path / "cache", every=40)
    assert cache.views.shape[0] == sum(-(-entry.length // 40) for entry in dataset.episodes)
    merged = merge_datasets([REAL, REAL], tmp_path / "merged")
    merged.validate()
    assert merged.num_frames == 2 * dataset.num_frames
    assert merged.episode(9).task == dataset.episode(4).task
