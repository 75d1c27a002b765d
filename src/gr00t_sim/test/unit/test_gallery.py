# SPDX-License-Identifier: Apache-2.0
"""The gallery: which episodes it shows, a page that stands alone, and commands that play the same scene."""

import base64
import io
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tyro
from made_results import SETTINGS, made_identity, made_result, made_results
from PIL import Image

from gr00t_policy.data.video import read_frames, read_header
from gr00t_sim.evaluate import EvalConfig, run
from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeSettings
from gr00t_sim.evaluation.gallery import choose, forget_pictures, play_commands
from gr00t_sim.evaluation.gallery_page import Shown, page
from gr00t_sim.evaluation.scores import summarise
from gr00t_sim.film_strip import Recorder, write_film, write_strip
from headless_browser import NO_BROWSER
from page_check import defects

_SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"


def test_every_failure_is_chosen_up_to_the_limit_and_the_rest_is_counted():
    results = made_results([False] * 30 + [True] * 5) + made_results([False] * 3, language="other")
    results += made_results([False] * 9, language="empty")
    chosen = choose(results, 20)
    assert [r.key.seed for r in chosen.failures if r.key.language == "own"] == list(range(20))
    assert sum(r.key.language == "other" for r in chosen.failures) == 3
    assert chosen.left_out == 10 and len(chosen.successes) == 2
    assert all(r.key.language != "empty" for r in chosen.failures), "told nothing, doing nothing is no failure"


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        EpisodeSettings(3.5, 0.25, 1.0, "torch", "fp32"),
        replace(SETTINGS, staggered=True),
        replace(SETTINGS, tokenizer="/my tokens"),
    ],
)
def test_the_command_beside_a_strip_asks_for_exactly_that_episode(settings):
    result = made_result(10007, success=False, language="other")
    same, live = (shlex.split(command) for command in play_commands(Path("models/my tiny"), settings, result))
    config = tyro.cli(EvalConfig, args=same[2:])
    assert config.keys() == [EpisodeKey("choose_bin", "other", 10007)]
    assert config.settings == settings and config.checkpoint == Path("models/my tiny")
    assert live[live.index("--say") + 1] == result.heard
    assert ("--tokenizer" in live) == bool(settings.tokenizer)
    assert not settings.tokenizer or live[live.index("--tokenizer") + 1] == settings.tokenizer


def test_a_network_that_no_node_can_run_is_not_offered_live(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "diffusion_policy"}')
    (same,) = play_commands(tmp_path, SETTINGS, made_result(1, success=False))
    assert shlex.split(same)[:2] == ["./gr00t", "eval"]


def test_what_was_said_cannot_break_the_page(tmp_path):
    strip = tmp_path / "strip.jpg"
    Image.new("RGB", (8, 8)).save(strip)
    result = made_result(1, success=False, said='<script>alert("x")</script>')
    text = page(
        made_identity(), summarise(["choose_bin"], [result]), [Shown(result, result, strip, None, ("a && b",))], 0
    )
    assert "<script" not in text and "&amp;&amp;" in text and "&&" not in text


def test_an_episode_that_went_differently_when_filmed_says_so(tmp_path):
    strip = tmp_path / "strip.jpg"
    Image.new("RGB", (8, 8)).save(strip)
    result, again = made_result(1, success=False), made_result(1, success=True)
    scores = summarise(["choose_bin"], [result])
    warning = "went differently when it was filmed"
    assert warning in page(made_identity(), scores, [Shown(result, again, strip, None, ())], 0)
    assert warning not in page(made_identity(), scores, [Shown(result, result, strip, None, ())], 0)


@pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
def test_a_browser_shows_the_page_from_the_disk_with_strips_and_films_on_a_phone_too(tmp_path):
    (tmp_path / "gallery").mkdir()
    strip, film = tmp_path / "gallery" / "one of 2.jpg", tmp_path / "gallery" / "one of 2.mp4"
    recorder = Recorder(every=2)
    recorder.heads = recorder.outsides = [np.full((224, 224, 3), 12 * shade, np.uint8) for shade in range(20)]
    recorder.seconds = [0.1 * step for step in range(20)]
    write_strip(recorder, strip)
    write_film(recorder, film)
    results = [made_result(1, success=False, said="a long sentence of a person " * 8), made_result(2, success=True)]
    entries = [Shown(one, one, strip, film, play_commands(Path("models/my tiny"), SETTINGS, one)) for one in results]
    made = tmp_path / "gallery.html"
    made.write_text(page(made_identity(), summarise(["choose_bin"], results), entries, 0), encoding="utf-8")
    assert defects(made, tmp_path / "profile") == []


