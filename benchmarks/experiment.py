# SPDX-License-Identifier: Apache-2.0
"""What the experiments on learning share: arms that are trained and evaluated by the commands a user has, and their table.

Everything is done through ``gr00t``, so each number can be made again by hand from the commands that are printed. A command
that has run is not run again: an experiment that was stopped goes on where it was.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import effort
from gr00t_sim.evaluation.scores import average95
from gr00t_sim.interval import wilson95

Command = tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """How every arm of an experiment is judged."""

    out: Path
    """Folder of data, runs and results."""
    tasks: tuple[str, ...] = ("pick_named_object", "choose_plate", "push_to_zone", "open_drawer")
    """Tasks that are averaged over; one network for all of them."""
    episodes: int = 100
    """Unseen scenes of each task."""
    demonstrations: int = 150
    """Demonstrations of each task that are all of the data."""
    budget: float = 0.25
    """Share of the recipes' training steps."""
    workers: int = 2
    """Processes that generate and evaluate."""
    threads: int = 2
    """Threads that train."""
    bf16: bool = True
    """Train in bfloat16 autocast, every network alike."""

    def train_options(self) -> Command:
        return ("--threads", str(self.threads), *(("--bf16",) if self.bf16 else ()))


@dataclass(frozen=True)
class Arm:
    """One row of an experiment: the commands that make a checkpoint, in order, and how it is evaluated."""

    name: str
    checkpoint: Path
    commands: tuple[Command, ...] = ()
    evaluation: Command = ()


def demonstrations(protocol: Protocol, count: int) -> tuple[list[Command], list[Path]]:
    """Commands that make ``count`` demonstrations of each task, and the folders they leave."""
    folders = [protocol.out / "data" / f"{task}_{count}" for task in protocol.tasks]
    commands: list[Command] = [
        ("sim", "generate", "--task", task, "--episodes", str(count), "--out", str(folder), "--workers", str(protocol.workers))
        for task, folder in zip(protocol.tasks, folders, strict=True)
    ]  # fmt: skip
    return commands, folders


def multiplied(protocol: Protocol, sources: Sequence[Path], count: int) -> tuple[list[Command], list[Path]]:
    """Commands that make ``count`` more demonstrations out of those in each of ``sources``, and the folders they leave."""
    folders = [source.with_name(f"{source.name}_multiplied") for source in sources]
    commands: list[Command] = [
        (
            "sim", "multiply", "--source", str(source), "--count", str(count), "--out", str(folder),
            "--workers", str(protocol.workers),
        )
        for source, folder in zip(sources, folders, strict=True)
    ]  # fmt: skip
    return commands, folders


def run_arms(protocol: Protocol, arms: Sequence[Arm], languages: Sequence[str] = ("own",)) -> dict[str, Any]:
    """Make and evaluate every arm; ``languages`` includes "own". Writes ``results.json``.

    Raises CalledProcessError when a command fails; ``log.txt`` has what it said.
    """
    rows = []
    for arm in arms:
        for command in arm.commands:
            once(protocol.out, command)
        row: dict[str, Any] = {"arm": arm.name, "tasks": _scores(protocol, arm, languages)}
        if taken := effort.trainings(arm.commands, protocol.out):
            row["trainings"] = taken
        rows.append(row)
    return written(protocol, rows)


def joined(name: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several rows of different tasks."""
    row = {"arm": name, "tasks": {task: entry for part in parts for task, entry in part["tasks"].items()}}
    if taken := effort.together(part.get("trainings", ()) for part in parts):
        row["trainings"] = taken
    return row


def written(protocol: Protocol, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows with their averages over tasks, in ``results.json``."""
    for row in rows:
        counts = [(entry["own"]["successes"], entry["own"]["episodes"]) for entry in row["tasks"].values()]
        row["average"] = sum(done / of for done, of in counts) / len(counts)
        row["average95"] = average95(counts)
    results = {"episodes": protocol.episodes, "tasks": list(protocol.tasks), "rows": list(rows)}
    (protocol.out / "results.json").write_text(json.dumps(results, indent=2))
    return results


def table(results: dict[str, Any]) -> str:
    """The results as Markdown, with what the trainings of each arm took where there are any."""
    trained = any("trainings" in row for row in results["rows"])
    head = ["arm", *results["tasks"], "average", "95 %"]
    head += ["steps", "of actions", "pictures drawn", "minutes"] if trained else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in results["rows"]:
        rates = [
            f"{100 * entry['own']['successes'] / entry['own']['episodes']:.0f} %" for entry in row["tasks"].values()
        ]
        low, high = row["average95"]
        cells = [row["arm"], *rates, f"{100 * row['average']:.0f} %", f"{100 * low:.0f} to {100 * high:.0f}"]
        if trained:
            taken = effort.summed(row.get("trainings", ()))
            cells += [f"{taken[name]:,.0f}" for name in effort.NUMBERS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scores(protocol: Protocol, arm: Arm, languages: Sequence[str]) -> dict[str, Any]:
    """Task -> sentence -> {successes, episodes, wilson95}."""
    found = {}
    for task in protocol.tasks:
        file = protocol.out / "scores" / f"{arm.name.replace(' ', '_').replace('%', 'pc')}_{task}.json"
        once(protocol.out, evaluation(protocol, arm, task, languages, file), made=file)
        score = json.loads(file.read_text())["tasks"][task]
        entries = {"own": score, **{name: score[name] for name in ("other", "empty") if name in score}}
        found[task] = {
            name: {
                "successes": entry["successes"],
                "episodes": entry["episodes"],
                "wilson95": wilson95(entry["successes"], entry["episodes"]),
            }
            for name, entry in entries.items()
            if name in languages
        }
    return found


def evaluation(protocol: Protocol, arm: Arm, task: str, languages: Sequence[str], scores: Path) -> Command:
    """The command that evaluates an arm on one task."""
    return (
        "eval", "--checkpoint", str(arm.checkpoint), "--task", task, "--episodes", str(protocol.episodes),
        "--language", *languages, "--workers", str(protocol.workers), "--film", "None", "--gallery", "0",
        "--json", str(scores), *arm.evaluation,
    )  # fmt: skip


def once(folder: Path, command: Command, made: Path | None = None) -> None:
    """Run ``gr00t`` unless it ran to its end before; its output goes to a log file."""
    done_file = folder / "done.jsonl"
    done = done_file.read_text().splitlines() if done_file.is_file() else []
    line = json.dumps(list(command))
    if line in (json.dumps(json.loads(entry)["command"]) for entry in done) and (made is None or made.is_file()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    print("gr00t " + " ".join(command), flush=True)
    began = time.monotonic()
    with (folder / "log.txt").open("a") as log:
        subprocess.run([sys.executable, "-m", "gr00t_bringup.cli", *command], check=True, stdout=log, stderr=log)
    with done_file.open("a") as file:
        file.write(json.dumps({"command": list(command), "seconds": round(time.monotonic() - began, 1)}) + "\n")
