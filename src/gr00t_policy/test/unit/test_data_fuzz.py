# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a meta file, its reader gives a usable value or an error of ours: never a crash, never a hang."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mutated_json import mutated
from sample_data import small_robot, write_sample

from gr00t_policy.core.embodiment import embodiment_from_dict, embodiment_to_dict
from gr00t_policy.core.errors import CheckpointError, ConfigError, DatasetError, EmbodimentError, Gr00tError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.dataset_statistics import published_statistics, statistics_of
from gr00t_policy.data.statistics import load_metadata, save_metadata
from gr00t_policy.data.transforms import StateActionTransform

COUNT = 2000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sets") / "set", [0])


def outcomes(path: Path, intact: str, seed: int, read: Callable[[], object], count: int = COUNT) -> Counter[str]:
    """Read damaged copies of a file. Another error than ours ends the test."""
    found: Counter[str] = Counter()
    with path.open("r+b", buffering=0) as file:  # in place: some file systems take milliseconds to replace a file
        for content in mutated(intact, count, seed):
            file.seek(0)
            file.write(content)
            file.truncate()
            try:
                read()
                found["read"] += 1
            except Gr00tError as error:
                found[type(error).__name__] += 1
    return found


@pytest.mark.parametrize(
    ("name", "count"), [("modality.json", COUNT), ("info.json", 600), ("episodes.jsonl", 600), ("tasks.jsonl", 600)]
)
def test_a_damaged_meta_file_of_a_dataset_gives_only_a_dataset_error(dataset, tmp_path, name, count):
    root = Path(shutil.copytree(dataset, tmp_path / "set"))
    path = root / "meta" / name
    found = outcomes(path, path.read_text(), 1, lambda: LeRobotDataset(root).validate(), count)
    assert set(found) == {"read", "DatasetError"}
    assert found["DatasetError"] > count / 3


def test_damaged_published_statistics_give_only_a_dataset_error(dataset, tmp_path):
    root = Path(shutil.copytree(dataset / "meta", tmp_path / "meta"))
    path = root / "stats.json"
    found = outcomes(path, path.read_text(), 2, lambda: published_statistics(root, "small"), 600)
    assert set(found) == {"read", "DatasetError"}


def test_damaged_metadata_of_a_checkpoint_gives_only_a_checkpoint_error(dataset, tmp_path):
    """What can be read can also be used: it makes a transform, or is refused for this robot."""
    path, robot = tmp_path / "metadata.json", small_robot()
    save_metadata(path, statistics_of([LeRobotDataset(dataset)], "small"))

    def read() -> None:
        statistics = load_metadata(path, "small", robot.policy_groups)
        try:
            transform = StateActionTransform(robot, statistics, 64, 32)
        except ConfigError as error:
            raise CheckpointError(str(error)) from error
        with np.errstate(all="ignore"):
            assert transform.encode_state(np.zeros(6, np.float32)).shape == (1, 64)

    found = outcomes(path, path.read_text(), 3, read)
    assert set(found) == {"read", "CheckpointError"}
    assert found["CheckpointError"] > COUNT / 3


def test_a_damaged_embodiment_gives_only_an_embodiment_error():
    text = json.dumps(embodiment_to_dict(small_robot({"wrist": 4}, action_encodings={}, tag="other")))
    found: Counter[str] = Counter()
    for content in mutated(text, COUNT, seed=4):
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            continue
        try:
            embodiment_from_dict(data)
            found["read"] += 1
        except EmbodimentError:
            found["EmbodimentError"] += 1
    assert found["EmbodimentError"] > COUNT / 4


def test_a_dataset_that_is_a_file_or_whose_meta_file_is_a_folder_is_refused(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    root = Path(shutil.copytree(dataset, tmp_path / "set"))
    (root / "meta" / "modality.json").unlink()
    (root / "meta" / "modality.json").mkdir()
    for given in (tmp_path / "file", root):
        with pytest.raises(DatasetError, match=r"(info|modality)\.json cannot be read"):
            LeRobotDataset(given)