def test_an_evaluation_leaves_a_page_with_a_strip_and_a_film_of_each_failure(tmp_path):
    config = EvalConfig(
        task="choose_bin",
        episodes=2,
        language=("own",),
        max_s=0.5,
        workers=1,
        checkpoint=_SHIPPED,
        film=None,
    )
    out = tmp_path / "out"
    assert run(replace(config, out=out)) == 0
    text = (out / "gallery.html").read_text()
    strips = re.findall(r"data:image/jpeg;base64,([^\"']+)", text)
    assert text.count("<article") == len(strips) == 2
    for strip in strips:
        with Image.open(io.BytesIO(base64.b64decode(strip))) as picture:
            assert picture.size == (6 * 224, 448), "six moments: every second of ten periods, and the last"
    assert "went differently" not in text
    films = re.findall(r'<video[^>]* src="([^"]+)"', text)
    assert len(films) == 2
    for film in films:
        header = read_header(out / film)
        assert (header.frames, header.fps, header.width, header.height) == (6, 10, 448, 224)
        assert all(half.std() > 15 for half in np.hsplit(read_frames(out / film, [5])[0], 2))
    other = out / "gallery" / "mine.txt"
    other.write_text("not of the gallery")
    forget_pictures(out)
    assert list((out / "gallery").iterdir()) == [other] and not (out / "gallery.html").exists()


@pytest.mark.parametrize("kept", [1, 3, 50])
def test_a_strip_has_at_most_eight_moments_and_ends_with_the_last(tmp_path, kept):
    recorder = Recorder(every=1)
    for index in range(kept):
        picture = np.full((224, 224, 3), index, np.uint8)
        recorder.heads.append(picture)
        recorder.outsides.append(picture)
        recorder.seconds.append(0.05 * index)
    write_strip(recorder, tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.size == (224 * min(8, kept), 448)
        assert strip.getpixel((0, 0)) == (0, 0, 0)
        assert strip.getpixel((strip.width - 1, 0)) == (kept - 1,) * 3


def test_each_moment_of_a_strip_says_its_time_inside_its_own_column(tmp_path):
    recorder = Recorder(every=1)
    for second in (0.1, 0.2, 123.4, 123.4):
        recorder.heads.append(np.full((224, 224, 3), 90, np.uint8))
        recorder.outsides.append(np.full((224, 224, 3), 30, np.uint8))
        recorder.seconds.append(second)
    write_strip(recorder, tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as strip:
        columns = np.hsplit(np.asarray(strip), 4)
    written = [column[224:] != 30 for column in columns]
    assert all(np.array_equal(column[:224], recorder.heads[0]) for column in columns), (
        "what the policy saw is left alone"
    )
    assert all(35 < text.any(axis=(0, 2)).sum() < 120 and text.any(axis=(1, 2)).sum() < 30 for text in written)
    assert np.array_equal(written[2], written[3]) and not np.array_equal(written[0], written[1])
    assert written[2].sum() > written[0].sum(), "more figures"


def test_a_film_has_every_picture_kept_the_policys_view_on_the_left_in_real_time(tmp_path):
    recorder = Recorder(every=2)
    for shade in (40, 90, 140):
        recorder.heads.append(np.full((224, 224, 3), shade, np.uint8))
        recorder.outsides.append(np.full((224, 224, 3), 255 - shade, np.uint8))
        recorder.seconds.append(0.1)
    write_film(recorder, tmp_path / "film.mp4")
    assert read_header(tmp_path / "film.mp4").fps == 10, "every second of 20 periods a second"
    left, right = (half.mean(axis=(1, 2, 3)) for half in np.split(read_frames(tmp_path / "film.mp4"), 2, axis=2))
    assert left == pytest.approx([40, 90, 140], abs=3) and right == pytest.approx([215, 165, 115], abs=3)
