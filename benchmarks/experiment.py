# SPDX-License-Identifier: Apache-2.0
"""What the experiments on learning share: arms that are trained and evaluated by the commands a user has, and their table.

Everything is done through ``gr00t``, so each number can be made again by hand from the commands that are printed. A command
that has run is not run again, unless another has written to its place since: an experiment that was stopped goes on where it
was, and one with other options in the same folder leaves no scores of its own to the first. Scores are those of the checkpoint
that is there now: where another one has taken its place they are made again. Code may change meanwhile; the table then says so.

Every arm is one training, with one seed (``--seed``): intervals tell what other scenes would give, not what another training
would.
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
import paired_arms
import sources
from gr00t_policy.core.source_revision import suite_revision
from gr00t_policy.data.json_file import json_lines
from gr00t_sim.checkpoint_policy import read_checkpoint
from gr00t_sim.evaluate import EvalConfig
from gr00t_sim.evaluation.code_digest import code_digest
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
    max_s: float = EvalConfig.max_s
    """Time limit of an evaluated episode [s]."""
    workers: int = 2
    """Processes that generate and evaluate."""
    threads: int = 2
    """Threads that train."""
    bf16: bool = True
    """Train in bfloat16 autocast, every network alike."""
    seed: int = 0
    """Of every training; another one, in another folder, trains all arms again."""

    def train_options(self, bf16: str = "--bf16") -> Command:
        """bf16: what the recipe calls it."""
        seed = ("--seed", str(self.seed)) if self.seed else ()
        return ("--threads", str(self.threads), *((bf16,) if self.bf16 else ()), *seed)


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


def run_arms(
    protocol: Protocol,
    arms: Sequence[Arm],
    languages: Sequence[str] = ("own",),
    against: Sequence[tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """Make and evaluate every arm; ``languages`` includes "own"; against as for ``written``. Writes ``results.json``.

    Raises CalledProcessError when a command fails, whose words are in ``log.txt``; CheckpointError.
    """
    rows = []
    for arm in arms:
        for command in arm.commands:
            trained = Path(command[command.index("--out") + 1]) / "checkpoint" if command[0] == "train" else None
            once(protocol.out, command, made=trained and trained / "training_card.json")
        tasks, made_with = _scores(protocol, arm, languages)
        row: dict[str, Any] = {"arm": arm.name, "tasks": tasks, "sources": made_with}
        row["commits"] = sources.commits_of(arm.commands, _done(protocol.out))
        if taken := effort.trainings(arm.commands, protocol.out):
            row["trainings"] = taken
        rows.append(row)
    return written(protocol, rows, against)


def joined(name: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several rows of different tasks."""
    row: dict[str, Any] = {"arm": name}
    for key in ("tasks", "sources"):
        row[key] = {task: entry for part in parts for task, entry in part.get(key, {}).items()}
    row["commits"] = sorted({commit for part in parts for commit in part.get("commits", ())})
    if taken := effort.together(part.get("trainings", ()) for part in parts):
        row["trainings"] = taken
    return row


def written(
    protocol: Protocol, rows: Sequence[dict[str, Any]], against: Sequence[tuple[str, str]] | None = None
) -> dict[str, Any]:
    """Rows with their averages over tasks, of every sentence, and the differences of arms, in ``results.json``.

    against: (arm, arm that is taken from it); default: the first arm is taken from every other.
    """
    for row in rows:
        said = dict.fromkeys(name for entry in row["tasks"].values() for name in entry)
        row["averages"] = {
            name: _average([entry[name] for entry in row["tasks"].values() if name in entry]) for name in said
        }
        row["average"], row["average95"] = (row["averages"]["own"][name] for name in ("average", "average95"))
    if against is None:
        against = [(row["arm"], rows[0]["arm"]) for row in rows[1:]]
    results = {
        "episodes": protocol.episodes,
        "seed": protocol.seed,
        "tasks": list(protocol.tasks),
        "code": code_digest(),
        "revision": suite_revision(),
        "rows": list(rows),
        "differences": paired_arms.differences(rows, against),
    }
    save(protocol, results)
    return results


def save(protocol: Protocol, results: dict[str, Any]) -> None:
    """As ``results.json``."""
    (protocol.out / "results.json").write_text(json.dumps(results, indent=2))


