# SPDX-License-Identifier: Apache-2.0
"""What ``make test`` runs: one table of all layers, what outlasts its time, memory of whole trees of processes, warnings."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from workspace import ROOT

_HUNDRED_MB = "import time; kept = bytearray(100 * 2**20); print('ready', flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tests", ROOT / "setup" / "run_tests.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def good(runner: ModuleType):
    """An outcome as one wishes it."""
    return runner.Outcome(runner.Group("node", "gr00t_sim", ()), 12, 0, 1, 300.0, 0, 2.5)


def test_memory_is_that_of_a_process_and_of_all_below_it(runner: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "MEMORY_PERIOD_S", 0.05)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_HUNDRED_MB!r}])"
    with (
        subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process,
        runner.MemoryWatch(process.pid) as memory,
    ):
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        (child,) = runner.psutil.Process(process.pid).children()
        child.kill()
        process.wait(timeout=10)
    assert 0.1 < memory.peak_gb < 0.25
    assert runner.memory_bytes(process.pid) == 0, "it has ended"


def test_a_pytest_is_counted_timed_and_weighed(runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(runner, "MEMORY_PERIOD_S", 0.05)  # it lasts no longer than one usual look
    (tmp_path / "results").mkdir()
    (tmp_path / "test_two.py").write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    found = runner.run(runner.Group("node", "made", (tmp_path,)), 60.0, ["-p", "no:cacheprovider", "-q"])
    assert (found.passed, found.failed, found.skipped, found.exit_code) == (1, 1, 0, 1)
    assert not found.ok
    assert 0.001 < found.peak_gb < 1.0 and 0.1 < found.seconds < 60.0


def test_a_pytest_that_outlasts_its_time_is_ended_and_failed(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
    (tmp_path / "test_slow.py").write_text("import time\ndef test_slow(): time.sleep(60)\n")
    began_s = time.monotonic()
    found = runner.run(runner.Group("node", "made", (tmp_path,)), 0.0, ["-p", "no:cacheprovider", "-q"])
    assert (found.exit_code, found.ok) == (124, False)
    assert time.monotonic() - began_s < 30


def test_the_table_has_each_part_the_time_of_all_and_the_highest_memory(runner: ModuleType, good):
    failed = replace(good, group=runner.Group("system", "gr00t_bringup", ()), exit_code=124, peak_gb=1.25)
    lines = runner.table([good, failed], 450.0).splitlines()
    assert lines[1].split() == ["node", "gr00t_sim", "12", "0", "1", "300.0", "2.50"]
    assert lines[2].split()[-4:] == ["<--", "out", "of", "time"] and "1.25" in lines[2]
    assert lines[3].split() == ["all", "24", "0", "2", "450.0", "2.50"]


def test_more_than_twenty_minutes_or_six_gigabytes_are_told_with_who_took_most(runner: ModuleType, good):
    assert runner.warnings([], 0.0) == runner.warnings([good] * 4, 1200.0) == []
    slow = replace(good, group=runner.Group("unit", "all packages", ()), seconds=1000.0)
    (said,) = runner.warnings([good, slow], 1300.0)
    assert "21.7 min; wanted: 20" in said and "unit, all packages: 16.7 min" in said
    (said,) = runner.warnings([good, replace(slow, seconds=1.0, peak_gb=6.2)], 301.0)
    assert said.startswith("unit, all packages: 6.2 GB") and "at most 6" in said


_FAILS_AT_FIRST = """
import pathlib
def test_good(): pass
def test_now_and_then():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    before = seen.exists()
    seen.touch()
    assert before
"""


@pytest.mark.parametrize(("layer", "failed", "again"), [("node", 0, 1), ("unit", 1, 0)])
def test_a_test_of_nodes_that_fails_runs_once_more_and_is_named(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str, failed: int, again: int
):
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "SPREAD", {})
    folder = tmp_path / "src" / "made" / "test" / layer
    folder.mkdir(parents=True)
    (folder / "test_two.py").write_text(_FAILS_AT_FIRST)
    (found,) = runner.run_layer(layer, time.monotonic() + 60.0, ["--import-mode=importlib", "-q"])
    assert (found.failed, len(found.again), found.ok) == (failed, again, not failed)
    assert found.passed == 1 + again
    said = runner.warnings([found], 1.0)
    assert said == [] if layer == "unit" else "test_two.py::test_now_and_then; what failed is above" in said[0]


_DIES_AT_FIRST = """
import os, pathlib
def test_good(): pass
def test_that_may_end_all():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    if not seen.exists():
        seen.touch()
        os.abort()
def test_after(): pass
"""


def test_when_a_process_dies_in_a_test_of_the_unit_layer_all_of_it_runs_once_more(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    folder = tmp_path / "src" / "made" / "test" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_dies.py").write_text(_DIES_AT_FIRST)
    (folder / "test_other.py").write_text("def test_good(): pass\n")
    (found,) = runner.run_layer("unit", time.monotonic() + 60.0, ["--import-mode=importlib", "-q"])
    assert (found.passed, found.failed, found.ok) == (4, 0, True), "what it left undone was done"
    (said,) = runner.warnings([found], 1.0)
    assert "test_dies.py::test_that_may_end_all; what failed is above" in said


def test_what_fails_twice_or_all_over_stays_failed(
    runner: ModuleType, good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    folder = tmp_path / "src" / "made" / "test" / "node"
    folder.mkdir(parents=True)
    (folder / "test_two.py").write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    (found,) = runner.run_layer("node", time.monotonic() + 60.0, ["--import-mode=importlib", "-q"])
    assert (found.passed, found.failed, found.again, found.ok) == (1, 1, (), False)
    few = replace(good, failed=3, exit_code=1, broken=("a", "b", "c"))
    assert runner.may_run_again(few)
    for other in (
        replace(few, failed=4, broken=("a", "b", "c", "d")),
        replace(few, exit_code=runner.OUT_OF_TIME),
        replace(few, exit_code=2),
        good,
    ):
        assert not runner.may_run_again(other)


def test_what_a_test_left_running_is_ended_and_named(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    (tmp_path / "test_leak.py").write_text(
        "import subprocess\ndef test_leak(): subprocess.Popen(['sleep', '59.5'], start_new_session=True)\n"
    )
    found = runner.run(runner.Group("system", "made", (tmp_path,)), 60.0, ["-p", "no:cacheprovider", "-q"])
    assert found.ok
    assert "a test left this running: sleep 59.5" in capsys.readouterr().out
    running = [process.info["cmdline"] for process in runner.psutil.process_iter(["cmdline"])]  # None: a zombie
    assert ["sleep", "59.5"] not in running
