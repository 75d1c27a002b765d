# SPDX-License-Identifier: Apache-2.0
"""The whole circle, each step by the user's own command: a person with a headset drives, the recorder keeps episodes, they
become a dataset, a checkpoint learns from it, and is evaluated. The person is the scripted one; nothing else is made up."""

import json
from pathlib import Path

import numpy as np
import pytest

from gr00t_bringup.cli import main
from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.model.checkpoint import load_checkpoint

_SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"
_TASK = "pick_named_object"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("circle")


@pytest.fixture(scope="module")
def scenes(place: Path) -> list[dict]:
    """What became of the scenes that were driven; the episodes are in ``place / "episodes"``."""
    where = f"--record {place}/episodes --out {place}/driven --json {place}/driven.json"
    main(f"bench operator --task {_TASK} --scenes 1 --seed 0 --films 1 {where}".split())
    return json.loads((place / "driven.json").read_text())["scenes"]


@pytest.fixture(scope="module")
def dataset(place: Path, scenes: list[dict]) -> Path:
    """Of the episodes in which the task was done."""
    assert main(f"data convert {place}/episodes --out {place}/dataset".split()) == 0
    return place / "dataset"


@pytest.fixture(scope="module")
def checkpoint(place: Path, dataset: Path) -> Path:
    """The shipped one, post-trained for a few steps."""
    words = f"train --recipe posttrain --datasets {dataset} --init {_SHIPPED} --out {place}/run"
    assert main([*words.split(), *["--steps", "2", "--batch", "2", "--threads", "1"]]) == 0
    return place / "run" / "checkpoint"


def test_a_person_with_a_headset_does_the_task_and_each_scene_is_an_episode(place: Path, scenes: list[dict]) -> None:
    assert any(scene["solved"] for scene in scenes), scenes
    notes = [read_metadata(bag)["custom_data"] for bag in sorted((place / "episodes").glob("episode_*"))]
    assert [note["outcome"] for note in notes] == ["success" if scene["solved"] else "failure" for scene in scenes]
    assert [note["instruction"] for note in notes] == [scene["sentence"] for scene in scenes]
    assert {note["operator"] for note in notes} == {"scripted operator"}
    assert (place / "driven" / "films" / f"{_TASK}_0.mp4").stat().st_size > 10_000
    assert main(["inspect", str(place / "episodes" / "episode_0001")]) == 0


def test_the_episodes_become_a_dataset_without_faults(dataset: Path, scenes: list[dict]) -> None:
    told = [json.loads(line) for line in (dataset / "meta" / "episodes.jsonl").read_text().splitlines()]
    done = [scene for scene in scenes if scene["solved"]]
    assert [episode["tasks"] for episode in told] == [[scene["sentence"]] for scene in done]
    assert all(100 < episode["length"] < 20 * (scene["seconds"] + 2) for episode, scene in zip(told, done, strict=True))
    assert main(["data", "check", str(dataset)]) == 0


def test_a_checkpoint_learns_from_it_and_runs_in_the_simulator(place: Path, checkpoint: Path) -> None:
    learnt, shipped = load_checkpoint(checkpoint, "gr1"), load_checkpoint(_SHIPPED, "gr1")
    assert learnt.hash != shipped.hash
    scene = f"eval --task {_TASK} --episodes 1 --language own --max-s 2 --workers 1 --gallery 0 --film None"
    assert (
        main([*scene.split(), *f"--checkpoint {checkpoint} --out {place}/eval --json {place}/eval.json".split()]) == 0
    )
    assert _TASK in json.dumps(json.loads((place / "eval.json").read_text()))


def test_its_chunks_are_compared_with_what_the_person_did(place: Path, dataset: Path, checkpoint: Path) -> None:
    words = f"eval --open-loop {dataset} --checkpoint {checkpoint} --episodes 0 --stride 64 --out {place}/open_loop"
    assert main(words.split()) == 0
    groups = json.loads((place / "open_loop" / "open_loop.json").read_text())["groups"]
    assert {"left_arm", "right_arm", "left_hand", "right_hand"} <= set(groups)


def test_it_is_judged_by_the_bags_themselves(place: Path, scenes: list[dict], checkpoint: Path) -> None:
    number = next(number for number, scene in enumerate(scenes, start=1) if scene["solved"])
    bag = place / "episodes" / f"episode_{number:04d}"
    code = main(f"eval --bag {bag} --checkpoint {checkpoint} --out {place}/by_bag".split())
    found = json.loads((place / "by_bag" / "evaluation.json").read_text())
    severities = {each["severity"] for each in found["verdicts"]}
    assert found["verdicts"], "a checkpoint of two training steps is not fit, and this says how"
    assert found["ok"] == ("error" not in severities)
    assert code == (0 if found["ok"] else 1), "as the help promises"
    assert "units_or_order" not in {each["code"] for each in found["verdicts"]}, (
        "the shipped network still knows the robot"
    )
    moved = [group for group, errors in found["errors"].items() if errors["moving"]]
    assert "all" in moved and any(group.endswith("_arm") for group in moved) and any("hand" in group for group in moved)
    for group in moved:
        errors = found["errors"][group]["policy"]
        by_step = np.array(errors["mae_rad_by_step"])
        assert by_step.shape == (16,) and np.isfinite(by_step).all() and 0 < errors["mae_rad"] < 1.0, (group, errors)
    page = (place / "by_bag" / "report.html").read_text()
    assert "What was played" in page and "video/mp4;base64," in page