def _average(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over the tasks, from 0 to 1, with its 95 % interval."""
    counts = [(entry["successes"], entry["episodes"]) for entry in entries]
    return {"average": sum(done / of for done, of in counts) / len(counts), "average95": average95(counts)}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown, with what the trainings of each arm took where there are any, and the differences of arms.

    The last line says what code the scores are of, or what differs between the rows.
    """
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
    below = (paired_arms.table(results.get("differences", ())), remark(results))
    return "\n".join([*lines, *(line for part in below if part for line in ("", part))])


def remark(results: dict[str, Any]) -> str:
    """What the rows were made with; '' when they do not say it."""
    return sources.remark(results["rows"], results.get("code", ""))


def _scores(protocol: Protocol, arm: Arm, languages: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Task -> sentence -> {successes, episodes, wilson95, first_seed, solved (seeds, None where unknown)}, and task -> what
    the scores were made with. Raises CheckpointError.
    """
    found, made_with = {}, {}
    checkpoint_hash = read_checkpoint(arm.checkpoint).hash
    for task in protocol.tasks:
        file = protocol.out / "scores" / f"{arm.name.replace(' ', '_').replace('%', 'pc')}_{task}.json"
        sources.forget_other_checkpoint(file, checkpoint_hash)
        once(protocol.out, evaluation(protocol, arm, task, languages, file), made=file)
        whole = json.loads(file.read_text())
        made_with[task] = sources.source_of(whole)
        score = whole["tasks"][task]
        entries = {"own": score, **{name: score[name] for name in ("other", "empty") if name in score}}
        found[task] = {
            name: {
                "successes": entry["successes"],
                "episodes": entry["episodes"],
                "wilson95": wilson95(entry["successes"], entry["episodes"]),
                "first_seed": whole["seed"],
                "solved": paired_arms.solved_seeds(whole, task, name, entry["episodes"]),
            }
            for name, entry in entries.items()
            if name in languages
        }
    return found, made_with


def evaluation(protocol: Protocol, arm: Arm, task: str, languages: Sequence[str], scores: Path) -> Command:
    """The command that evaluates an arm on one task."""
    return (
        "eval", "--checkpoint", str(arm.checkpoint), "--task", task, "--episodes", str(protocol.episodes),
        "--language", *languages, "--workers", str(protocol.workers), "--film", "None", "--gallery", "0",
        "--json", str(scores), *(("--max-s", str(protocol.max_s)) if protocol.max_s != EvalConfig.max_s else ()),
        *arm.evaluation,
    )  # fmt: skip


def once(folder: Path, command: Command, made: Path | None = None) -> None:
    """Run ``gr00t`` unless what it writes is its own, from a run to the end, and ``made`` is there; output goes to a log file.

    Raises CalledProcessError.
    """
    if _is_newest(folder, command) and (made is None or made.is_file()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    if made is not None and str(made) == _written_by(command):
        # Killed before it is noted as done, this run leaves nothing that passes for another's.
        made.unlink(missing_ok=True)
    print("gr00t " + " ".join(command), flush=True)
    began = time.monotonic()
    with (folder / "log.txt").open("a") as log:
        subprocess.run([sys.executable, "-m", "gr00t_bringup.cli", *command], check=True, stdout=log, stderr=log)
    entry = {"command": list(command), "seconds": round(time.monotonic() - began, 1), "revision": suite_revision()}
    with (folder / "done.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _is_newest(folder: Path, command: Command) -> bool:
    """Whether this very command was the last to write what it writes: other options may have had the same place since."""
    place = _written_by(command)
    there = [entry["command"] for entry in _done(folder) if _written_by(entry["command"]) == place]
    return bool(there) and there[-1] == list(command)


def _written_by(command: Sequence[str]) -> str:
    """The file or folder that a command is told to write; the command itself where it is told none."""
    for option in ("--json", "--out"):
        if option in command:
            return command[command.index(option) + 1]
    return " ".join(command)


def _done(folder: Path) -> list[dict[str, Any]]:
    """What ran to its end, in that order."""
    file = folder / "done.jsonl"
    return [json.loads(line) for line in json_lines(file.read_text())] if file.is_file() else []
