# SPDX-License-Identifier: Apache-2.0
"""Runs the tests in three layers and prints one table; used by ``make test``.

unit: no ROS, one pytest for all packages, in as many processes as there are cores. node: real rclpy and DDS, one pytest per
package, so that no participant of one package is left over in the next; two packages at a time, on domains of their own,
since these tests mostly wait. system: processes over DDS. All layers run even when one fails; a run that outlasts the budget
is ended and counts as a failure.

Tests of nodes keep real time, which a machine that is shared with others may not: a few that fail run once more, alone, and
are named at the end if they pass then. So does the unit layer, all of it, when one of its processes died, and the test that
it died in is named. Exit code 0 only when every test passed. The table has the most memory that all
processes of a layer had at one moment; a run that took more time or memory than wanted, and processes that a test left
running, are told.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"unit": 120, "node": 180, "system": 600}  # seconds for one test: a busy machine needs several times the usual
GROUP_S = {"unit": 1200, "node": 400, "system": 1000}  # for one pytest: one that hangs must not take the others' time
# What everything may take on two cores. The limits above are higher, so that a busy machine finishes and says how long it took.
WANTED_S, WANTED_GB = 1200, 6.0
MEMORY_PERIOD_S = 3.0  # looking takes some 10 ms of a process with torch
RESULTS = ROOT / "out" / "test"
OUT_OF_TIME = 124  # exit code, as of timeout(1)
# Tests without ROS share nothing but the machine; those of one file share what they set up. A process takes 2 GB. One that
# dies ends the run, for its successor would wait for work for ever (pytest-xdist 3.8, its issue 1378).
SPREAD = {
    "unit": ("--numprocesses", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile", "--max-worker-restart", "0")
}
AT_ONCE = {"node": 2}  # packages of one layer; what they print is shown when each has ended
KEEP_REAL_TIME = ("node", "system")
MOST_AGAIN = 3  # more failures of one package are no accident of the machine
_PROCESS_DIED = "crashed while running"  # as xdist says it
_RUNNING: list[subprocess.Popen[bytes]] = []
RUN_MARK = "GR00T_TEST_RUN"  # in the environment of all that a test starts


@dataclass(frozen=True)
class Group:
    """Folders that one pytest runs."""

    layer: str
    name: str
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Outcome:
    """What one pytest said, how long it took, and the most memory of all its processes at one moment.

    broken: names of the tests that failed. again: of those that failed at first and passed when they ran once more. died:
    whether a process ended in the middle of a test, and left others undone.
    """

    group: Group
    passed: int
    failed: int
    skipped: int
    seconds: float
    exit_code: int
    peak_gb: float
    broken: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    died: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.failed == 0


class MemoryWatch:
    """Looks at a process and all that descend from it, in a thread, from entering to leaving.

    peak_gb: resident memory of all together; of pages that processes share each has its share.
    """

    def __init__(self, pid: int) -> None:
        self.peak_gb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            self.peak_gb = max(self.peak_gb, memory_bytes(self._pid) / 2**30)
            self._over.wait(MEMORY_PERIOD_S)


def memory_bytes(pid: int) -> int:
    """Of a process and its descendants; those that have ended count nothing."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, OSError):
                total += _share_bytes(process.pid)
    return total


