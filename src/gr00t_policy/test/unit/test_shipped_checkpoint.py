# SPDX-License-Identifier: Apache-2.0
"""The checkpoint in ``models/``: small enough for a repository, in half precision, with a card that says where it is from."""

import json
import math
from pathlib import Path

import pytest
from safetensors import safe_open

FOLDER = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"
CARD = json.loads((FOLDER / "training_card.json").read_text())


def test_the_whole_folder_stays_below_sixty_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 60e6


def test_every_weight_is_stored_in_bfloat16_and_none_is_left_out_of_the_count():
    with safe_open(FOLDER / "model.safetensors", framework="np") as weights:
        slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118 (no mapping)
        assert {part.get_dtype() for part in slices.values()} == {"BF16"}
        assert sum(math.prod(part.get_shape()) for part in slices.values()) == CARD["parameters"]
    assert 5e6 < CARD["parameters"] < 30e6, "the size that 'tiny' is meant to have"


def test_the_card_says_on_what_data_for_how_long_and_on_what_it_was_trained():
    assert len({dataset["name"] for dataset in CARD["datasets"]}) == len(CARD["datasets"]) > 1
    assert all(dataset["episodes"] > 0 and dataset["frames"] > dataset["episodes"] for dataset in CARD["datasets"])
    rounds = [*CARD["before"], CARD]
    assert all(each["steps"] == sum(stage["steps"] for stage in each["stages"].values()) for each in rounds)
    assert all(each["minutes"] > 0 and each["threads"] > 0 for each in rounds)
    assert CARD["device"] in ("cpu", "cuda") and CARD["recipe"] == "tiny"


def test_the_card_has_a_score_for_every_task_it_was_trained_on_over_a_hundred_unseen_scenes():
    trained = {dataset["name"].partition("_round_")[0] for dataset in CARD["datasets"]}
    assert set(CARD["scores"]) == trained
    assert CARD["evaluation"]["episodes"] >= 100
    assert CARD["evaluation"]["seed"] + CARD["evaluation"]["episodes"] <= 100_000, "demonstrations begin there"
    for score in CARD["scores"].values():
        low, high = score["wilson95"]
        assert score["episodes"] == CARD["evaluation"]["episodes"]
        assert score["success_rate"] == score["successes"] / score["episodes"]
        assert 0 <= low <= score["success_rate"] <= high <= 1
    rates = [score["success_rate"] for score in CARD["scores"].values()]
    assert CARD["average_success"] == pytest.approx(sum(rates) / len(rates))


@pytest.mark.parametrize(("task", "least"), [("pick_named_object", 0.8), ("choose_bin", 0.7)])
def test_the_two_tasks_of_the_demo_are_scored_as_well_as_the_suite_asks(task, least):
    assert CARD["scores"][task]["success_rate"] >= least
