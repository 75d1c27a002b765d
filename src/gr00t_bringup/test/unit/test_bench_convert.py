# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench convert``: its bag is the rated load with real pictures, its figures are of that bag. No speed is asserted."""

import json

import numpy as np
import pytest
from PIL import Image

from gr00t_bringup.bench.rated_bag import CAMERAS, HEIGHT, WIDTH, rated_robot, scene_pictures, write_rated_bag
from gr00t_bringup.cli import main
from gr00t_policy.data.bag import read_bag
from gr00t_policy.data.bag_reading import bag_contents


def test_figures_are_of_the_bag_and_the_exit_code_says_whether_the_goal_is_reached(tmp_path):
    out, told = tmp_path / "bench", tmp_path / "figures.json"
    code = main(["bench", "convert", "--seconds", "2", "--out", str(out), "--json", str(told), "--keep"])
    figures = json.loads(told.read_text())
    assert figures["rows"] == pytest.approx(40, abs=3) and figures["recorded_s"] == pytest.approx(figures["rows"] / 20)
    assert figures["times_real_time"] == pytest.approx(figures["recorded_s"] / figures["processor_s"])
    assert code == (0 if figures["reached"] else 1) and figures["reached"] == (figures["times_real_time"] >= 5)
    contents = bag_contents(out / "rated_bag")
    rates = {name: count / 2.0 for name, count in contents.counts.items()}
    assert sorted(rates.values()) == [0.5, 10.0, 30.0, 30.0, *[120.0] * 5], "the load of `gr00t bench record`"


def test_its_pictures_are_jpegs_as_large_as_those_of_a_room_and_no_two_are_alike(tmp_path):
    bag = write_rated_bag(tmp_path / "bag", rated_robot(), 0.2)
    sizes = [len(message.cdr) for message in read_bag(bag, [f"/camera/{CAMERAS[0]}/image_raw/compressed"])]
    assert all(40_000 < size < 70_000 for size in sizes)
    first, second = list(scene_pictures(2, 0))
    assert first.shape == (HEIGHT, WIDTH, 3) and 3 < np.abs(first.astype(int) - second).mean() * 2 < 20
    assert Image.fromarray(first).convert("L").entropy() > 6
