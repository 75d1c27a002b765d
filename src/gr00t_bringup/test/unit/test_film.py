# SPDX-License-Identifier: Apache-2.0
"""Films: what goes in comes out, at the size and rate asked for."""

import av
import numpy as np
import pytest

from gr00t_bringup.film import FilmWriter, beside, with_caption


def _flat(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_a_film_has_the_frames_the_size_and_the_rate_that_went_in(tmp_path):
    with FilmWriter(tmp_path / "new" / "film.mp4", fps=20) as film:
        for index in range(7):
            film.add(_flat(64, 96, 30 * index))
    with av.open(str(tmp_path / "new" / "film.mp4")) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 20
        assert stream.codec_context.name == "h264"
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 7
    assert [round(float(frame.mean()) / 30) for frame in frames] == list(range(7))


def test_a_film_without_frames_leaves_no_error(tmp_path):
    with FilmWriter(tmp_path / "film.mp4", fps=20):
        pass


def test_pictures_beside_each_other_share_one_height_and_have_even_width():
    joined = beside([_flat(480, 640, 10), _flat(224, 225, 200)], 480)
    assert joined.shape == (480, 1122, 3)
    assert joined[:, :640].max() == 10
    assert joined[:, 640:].min() == 200


def test_the_caption_is_written_under_the_picture_and_leaves_it_alone():
    picture = _flat(64, 320, 77)
    captioned = with_caption(picture, ["“pick up the can”", "planner 10.0 Hz"])
    assert np.array_equal(captioned[:64], picture)
    assert captioned.shape[0] % 2 == 0
    assert captioned[64:].max() > 150


@pytest.mark.parametrize("lines", [[], [""], ["ein Wörtchen: é, 字"]])
def test_any_text_can_be_a_caption(lines):
    assert with_caption(_flat(64, 320, 0), lines).shape[1] == 320
