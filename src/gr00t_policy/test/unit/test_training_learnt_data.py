# SPDX-License-Identifier: Apache-2.0
"""What a training card says of a dataset is found again where it was copied or renamed to, and not mistaken for another's."""

import json
import shutil
from pathlib import Path

import pytest
from sample_data import write_sample

from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.training.learnt_data import held_out_of, learnt_entry


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("a") / "data", [0, 1, 2])


def through_json(*entries: dict) -> dict:
    """A card as it is read back."""
    return json.loads(json.dumps({"recipe": "any", "datasets": entries}))


def test_a_dataset_is_known_again_wherever_it_was_copied_to_and_whatever_it_is_called(
    root: Path, tmp_path: Path
) -> None:
    card = through_json(learnt_entry(LeRobotDataset(root), [1], "mine"))
    copied = LeRobotDataset(Path(shutil.copytree(root, tmp_path / "elsewhere" / "renamed")), groups=["waist"])
    assert held_out_of(card, copied, (1,)) == (True, "fingerprint")
    assert held_out_of(card, copied, (0, 1)) == (False, "fingerprint")


def test_another_dataset_of_the_same_name_is_not_taken_for_it(root: Path, tmp_path: Path) -> None:
    card = through_json(learnt_entry(LeRobotDataset(root), [1]))
    assert card["datasets"][0]["name"] == "data"
    others = {
        "other seeds": write_sample(tmp_path / "seeds" / "data", [3, 4, 5]),
        "other sentences": write_sample(tmp_path / "tasks" / "data", [0, 1, 2], ["sort", "sort", "stack"]),
        "one episode more": write_sample(tmp_path / "more" / "data", [0, 1, 2, 3]),
    }
    for what, other in others.items():
        assert held_out_of(card, LeRobotDataset(other), (1,)) == (None, None), what


def test_what_any_of_several_entries_learnt_from_was_learnt_from(root: Path) -> None:
    dataset = LeRobotDataset(root)
    card = through_json(learnt_entry(dataset, [1, 2]), learnt_entry(dataset, [2], "again"))
    assert held_out_of(card, dataset, (2,)) == (True, "fingerprint")
    assert held_out_of(card, dataset, (1,)) == (False, "fingerprint")


@pytest.mark.parametrize(
    "card",
    [
        {"dataset": "data", "episodes": [0, 2], "held_out": [1]},  # as fine-tuning wrote it
        {"datasets": [{"name": "other"}, {"name": "data", "episodes": 2, "held_out": [1]}]},  # as recipes on mixtures
    ],
)
def test_cards_from_before_there_were_fingerprints_are_a_guess_by_the_name(
    root: Path, tmp_path: Path, card: dict
) -> None:
    assert held_out_of(card, LeRobotDataset(root), (1,)) == (True, "name")
    assert held_out_of(card, LeRobotDataset(root), (0,)) == (False, "name")
    renamed = LeRobotDataset(Path(shutil.copytree(root, tmp_path / "renamed")))
    assert held_out_of(card, renamed, (1,)) == (None, None)


def test_an_old_card_that_holds_nothing_out_learnt_from_all(root: Path) -> None:
    card = {"datasets": [{"name": "data", "episodes": 3, "frames": 39}]}
    assert held_out_of(card, LeRobotDataset(root), (0,)) == (False, "name")


@pytest.mark.parametrize("card", [{}, {"datasets": None}, {"datasets": ["data"]}, {"score": 0.9}])
def test_a_card_that_says_nothing_says_nothing(root: Path, card: dict) -> None:
    assert held_out_of(card, LeRobotDataset(root), (0,)) == (None, None)
