# SPDX-License-Identifier: Apache-2.0
"""Runs the tests in three layers and prints one table; used by ``make test``.

unit: no ROS, one pytest for all packages, in as many processes as there are cores. node: real rclpy and DDS, one pytest per
package, so that no participant of one package is left over in the next. system: processes over DDS. All layers run even when
one fails; a run that outlasts the budget is ended and counts as a failure. Exit code 0 only when every test passed.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"unit": 120, "node": 180, "system": 600}  # seconds for one test: a busy machine needs several times the usual
GROUP_S = {"unit": 1200, "node": 400, "system": 1000}  # for one pytest: one that hangs must not take the others' time
RESULTS = ROOT / "out" / "test"
# Tests without ROS share nothing but the machine; those of one file share what they set up. A process takes 2 GB.
SPREAD = {"unit": ("--numprocesses", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile")}


@dataclass(frozen=True)
class Group:
    """Folders that one pytest runs."""

    layer: str
    name: str
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Outcome:
    """What one pytest said, and how long it took."""

    group: Group
    passed: int
    failed: int
    skipped: int
    seconds: float
    exit_code: int

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.failed == 0


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


def run(group: Group, budget_s: float, extra: list[str]) -> Outcome:
    """Run one pytest; end it when its time or the budget is used up, and let it say first where it stands."""
    report = RESULTS / f"{group.layer}-{group.name.replace(' ', '-')}.xml"
    command = [sys.executable, "-m", "pytest", *map(str, group.folders), f"--timeout={LAYERS[group.layer]}"]
    command += [*SPREAD.get(group.layer, ()), f"--junit-xml={report}", "--durations=5", *extra]
    print(f"\n=== {group.layer}: {group.name} ===", flush=True)
    report.unlink(missing_ok=True)
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        exit_code = process.wait(timeout=max(min(budget_s, GROUP_S[group.layer]), 1.0))
    except subprocess.TimeoutExpired:
        print(f"!!! the time is up during {group.layer}: {group.name}; its threads stand here:", flush=True)
        process.send_signal(signal.SIGABRT)  # pytest's faulthandler prints the stacks
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        exit_code = 124
    finally:
        end_group(process)
    return outcome(group, report, time.monotonic() - start, exit_code)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Nothing that a test started outlives it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def outcome(group: Group, report: Path, seconds: float, exit_code: int) -> Outcome:
    if not report.is_file():
        return Outcome(group, 0, 0, 0, seconds, exit_code or 1)
    suite = ElementTree.parse(report).getroot()[0]
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    return Outcome(group, count["tests"] - failed - count["skipped"], failed, count["skipped"], seconds, exit_code)


def table(outcomes: list[Outcome]) -> str:
    lines = [f"{'layer':8}{'tests of':20}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    for one in outcomes:
        mark = (
            ""
            if one.ok
            else "  <-- " + ("out of time" if one.exit_code == 124 else f"pytest ended with {one.exit_code}")
        )
        lines.append(
            f"{one.group.layer:8}{one.group.name:20}{one.passed:8}{one.failed:8}{one.skipped:9}{one.seconds:9.1f}{mark}"
        )
    total = [sum(getattr(one, key) for one in outcomes) for key in ("passed", "failed", "skipped", "seconds")]
    return "\n".join([*lines, f"{'all':28}{total[0]:8}{total[1]:8}{total[2]:9}{total[3]:9.1f}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", action="append", choices=list(LAYERS), help="only this layer; may be given twice")
    parser.add_argument("--budget-s", type=float, default=1800.0, help="seconds for everything")
    options, extra = parser.parse_known_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.budget_s
    outcomes = [run(group, end - time.monotonic(), extra) for group in groups(options.layer or list(LAYERS))]
    print("\n" + table(outcomes), flush=True)
    return 0 if outcomes and all(one.ok for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
