# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval --bag``: the shipped checkpoint on a bag, report and JSON, exit codes, and one clear line for every bad input."""

import base64
import io
import json
import re
from contextlib import redirect_stdout
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from sample_bags import cut_short
from sample_world import ROBOT, ClockPolicy, Work, write_work

from gr00t_bringup.bag_evaluation.aligned import align
from gr00t_bringup.bag_evaluation.hand_paths import HandPaths
from gr00t_bringup.bag_evaluation.judge import as_data, judge
from gr00t_bringup.bag_evaluation.page import report_page
from gr00t_bringup.bag_evaluation.prediction_film import FPS, film_predictions
from gr00t_bringup.bag_evaluation.recorded_run import open_run
from gr00t_bringup.bag_evaluation.replay import ReplaySettings, replay
from gr00t_bringup.bag_evaluation.token_latency import TokenLatency
from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.convert_source import TopicNames
from headless_browser import NO_BROWSER
from page_check import defects

GR1 = load_embodiment("gr1")
SHORT = Work(seconds=1.6, robot=GR1)


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_work(tmp_path_factory.mktemp("work") / "bag", SHORT)


def left_open(page: str) -> list[str]:
    """Tags that are not closed, or not in order."""
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                tags.append(tag)

        def handle_endtag(self, tag):
            if tags and tags[-1] == tag:
                tags.pop()
            else:
                tags.append(f"/{tag}")

    Reader().feed(page)
    return tags


def asked(capsys, *options: str) -> tuple[int, str]:
    """(exit code, what was said as an error) of the command."""
    code = main(["eval", "--bag", *options])
    return code, capsys.readouterr().err


@pytest.fixture(scope="module")
def judged(bag, tmp_path_factory) -> tuple[int, Path, str]:
    """(exit code, folder, what was said) of the command."""
    out, said = tmp_path_factory.mktemp("judged") / "out", io.StringIO()
    with redirect_stdout(said):
        code = main(
            ["eval", "--bag", str(bag), "--out", str(out), "--control-hz", "60", "--probes", "4", "--latency", "zero"]
        )
    return code, out, said.getvalue()


@pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
def test_a_browser_shows_the_report_from_the_disk_and_plays_its_film_on_a_phone_too(judged, tmp_path):
    assert defects(judged[1] / "report.html", tmp_path / "profile") == []


def test_the_shipped_checkpoint_is_judged_and_the_report_needs_no_other_file(judged):
    code, out, said = judged
    result = json.loads((out / "evaluation.json").read_text())
    assert code == (0 if result["ok"] else 1)
    assert {"units_or_order"} & {each["code"] for each in result["verdicts"]} == set()
    assert all(each["sentence"] in said for each in result["verdicts"])
    assert result["bags"][0]["compared_with"] == "commands"
    assert len(result["errors"]["right_arm"]["policy"]["mae_rad_by_step"]) == 16
    page = (out / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert left_open(page) == []
    assert all(each["severity"] in page for each in result["verdicts"])
    film = base64.b64decode(re.findall(r'video/mp4;base64,([^"]+)"', page)[0])
    with av.open(io.BytesIO(film)) as video:
        assert video.streams.video[0].codec_context.name == "h264"
    assert sorted(file.name for file in out.iterdir()) == ["evaluation.json", "report.html"]


def test_a_bag_in_which_nothing_moves_has_a_report_too(tmp_path):
    work = Work(seconds=1.5, later_s=-1.0, later=np.zeros_like)
    run = open_run(write_work(tmp_path / "bag", work), ROBOT, TopicNames())
    judgement = judge([run], ClockPolicy(holds=True), TokenLatency((), "zero"), ReplaySettings(probes=2))
    about = {"checkpoint": "some/checkpoint", "checkpoint_hash": "0" * 64, "embodiment": "small"}
    page = report_page(judgement, {**about, **as_data(judgement)})
    assert "no joint was moved" in page
    assert left_open(page) == []


def test_a_robot_whose_camera_pose_is_unknown_is_filmed_beside_its_joints(tmp_path):
    run = open_run(write_work(tmp_path / "bag", Work(seconds=2.0)), ROBOT, TopicNames())
    aligned = align(run, replay(run, ClockPolicy(), TokenLatency((), "zero")))
    assert HandPaths.of(ROBOT) is None
    frames = film_predictions(run, aligned, tmp_path / "film.mp4")
    assert frames == pytest.approx(2.0 * FPS, abs=3)
    with av.open(str(tmp_path / "film.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == frames
    assert np.abs(shown[0].astype(int) - shown[-1]).max() > 60


def test_hands_of_mirrored_poses_appear_mirrored():
    paths = HandPaths.of(GR1)
    home = np.array([GR1.home.get(name, 0.0) for name in GR1.policy_joint_names])
    at_home = paths.in_picture(home, home[None])
    left, right = at_home["left"][0], at_home["right"][0]
    assert left[0] < 0.5 < right[0]
    assert left == pytest.approx([1 - right[0], right[1]], abs=0.01)
    raised = home.copy()
    raised[GR1.policy_joint_names.index("right_shoulder_yaw_joint")] += 0.4
    moved = paths.in_picture(home, raised[None])
    assert moved["left"][0] == pytest.approx(left)
    assert np.abs(moved["right"][0] - right).max() > 0.02


def test_a_bag_without_camera_joint_states_or_sentence_is_refused_by_name(tmp_path, capsys):
    for changes, said in (
        ({"camera": False}, "no topic /camera/ego_view/image_raw"),
        ({"states": False}, "no topic /joint_states"),
        ({"sentence": ""}, "--sentence"),
    ):
        folder = write_work(tmp_path / f"bag_{said[-5:].strip('/-')}", replace(SHORT, seconds=1.2, **changes))
        code, error = asked(capsys, str(folder))
        assert code == 2
        assert said in error
        assert error.count("\n") == 1


def test_a_bag_that_was_cut_off_names_the_remedy(tmp_path, capsys):
    folder = write_work(tmp_path / "bag", replace(SHORT, seconds=1.2))
    cut_short(folder, 0.6)
    code, error = asked(capsys, str(folder))
    assert code == 2
    assert "gr00t bag recover" in error


def test_a_bag_of_another_robot_is_refused_with_the_joints_that_are_missing(tmp_path, capsys):
    robot = replace(ROBOT, cameras=GR1.cameras)
    folder = write_work(tmp_path / "bag", replace(SHORT, seconds=1.2, robot=robot))
    code, error = asked(capsys, str(folder))
    assert code == 2
    assert "none of its 120 messages fits robot 'gr1'" in error
    assert "left_shoulder_pitch_joint" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--checkpoint", "no/such/folder"], "no/such/folder"),
        (["--latency", "soon"], "constant:SECONDS"),
        (["--latency", "measured"], "no bag has conditioning_tokens"),
        (["--embodiment", "h1"], "h1"),
        (["--probes", "1"], "at least 2"),
        (["--control-hz", "1"], "control_hz"),
        (["--engine", "jax"], "jax"),
    ],
)
def test_a_wrong_option_is_one_line(bag, capsys, options, said):
    code, error = asked(capsys, str(bag), *options)
    assert code == 2
    assert said in error


def test_a_path_without_a_bag_is_one_line(tmp_path, capsys):
    code, error = asked(capsys, str(tmp_path))
    assert code == 2
    assert "no bag" in error
