# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench load``: of each half its seconds, and its memory as the kernel counts it; weights are held once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from released_folder import write_release_folder

from gr00t_bringup.bench import loaded_half
from gr00t_bringup.bench.load import GOAL_GB, GOAL_S, is_n1_2b, load_goals
from gr00t_bringup.bench.loaded_half import HalfFigures, HalfOptions, measure_half
from gr00t_bringup.cli import EXIT_ERROR, EXIT_OK, main
from gr00t_bringup.inspection.weight_file import CONTROLLER, PLANNER, total, weight_modules
from gr00t_bringup.machine import ProcessMemory
from gr00t_policy.model.config import preset


def options(folder: Path, part: str, dtype: str) -> HalfOptions:
    return HalfOptions(part, folder, "", None, "torch", "int8", dtype, "cpu", 1)


def stored_mb(folder: Path, half: str) -> float:
    return total(weight_modules(folder), half, half).stored_bytes / 2**20


def test_a_half_is_loaded_in_a_process_of_its_own_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = write_release_folder(tmp_path / "release", dtype="bfloat16"), tmp_path / "out.json"
    words = ("--checkpoint", str(folder), "--repeats", "1", "--threads", "1", "--json", str(file))
    assert main(["bench", "load", "--halves", "controller", *words]) == EXIT_OK
    shown, told = capsys.readouterr().out, json.loads(file.read_text())
    assert "controller half" in shown and "goals are for the sizes of GR00T-N1-2B" in shown
    assert told["goals"] == [] and told["machine"]["cpu"] in shown
    [once] = told["halves"].pop("controller")
    assert not told["halves"] and once["engine"] == "torch in bfloat16"
    assert once["seconds"] == pytest.approx(once["imports_s"] + once["facts_s"] + once["network_s"])
    for moment in ("before", "loaded", "used"):
        memory = once[moment]
        assert 50 < memory["now_mb"] <= memory["peak_mb"]
        assert memory["anonymous_mb"] + memory["mapped_mb"] == pytest.approx(memory["now_mb"], rel=0.02)
    assert once["mapped_weights_mb"] > 0 and once["before"]["now_mb"] < once["used"]["peak_mb"]


def test_weights_are_the_pages_of_the_file_and_where_they_are_converted_none_of_them_stays(tmp_path: Path) -> None:
    folder = write_release_folder(tmp_path / "release", dtype="float32")
    figures = measure_half(options(folder, loaded_half.PLANNER, "bfloat16"))
    assert figures.mapped_weights_mb == 0
    kept = measure_half(options(folder, loaded_half.PLANNER, "float32"))
    assert kept.mapped_weights_mb == pytest.approx(stored_mb(folder, PLANNER), abs=0.5)


def half(part: str, seconds: float, peak_gb: float, gpu_gb: float | None = None) -> HalfFigures:
    peak_mb = peak_gb * 1e9 / 2**20
    memory = ProcessMemory(peak_mb, peak_mb, 0.0, peak_mb)
    gpu_mb = None if gpu_gb is None else gpu_gb * 1e9 / 2**20
    return HalfFigures(part, "torch", 1, 0.5, 0.5, seconds - 1, seconds, 0.1, memory, memory, memory, 0.0, 0, gpu_mb)


def test_the_worst_repeat_is_held_against_the_goals() -> None:
    good = {part: [half(part, GOAL_S - 1, GOAL_GB[part] - 0.1)] for part in (PLANNER, CONTROLLER)}
    assert [goal.reached for goal in load_goals(good)] == [True] * 4
    slow = good | {PLANNER: [*good[PLANNER], half(PLANNER, GOAL_S + 1, 1.0)]}
    assert [goal.reached for goal in load_goals(slow)] == [False, True, True, True]
    large = good | {CONTROLLER: [half(CONTROLLER, 1.0, GOAL_GB[CONTROLLER] + 0.1), *good[CONTROLLER]]}
    assert [goal.reached for goal in load_goals(large)] == [True, True, True, False]
    on_gpu = good | {CONTROLLER: [half(CONTROLLER, 1.0, GOAL_GB[CONTROLLER] + 0.1, gpu_gb=1.2)]}
    assert [goal.value for goal in load_goals(on_gpu)][3] == pytest.approx(1.2)


def test_goals_are_for_the_published_sizes_whatever_the_number_of_steps() -> None:
    published = preset("n1_2b")
    assert is_n1_2b(replace(published, head=replace(published.head, steps=16)))
    assert not is_n1_2b(preset("n1_tiny_release")) and not is_n1_2b(preset("tiny"))


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--checkpoint", "nowhere"), "no checkpoint folder nowhere"), (("--repeats", "0"), "repeats must be at least 1")],
)
def test_wrong_use_is_named(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "load", *words]) == EXIT_ERROR
    assert message in capsys.readouterr().err
