# SPDX-License-Identifier: Apache-2.0
"""A page of an episode holds all it shows, at the right times, and is safe to open whatever the sentence says."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from sample_data import HEIGHT, WIDTH, episode_arrays, moving_square, small_robot, square_column

from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_policy.data.writer import LeRobotWriter
from headless_browser import NO_BROWSER
from page_check import defects


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With a page in view/ of an episode in which the waist stands, and the set it is of."""
    tmp_path = tmp_path_factory.mktemp("viewed")
    robot = small_robot()
    states, actions = episode_arrays(robot, 30, 0)
    states[:, 5] = actions[:, 5] = 0.5
    with LeRobotWriter(tmp_path / "set", robot) as writer:
        writer.add_episode(states, actions, {"head": moving_square(30)}, "take the <b>red</b> can & go")
        writer.finish()
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(embodiment_to_dict(robot)))
    options = ["--robot", str(tmp_path / "small.yaml"), "--pictures", "4", "--out", str(tmp_path / "view")]
    assert main(["data", "view", str(tmp_path / "set"), *options]) == 0
    return tmp_path


@pytest.fixture
def page(folder) -> str:
    return (folder / "view" / "set_000000.html").read_text()


def _images(page: str, kind: str) -> list[np.ndarray]:
    found = re.findall(rf'src="data:image/{kind};base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_the_pictures_are_those_of_their_frames(page):
    pictures = _images(page, "jpeg")
    assert re.findall(r"frame (\d+)</figcaption>", page) == ["0", "10", "19", "29"]
    assert {picture.shape for picture in pictures} == {(HEIGHT, WIDTH, 3)}
    expected = [square_column(moving_square(30)[frame]) for frame in (0, 10, 19, 29)]
    assert [square_column(picture) for picture in pictures] == pytest.approx(expected, abs=1)


def test_groups_that_move_have_curves_and_the_others_are_named(page):
    assert re.findall(r'alt="curves of (\w+)"', page) == ["left_arm", "right_arm"]
    assert all(len(np.unique(picture)) > 10 for picture in _images(page, "png"))
    assert "These groups do not move: waist." in page


def test_it_needs_no_other_file_and_shows_the_sentence_as_text(page):
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "take the &lt;b&gt;red&lt;/b&gt; can &amp; go" in page
    assert "<b>" not in page


@pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
def test_a_browser_shows_it_from_the_disk_on_a_phone_too(folder, tmp_path):
    assert defects(folder / "view" / "set_000000.html", tmp_path / "profile") == []


def test_an_episode_whose_rows_are_at_wrong_times_is_shown_and_says_so(folder, tmp_path):
    copy = Path(shutil.copytree(folder / "set", tmp_path / "set"))
    (path,) = copy.glob("data/*/*.parquet")
    table = pq.read_table(path)
    column = table.schema.get_field_index("timestamp")
    slower = pa.array(2 * table["timestamp"].to_numpy(), table.schema.field(column).type)
    pq.write_table(table.set_column(column, "timestamp", slower), path)
    options = ["--robot", str(folder / "small.yaml"), "--pictures", "2", "--out", str(tmp_path / "view")]
    assert main(["data", "view", str(copy), *options]) == 0
    assert "after the one before, timestamps must be" in (tmp_path / "view" / "set_000000.html").read_text()


def test_an_episode_that_is_not_there_is_wrong_use(folder, tmp_path, capsys):
    assert main(["data", "view", str(folder / "set"), "--episodes", "7", "--out", str(tmp_path)]) == 2
    assert "has no episode 7" in capsys.readouterr().err
    assert main(["data", "view", str(folder / "set"), "--pictures", "0"]) == 2
