# SPDX-License-Identifier: Apache-2.0
"""The frame cache holds exactly what the live transform gives for the same frames, and is built once."""

import numpy as np
import pytest
from sample_data import write_sample

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.frame_cache import build_frame_cache
from gr00t_policy.data.transforms import ImageTransform, to_network

TRANSFORM = ImageTransform(24, 0.9)


@pytest.fixture
def datasets(tmp_path):
    return [LeRobotDataset(write_sample(tmp_path / name, seeds)) for name, seeds in (("a", [0, 1]), ("b", [2]))]


@pytest.mark.parametrize("every", [1, 3, 50])
def test_every_kept_view_equals_the_live_one_of_that_frame(datasets, tmp_path, every):
    cache = build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache", every)
    assert cache.episodes == ((0, 0), (0, 1), (1, 0))
    assert len(cache) == sum(len(cache.frame_indices(number)) for number in range(3))
    for number, (dataset, episode) in enumerate(cache.episodes):
        frames = datasets[dataset].frames(episode, "head")
        assert list(cache.frame_indices(number)) == list(range(0, len(frames), every))
        for index in cache.frame_indices(number):
            row = cache.row(number, index)
            assert np.array_equal(to_network(TRANSFORM.centre(cache.views[row])), TRANSFORM(frames[index]))


def test_a_frame_between_two_kept_ones_gives_the_earlier(datasets, tmp_path):
    cache = build_frame_cache(datasets, "head", TRANSFORM, tmp_path, 3)
    assert cache.row(1, 5) == cache.row(1, 3) == cache.first_row[1] + 1


def test_the_same_input_is_not_decoded_twice_and_other_input_is(datasets, tmp_path):
    calls: list[tuple[int, int]] = []

    def build(every: int = 1, transform: ImageTransform = TRANSFORM):
        return build_frame_cache(
            datasets, "head", transform, tmp_path, every, on_progress=lambda done, total: calls.append((done, total))
        )

    build()
    assert calls == [(1, 3), (2, 3), (3, 3)]
    build()
    assert len(calls) == 3
    build(every=2)
    build(transform=ImageTransform(24, 1.0))
    assert len(calls) == 9


def test_a_video_written_again_is_decoded_again(datasets, tmp_path):
    first = build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache")
    path, other = datasets[0].video_path(0, "head"), datasets[1].video_path(0, "head")
    path.write_bytes(other.read_bytes())
    second = build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache")
    assert not np.array_equal(first.views[:12], second.views[:12])


def test_a_video_with_too_few_frames_is_named_and_leaves_no_cache(datasets, tmp_path):
    datasets[0].video_path(1, "head").write_bytes(datasets[0].video_path(0, "head").read_bytes())
    with pytest.raises(DatasetError, match=r"episode_000001\.mp4 has 12 frames, 20 a second, its episode 13 rows"):
        build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.u8"))


def test_a_missing_video_and_an_unknown_camera_are_named(datasets, tmp_path):
    with pytest.raises(DatasetError, match="camera 'wrist' must be in every dataset"):
        build_frame_cache(datasets, "wrist", TRANSFORM, tmp_path)
    datasets[1].video_path(0, "head").unlink()
    with pytest.raises(DatasetError, match=r"episode_000000\.mp4 is missing"):
        build_frame_cache(datasets, "head", TRANSFORM, tmp_path)


def test_a_folder_that_takes_no_file_or_not_the_last_one_is_named(datasets, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="pictures cannot be kept in .*file .*make room"):
        build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "file")
    build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache")
    (made,) = (tmp_path / "cache").glob("*.u8")
    made.unlink()
    (tmp_path / "cache" / f".{made.stem}.json.part").mkdir()  # where the file that says what it is would be written
    with pytest.raises(DatasetError, match="pictures cannot be kept in .*cache .*make room"):
        build_frame_cache(datasets, "head", TRANSFORM, tmp_path / "cache")
    assert not made.exists()
