# SPDX-License-Identifier: Apache-2.0
"""Inspecting a folder as NVIDIA releases it: each difference to a robot by name, a tokenizer that is not there is no damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from released_folder import edit_json, write_release_folder
from safetensors.torch import load_file, save_file

from gr00t_bringup.cli import main
from gr00t_bringup.health.checkpoint import checkpoint_finding
from gr00t_bringup.inspection.checkpoint_report import checkpoint_report
from gr00t_bringup.inspection.released_differences import beside_the_robot, released_differences
from gr00t_bringup.inspection.robot_differences import shipped_robots
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.model.config import preset
from gr00t_policy.model.release_forms import idle_shapes
from gr00t_policy.model.synthesis import home_statistics, synthesise_release

METADATA = "experiment_cfg/metadata.json"
Entry = dict[str, Any]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the release in ``as_released``."""
    return tmp_path_factory.mktemp("models") / "tokenizer"


@pytest.fixture(scope="module")
def as_released(tokenizer: Path) -> Path:
    """Without a tokenizer in it."""
    folder = write_release_folder(tokenizer.with_name("n1"), dtype="bfloat16", shards=2)
    tokenizer.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (folder / "eagle2_hg_model" / name).rename(tokenizer / name)
    return folder


@pytest.fixture
def changed(as_released: Path, tmp_path: Path) -> Callable[[Callable[[Entry], object]], Path]:
    """The release with another entry for gr1 in its metadata."""

    def change(edit: Callable[[Entry], object]) -> Path:
        folder = Path(shutil.copytree(as_released, tmp_path / "n1"))
        edit_json(folder / METADATA, lambda data: edit(data["gr1"]))
        return folder

    return change


