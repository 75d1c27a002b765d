# SPDX-License-Identifier: Apache-2.0
"""A converted folder by the rules that the reference loader of GR00T N1 reads LeRobot v2 folders with, written down anew here.

Nothing of the library looks at the result: JSON and parquet alone, so that writer and reader cannot share a mistake.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sample_bags import SENTENCE, Story, write_bag
from sample_data import small_robot

from gr00t_policy.data.convert_bags import Conversion, convert_bags

ROBOT = small_robot()
STATISTICS = ("mean", "std", "min", "max", "q01", "q99")
WORDS = ("put it left", "put it right")


def _json_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def broken_rules(folder: Path) -> list[str]:
    """What a loader would stumble over."""
    meta, broken = folder / "meta", []
    info, stats, modality = (json.loads((meta / f"{name}.json").read_text()) for name in ("info", "stats", "modality"))
    episodes, tasks = _json_lines(meta / "episodes.jsonl"), _json_lines(meta / "tasks.jsonl")
    features, known = info["features"], {task["task_index"]: task["task"] for task in tasks}

    def rule(holds: object, text: str) -> None:
        broken.extend([] if holds else [text])

    floats = [name for name, feature in features.items() if feature["dtype"].startswith("float")]
    videos = [name for name, feature in features.items() if feature["dtype"] == "video"]
    rule(re.match(r"v2\.\d", info["codebase_version"]), "codebase_version")
    rule(info["total_episodes"] == len(episodes) and info["total_tasks"] == len(tasks), "totals")
    rule(info["total_frames"] == sum(episode["length"] for episode in episodes), "total_frames")
    rule([episode["episode_index"] for episode in episodes] == list(range(len(episodes))), "episode_index")
    rule(sorted(known) == list(range(len(tasks))) and all(known.values()), "tasks.jsonl")
    for name in ("observation.state", "action"):  # those that the loader normalises by
        rule(set(STATISTICS) <= set(stats.get(name, ())), f"stats.json has every number of {name}")
        width = int(np.prod(features[name]["shape"]))
        values = [np.ravel(stats[name][key]) for key in STATISTICS if key in stats[name]]
        rule(all(len(value) == width and np.isfinite(value).all() for value in values), f"statistics of {name}")
    for name in videos:  # LeRobot's trainer puts ImageNet's in their place, and stops where there is none
        shapes = {np.shape(stats.get(name, {}).get(key)) for key in STATISTICS}
        rule(shapes == {(3, 1, 1)}, f"statistics of {name}")
    for part, column in (("state", "observation.state"), ("action", "action")):
        spans = sorted((each["start"], each["end"]) for each in modality[part].values())
        rule(
            [0, *(end for _, end in spans)] == [*(start for start, _ in spans), features[column]["shape"][0]],
            f"{part} parts",
        )
    rule({each["original_key"] for each in modality["video"].values()} == set(videos), "modality.json names the videos")
    annotated = {each.get("original_key", f"annotation.{name}") for name, each in modality["annotation"].items()}
    rule({name for name in features if name.startswith("annotation")} == annotated, "annotation columns")
    rows = 0
    for episode in episodes:
        number = episode["episode_index"]
        where = {"episode_chunk": number // info["chunks_size"], "episode_index": number}
        table = pq.read_table(folder / info["data_path"].format(**where))
        columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
        rule(table.num_rows == episode["length"], f"rows of {number}")
        rule(
            set(floats) <= set(columns), f"every float in the parquet of {number}: the loader computes statistics of it"
        )
        rule(set(features) - set(videos) == set(columns), f"columns of {number}")
        rule(np.allclose(columns["timestamp"], np.arange(table.num_rows) / info["fps"], atol=1e-4), "timestamps")
        rule((columns["index"] == rows + np.arange(table.num_rows)).all(), "index")
        rule((columns["frame_index"] == np.arange(table.num_rows)).all(), "frame_index")
        rule((columns["episode_index"] == number).all(), "episode_index of rows")
        for name in (*annotated, "task_index"):
            rule(columns[name].dtype.kind == "i" and set(columns[name].tolist()) <= set(known), f"{name} of {number}")
            rule(
                {known.get(index) for index in columns[name].tolist()} == set(episode["tasks"]), f"sentence of {number}"
            )
        for name in videos:
            rule((folder / info["video_path"].format(video_key=name, **where)).is_file(), f"video {name} of {number}")
        rows += table.num_rows
    return broken


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """Two bags, one of two sentences: three episodes."""
    place = tmp_path_factory.mktemp("converted")
    sentences = tuple((3.0 * number, word) for number, word in enumerate(WORDS))
    bags = [
        write_bag(place / "one", ROBOT, Story(3.0, codec="jpeg")),
        write_bag(place / "two", ROBOT, Story(6.0, sentences=sentences, seed=1)),
    ]
    assert [report.outcome for report in convert_bags(bags, place / "data", Conversion(ROBOT))] == ["converted"] * 2
    return place / "data"


def test_a_converted_folder_keeps_the_loaders_rules(converted):
    assert broken_rules(converted) == []
    assert [task["task"] for task in _json_lines(converted / "meta" / "tasks.jsonl")] == [SENTENCE, *WORDS]


def test_the_rules_see_what_is_wrong(converted, tmp_path):
    """Each of a few faults that loaders stumbled over in other converters' folders."""
    stats, info = (json.loads((converted / "meta" / f"{name}.json").read_text()) for name in ("stats", "info"))
    del stats["action"]["q99"]
    info["features"]["observation.effort"] = {"dtype": "float32", "shape": [3], "names": None}
    folder = shutil.copytree(converted, tmp_path / "folder")
    (folder / "meta" / "stats.json").write_text(json.dumps(stats))
    (folder / "meta" / "info.json").write_text(json.dumps({**info, "total_frames": 1}))
    (folder / "meta" / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": SENTENCE}))
    found = broken_rules(folder)
    assert found[:3] == ["totals", "total_frames", "stats.json has every number of action"]
    assert {"every float in the parquet of 0: the loader computes statistics of it", "task_index of 1"} <= set(found)