def _share_bytes(pid: int) -> int:
    """Resident memory of a process, with its share of the pages that it has in common with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def groups(layers: list[str]) -> list[Group]:
    """All folders with tests, layer by layer."""
    found = []
    for layer in layers:
        folders = sorted([*ROOT.glob(f"tests/{layer}"), *ROOT.glob(f"src/*/test/{layer}")])
        folders = [folder for folder in folders if any(folder.rglob("test_*.py"))]
        if layer == "unit" and folders:
            found.append(Group(layer, "all packages", tuple(folders)))
        else:
            found += [
                Group(
                    layer,
                    folder.relative_to(ROOT).parts[-3 if "src" in str(folder.relative_to(ROOT)) else 0],
                    (folder,),
                )
                for folder in folders
            ]
    return found


def run(
    group: Group, budget_s: float, extra: list[str], tests: tuple[str, ...] = (), *, again: bool = False
) -> Outcome:
    """Run one pytest; end it when its time or the budget is used up, and let it say first where it stands.

    tests: only these of the group. again: it is not the first time.
    """
    name = f"{group.layer}-{group.name.replace(' ', '-')}{'-again' if again else ''}"
    report, shown = RESULTS / f"{name}.xml", RESULTS / f"{name}.log"
    command = [sys.executable, "-m", "pytest", *(tests or map(str, group.folders)), f"--timeout={LAYERS[group.layer]}"]
    command += [*SPREAD.get(group.layer, ()), f"--junit-xml={report}", "--durations=5", *extra]
    title = f"\n=== {group.layer}: {group.name}{', once more' if again else ''} ==="
    aside = AT_ONCE.get(group.layer, 1) > 1
    print(title if not aside else f"{title[1:]} begins", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    start = time.monotonic()
    mark = f"{os.getpid()}-{name}"
    with shown.open("w") if aside else nullcontext() as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, env={**os.environ, RUN_MARK: mark}, stdout=stream, stderr=stream
        )
        _RUNNING.append(process)
        exit_code, peak_gb = _watch(process, max(min(budget_s, GROUP_S[group.layer]), 1.0))
    if aside:
        print(f"{title}\n{shown.read_text(errors='replace')}", flush=True)
    if exit_code == OUT_OF_TIME:
        print(f"!!! the time was up during {group.layer}: {group.name}; where its threads stood is above", flush=True)
    for words in end_marked(mark):
        print(f"!!! a test left this running: {words}", flush=True)
    return outcome(group, report, time.monotonic() - start, exit_code, peak_gb)


def _watch(process: subprocess.Popen[bytes], patience_s: float) -> tuple[int, float]:
    """Exit code, and the most memory [GB]. What takes longer prints where its threads stand, and is ended."""
    memory = MemoryWatch(process.pid)
    try:
        with memory:
            exit_code = process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # pytest's faulthandler prints the stacks
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        exit_code = OUT_OF_TIME
    finally:
        end_group(process)
    return exit_code, memory.peak_gb


def run_layer(layer: str, end_s: float, extra: list[str]) -> list[Outcome]:
    """All packages of a layer; a few failed tests of a layer that keeps real time run once more, alone.

    end_s: when the budget is used up, of the steady clock.
    """
    with ThreadPoolExecutor(AT_ONCE.get(layer, 1)) as lanes:
        try:
            outcomes = list(lanes.map(lambda group: run(group, end_s - time.monotonic(), extra), groups([layer])))
        except BaseException:  # Ctrl-C: no pytest hears it, each has a session of its own
            lanes.shutdown(wait=False, cancel_futures=True)
            for process in _RUNNING:
                end_group(process)
            raise
    return [_once_more(first, end_s, extra) if may_run_again(first) else first for first in outcomes]


def may_run_again(first: Outcome) -> bool:
    """Whether tests failed, but few, and nothing else went wrong; or a process of tests that share nothing died."""
    return first.died or (
        first.group.layer in KEEP_REAL_TIME
        and first.exit_code == 1
        and 0 < first.failed <= MOST_AGAIN
        and len(first.broken) == first.failed
    )


def _once_more(first: Outcome, end_s: float, extra: list[str]) -> Outcome:
    second = run(first.group, end_s - time.monotonic(), extra, () if first.died else first.broken, again=True)
    if first.died:
        return replace(second, seconds=first.seconds + second.seconds, again=() if second.died else first.broken)
    return replace(
        second,
        passed=first.passed + second.passed,
        skipped=first.skipped + second.skipped,
        seconds=first.seconds + second.seconds,
        peak_gb=max(first.peak_gb, second.peak_gb),
        again=tuple(name for name in first.broken if name not in second.broken),
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Nothing that a test started outlives it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def end_marked(mark: str) -> list[str]:
    """End what a test started in a session of its own and left running; returns the command lines."""
    left = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_MARK) == mark:
                left[process] = " ".join(process.cmdline())[:200]
                process.kill()
    psutil.wait_procs(left, timeout=10)
    return list(left.values())


def outcome(group: Group, report: Path, seconds: float, exit_code: int, peak_gb: float) -> Outcome:
    if not report.is_file():
        return Outcome(group, 0, 0, 0, seconds, exit_code or 1, peak_gb)
    suite = ElementTree.parse(report).getroot()[0]
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    broken, died = dict[str, None](), False
    for case in suite.iter("testcase"):
        wrong = [*case.iterfind("failure"), *case.iterfind("error")]
        if wrong:
            broken[f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"] = None
        died = died or any(_PROCESS_DIED in (one.text or "") for one in wrong)
    passed = count["tests"] - failed - count["skipped"]
    return Outcome(group, passed, failed, count["skipped"], seconds, exit_code, peak_gb, tuple(broken), died=died)


def table(outcomes: list[Outcome], seconds: float) -> str:
    """seconds: of everything together, in which some ran at the same time."""
    lines = [f"{'layer':8}{'tests of':20}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}{'peak GB':>9}"]
    for one in outcomes:
        mark = (
            ""
            if one.ok
            else "  <-- " + ("out of time" if one.exit_code == OUT_OF_TIME else f"pytest ended with {one.exit_code}")
        )
        lines.append(
            f"{one.group.layer:8}{one.group.name:20}{one.passed:8}{one.failed:8}{one.skipped:9}"
            f"{one.seconds:9.1f}{one.peak_gb:9.2f}{mark}"
        )
    total = [*(sum(getattr(one, key) for one in outcomes) for key in ("passed", "failed", "skipped")), seconds]
    peak_gb = max((one.peak_gb for one in outcomes), default=0.0)
    return "\n".join([*lines, f"{'all':28}{total[0]:8}{total[1]:8}{total[2]:9}{total[3]:9.1f}{peak_gb:9.2f}"])


def warnings(outcomes: list[Outcome], seconds: float) -> list[str]:
    """What was not as it is wanted on two idle cores, although it is no failure."""
    if not outcomes:
        return []
    slowest, largest = (max(outcomes, key=key) for key in (lambda one: one.seconds, lambda one: one.peak_gb))
    said = []
    if seconds > WANTED_S:
        share = f"{slowest.group.layer}, {slowest.group.name}: {slowest.seconds / 60:.1f} min"
        said.append(
            f"the tests took {seconds / 60:.1f} min; wanted: {WANTED_S / 60:.0f}, with set-up. Most of it: {share}"
        )
    if largest.peak_gb > WANTED_GB:
        where = f"{largest.group.layer}, {largest.group.name}"
        said.append(f"{where}: {largest.peak_gb:.1f} GB of memory at one moment; wanted: at most {WANTED_GB:g}")
    again = [name for one in outcomes for name in one.again]
    if again:
        said.append(f"failed at first, and passed when run again: {', '.join(again)}; what failed is above")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", action="append", choices=list(LAYERS), help="only this layer; may be given twice")
    parser.add_argument("--budget-s", type=float, default=3000.0, help="seconds for everything")
    options, extra = parser.parse_known_args()
    start = time.monotonic()
    end = start + options.budget_s
    outcomes = [one for layer in options.layer or list(LAYERS) for one in run_layer(layer, end, extra)]
    seconds = time.monotonic() - start
    print("\n" + table(outcomes, seconds), flush=True)
    for said in warnings(outcomes, seconds):
        print(f"!!! {said}", flush=True)
    return 0 if outcomes and all(one.ok for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