def found(folder: Path, robot: str = "", *, verify: bool = False) -> dict[str, list[tuple[str, str]]]:
    """severity -> what and detail of each problem."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for problem in checkpoint_report(folder, robot, verify=verify).problems:
        kinds.setdefault(problem.severity, []).append((problem.what, problem.detail))
    return kinds


def video(**values: Any) -> Callable[[Entry], object]:
    return lambda entry: entry["modalities"]["video"]["ego_view"].update(values)


def modality(side: str, group: str, **values: Any) -> Callable[[Entry], object]:
    return lambda entry: entry["modalities"][side][group].update(values)


def without(group: str, *sides: str) -> Callable[[Entry], object]:
    return lambda entry: [entry["statistics"][side].pop(group) for side in sides]


def as_if(group: str, other: str) -> Callable[[Entry], object]:
    """``group`` with the numbers of ``other``."""

    def edit(entry: Entry) -> None:
        for side in ("state", "action"):
            for part in ("statistics", "modalities"):
                entry[part][side][group] = entry[part][side][other]

    return edit


def rename_camera(entry: Entry) -> None:
    entry["modalities"]["video"] = {"front_view": entry["modalities"]["video"]["ego_view"]}


def test_a_release_without_a_tokenizer_is_whole_and_says_how_to_name_one(
    as_released: Path, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    assert main(["inspect", str(as_released), "--json", str(file)]) == 0
    shown, written = capsys.readouterr().out, json.loads(file.read_text())
    assert "fits robot 'gr1', 1 warning" in shown.splitlines()[0]
    (warning,) = [problem for problem in written["problems"] if problem["severity"] == "warning"]
    for word in ("tokenizer:=FOLDER", "--tokenizer", "vocab.json", "merges.txt", "tokenizer_config.json", "SmolLM2"):
        assert word in warning["detail"]
    assert warning["detail"] in shown
    assert (written["weight_slot"], len(written["joints"]), written["ok"]) == (24, 29, True)
    assert main(["inspect", str(as_released), "--tokenizer", str(tokenizer)]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"vocab.json": "{}"}, "merges.txt is missing"),
        ({"vocab.json": "{}", "merges.txt": ""}, "has a vocabulary of 0 tokens"),
        ({"tokenizer.json": "[]"}, "tokenizer.json"),
    ],
)
def test_a_tokenizer_that_is_there_and_wrong_is_damage(
    as_released: Path, tmp_path: Path, files: dict, says: str
) -> None:
    folder = Path(shutil.copytree(as_released, tmp_path / "n1"))
    for name, text in files.items():
        (folder / name).write_text(text)
    problems = found(folder)
    ((what, detail),) = problems["damage"]
    assert what == "tokenizer" and says in detail and "warning" not in problems
    assert main(["inspect", str(folder)]) == 1
    assert checkpoint_finding(folder, "gr1").level == "error"


@pytest.mark.parametrize(
    ("edit", "severity", "what", "detail"),
    [
        (
            video(resolution=[256, 256]),
            "note",
            "camera ego_view",
            "checkpoint 256x256 at 20 Hz, robot publishes 224x224 at 20 Hz; it is resized",
        ),
        (
            video(resolution=[640, 480], fps=30),
            "difference",
            "camera ego_view",
            "checkpoint 640x480 at 30 Hz, robot publishes 224x224 at 20 Hz; it would be distorted",
        ),
        (video(fps=15), "note", "camera ego_view", "checkpoint 224x224 at 15 Hz, robot publishes 224x224 at 20 Hz"),
        (video(fps=15), "difference", "rate_hz", "checkpoint 15, robot 20; motion would play at another speed"),
        (video(channels=1), "difference", "camera ego_view", "checkpoint 1 channels, robot 3"),
        (
            rename_camera,
            "difference",
            "camera ego_view",
            "in the robot's config, not in the checkpoint, which has: front_view",
        ),
        (
            rename_camera,
            "note",
            "camera front_view",
            "in the checkpoint (224x224 at 20 Hz), not in the robot's config",
        ),
        (
            lambda entry: entry["modalities"]["video"].clear(),
            "note",
            "cameras",
            "the checkpoint's metadata names none; they cannot be compared",
        ),
        (
            without("waist", "state", "action"),
            "difference",
            "group waist",
            "in the robot's config (3), not in the checkpoint, which has: left_arm 7, right_arm 7, left_hand 6, right_hand 6",
        ),
        (without("waist", "action"), "difference", "group waist", "checkpoint state 3, action -, robot 3"),
        (as_if("waist", "left_hand"), "difference", "group waist", "checkpoint 6, robot 3"),
        (as_if("left_leg", "left_hand"), "note", "group left_leg", "in the checkpoint (6), not in the robot's config"),
        (
            modality("action", "left_arm", absolute=False),
            "difference",
            "action of group left_arm",
            "checkpoint changes from step to step (absolute false), robot absolute values",
        ),
        (
            modality("state", "waist", rotation_type="axis_angle"),
            "difference",
            "state of group waist",
            "checkpoint rotation axis_angle, robot no rotation",
        ),
        (
            modality("action", "left_hand", continuous=False),
            "difference",
            "action of group left_hand",
            "checkpoint switched values (continuous false), robot mode min_max",
        ),
    ],
)
def test_each_difference_of_the_metadata_is_named(changed, edit, severity: str, what: str, detail: str) -> None:
    folder = changed(edit)
    problems = found(folder)
    assert (what, detail) in problems[severity]
    finding = checkpoint_finding(folder, "gr1")
    assert f"{what}: {detail}" in finding.found or "difference" in problems
    assert finding.level == ("error" if "difference" in problems else "warning")
    assert "damage" not in problems


def test_several_differences_are_named_one_by_one_by_the_doctor_too(changed) -> None:
    def edit(entry: Entry) -> None:
        rename_camera(entry)
        without("waist", "state", "action")(entry)
        as_if("left_hand", "left_arm")(entry)

    found_by_doctor = checkpoint_finding(changed(edit), "gr1").found
    for named in (
        "camera ego_view: in the robot's config",
        "group waist: in the robot's",
        "group left_hand: checkpoint 7",
    ):
        assert named in found_by_doctor


@pytest.mark.parametrize(
    ("robot", "differences", "notes"),
    [
        ("gr1_arms_only", [], ["camera ego_view", "group waist"]),
        ("gr1_arms_waist", [], ["camera ego_view"]),
        ("gr1_full_upper_body", ["camera front_view", "group neck"], ["camera ego_view"]),
    ],
)
def test_a_release_is_compared_with_the_config_that_is_asked_for(as_released, robot, differences, notes) -> None:
    problems = found(as_released, robot)
    assert [what for what, _ in problems.get("difference", [])] == differences
    assert [what for what, _ in problems["note"] if what.startswith(("camera", "group"))] == notes


def test_what_is_alike_is_listed_beside_what_is_not(changed) -> None:
    report = checkpoint_report(changed(video(resolution=[256, 256])), "gr1_arms_only")
    grid = next(grid for grid in report.grids if "metadata" in grid.title)
    assert ("camera ego_view", "256x256 at 20 Hz", "256x256 at 20 Hz", "ok") in grid.rows
    assert ("group left_hand", "6", "6", "ok") in grid.rows
    assert ("group waist", "3", "-", "not in the robot's config") in grid.rows


@pytest.mark.parametrize("name", shipped_robots())
def test_a_robot_differs_in_nothing_from_what_was_recorded_with_it(name: str) -> None:
    robot = load_embodiment(name)
    assert released_differences(home_statistics(robot), robot) == []
    assert {row[-1] for row in beside_the_robot(home_statistics(robot), robot).rows} == {"ok"}


def test_a_tag_that_the_metadata_do_not_have_is_a_difference_with_those_there_are(as_released, tmp_path) -> None:
    folder = Path(shutil.copytree(as_released, tmp_path / "n1"))
    edit_json(folder / METADATA, lambda data: data.update(so100=data.pop("gr1")))
    problems = found(folder)
    says = "the checkpoint's metadata has so100, 'gr1' is 'gr1'; name its robot with --robot"
    assert problems["difference"] == [("embodiment tag", says)]


def test_metadata_that_cannot_be_read_are_damage(changed) -> None:
    (damage,) = found(changed(video(resolution=[256])))["damage"]
    assert "needs a resolution [width, height]" in damage[1]


def test_tensors_that_are_missing_or_not_finite_are_found_when_all_are_read(as_released: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(as_released, tmp_path / "n1"))
    assert main(["inspect", str(folder), "--verify"]) == 0
    index, name = folder / "model.safetensors.index.json", "backbone.linear.bias"
    shard = folder / json.loads(index.read_text())["weight_map"][name]
    tensors = load_file(shard)
    save_file(tensors | {name: torch.full_like(tensors[name], torch.nan)}, shard)
    assert "damage" not in found(folder)
    ((_, detail),) = found(folder, verify=True)["damage"]
    assert f"tensor '{name}' holds NaN or infinity" in detail
    save_file({key: value for key, value in tensors.items() if key != name}, shard)
    edit_json(index, lambda data: data["weight_map"].pop(name))
    ((_, detail),) = found(folder, verify=True)["damage"]
    assert f"1 tensor(s) missing\nmissing: {name} (48,)" in detail
    assert main(["inspect", str(folder), "--verify"]) == 1


def test_tensors_that_a_release_of_n1_5_stores_and_nothing_reads_are_no_damage_there_or_not(tmp_path: Path) -> None:
    folder, config = tmp_path / "n1_5", preset("n1_5_tiny_release")
    synthesise_release(folder, config, load_embodiment("gr1"))
    file, idle = folder / "model.safetensors", idle_shapes(config)
    tensors = load_file(file)
    assert idle.keys() <= tensors.keys()
    assert "damage" not in found(folder, verify=True)
    some = next(iter(idle))
    save_file(tensors | {some: tensors[some][..., :-1].contiguous()}, file)
    ((_, detail),) = found(folder, verify=True)["damage"]
    assert "1 tensor(s) of another shape" in detail and some in detail
    save_file({key: value for key, value in tensors.items() if key not in idle}, file)
    assert "damage" not in found(folder, verify=True)
