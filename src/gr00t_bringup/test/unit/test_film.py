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


def _strip(lines: list[str], width: int = 320) -> np.ndarray:
    """What is drawn under a picture, as brightness: (H, width)."""
    return with_caption(_flat(64, width, 77), lines)[64:].max(axis=2)


def _line(strip: np.ndarray, number: int) -> np.ndarray:
    return strip[8 + 24 * number : 8 + 24 * (number + 1)]


def test_the_caption_is_written_under_the_picture_and_leaves_it_alone():
    picture = _flat(64, 320, 77)
    captioned = with_caption(picture, ["“pick up the can”", "planner 10.0 Hz"])
    assert np.array_equal(captioned[:64], picture)
    assert captioned.shape == (64 + 8 + 24 + 24 + 8, 320, 3)
    assert np.array_equal(with_caption(picture, ["a"], above=True)[-64:], picture)


def test_each_text_has_its_own_line_and_an_empty_one_leaves_it_empty():
    both, first, none = _strip(["10.0 Hz", "solved"]), _strip(["10.0 Hz", ""]), _strip(["", ""])
    assert np.array_equal(_line(both, 0), _line(first, 0)) and _line(both, 0).max() > 200
    assert _line(both, 1).max() > 200 and np.array_equal(_line(first, 1), _line(none, 1))
    assert np.ptp(none) == 0


@pytest.mark.parametrize(("one", "other"), [("planner 10.0 Hz", "planner 10.1 Hz"), ("the can", "the pan")])
def test_texts_that_differ_look_different(one, other):
    assert not np.array_equal(_strip([one]), _strip([other]))


def test_a_text_that_is_too_long_ends_in_the_margin_with_a_sign_and_keeps_its_beginning():
    long, longer = (_strip(["pick up the can and " * times]) for times in (5, 500))
    assert np.array_equal(long, longer)
    assert np.ptp(long[:, -8:]) == 0, "nothing in the margin"
    assert long[:, -24:-8].max() > 200, "the width is used"
    whole = _strip(["pick up the can and " * 5], width=2000)
    assert np.array_equal(long[:, :280], whole[:, :280]) and not np.array_equal(long, whole[:, :320])


def test_a_break_in_a_text_is_a_space():
    said = _strip(["pick up\nthe\r\ncan", ""])
    assert np.array_equal(said, _strip(["pick up the can", ""]))


@pytest.mark.parametrize("letter", [*"éöß…“ñЖπ°µ≥→"])
def test_letters_of_other_languages_are_not_boxes(letter):
    assert not np.array_equal(_strip([letter]), _strip(["\ue123"])), "the box of a letter that no font has"


@pytest.mark.parametrize("lines", [[], [""], ["字 🤖", "\t\x00"]])
def test_any_text_can_be_a_caption(lines):
    assert with_caption(_flat(64, 320, 0), lines).shape[1] == 320
