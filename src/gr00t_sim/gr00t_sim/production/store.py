# SPDX-License-Identifier: Apache-2.0
"""What came of each seed, on disk: a seed is there once and whole, or not at all, however often the work was cut off.

made_with.json            what every outcome was made with
kept/000000012/           the episode of seed 12, a dataset of its own
not_kept.jsonl            the seeds without an episode, and why
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.durable import append_json_line, drop_torn_line, flush, lock, write_json, writing
from gr00t_policy.data.durable_folder import flush_all
from gr00t_policy.data.json_file import json_lines, read_json
from gr00t_policy.data.merge import merge_datasets
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LOCK
from gr00t_sim.production.outcome import SeedOutcome

# Also the name, under meta/, by which a finished dataset says it.
MADE_WITH = "made_with.json"
CODE = "code"  # what must agree as long as episodes are added, and is told of a finished dataset
_JOINED, _DELIVERED = "joined", "delivered"  # the dataset until it gets its place; there from just before that on
_KEPT, _NOT_KEPT, _PART = "kept", "not_kept.jsonl", ".part"


class SeedStore:
    """Outcomes by seed; open it with ``open_store``. ``outcomes`` have no files: those are on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes: dict[int, SeedOutcome] = {}
        (folder / _KEPT).mkdir(parents=True, exist_ok=True)
        for path in sorted((folder / _KEPT).iterdir()):
            if path.name.endswith(_PART):
                shutil.rmtree(path)
            else:
                self.outcomes[int(path.name)] = SeedOutcome(int(path.name))
        drop_torn_line(folder / _NOT_KEPT)
        if (folder / _NOT_KEPT).is_file():
            for line in json_lines((folder / _NOT_KEPT).read_text(encoding="utf-8")):
                outcome = SeedOutcome(**json.loads(line))
                self.outcomes.setdefault(outcome.seed, outcome)

    def add(self, outcome: SeedOutcome) -> None:
        """Keep an outcome; it survives a kill from then on. A seed that is there already stays as it is.

        Raises DatasetError when it cannot be written.
        """
        if outcome.seed in self.outcomes:
            return
        with _writing(self.folder):
            if outcome.kept:
                self._write(outcome)
            else:
                line = {"seed": outcome.seed, "reason": outcome.reason, "detail": outcome.detail}
                append_json_line(self.folder / _NOT_KEPT, {**line, "tried": outcome.tried, "source": outcome.source})
        self.outcomes[outcome.seed] = SeedOutcome(
            outcome.seed, outcome.reason, outcome.detail, outcome.tried, outcome.source
        )

    def merged(self, seeds: list[int], out: Path, made_with: Mapping[str, Any]) -> LeRobotDataset:
        """The episodes of these seeds, in this order, as the new dataset ``out``, which says what it was made with.

        Raises DatasetError when it exists, or cannot be written.
        """
        if out.exists():
            raise DatasetError(f"{out} exists already; remove it or choose another --out")
        with _writing(self.folder):
            merge_datasets([self._episode(seed) for seed in seeds], self.folder / _JOINED, {MADE_WITH: made_with})
            write_json(self.folder / _DELIVERED, str(out))
            os.replace(self.folder / _JOINED, out)
            flush(out.parent)
            return LeRobotDataset(out)

    def _episode(self, seed: int) -> Path:
        return self.folder / _KEPT / f"{seed:09d}"

    def _write(self, outcome: SeedOutcome) -> None:
        whole = self._episode(outcome.seed)
        part = whole.with_name(whole.name + _PART)
        shutil.rmtree(part, ignore_errors=True)
        for name, content in outcome.files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        flush_all(part)
        os.replace(part, whole)
        flush(whole.parent)


@contextmanager
def open_store(folder: Path, made_with: dict[str, str], untold: Mapping[str, str] | None = None) -> Iterator[SeedStore]:
    """The outcomes in a folder, to go on with; new where there are none.

    made_with: what the outcomes depend on beside the seed. untold: of that, what a note means that does not say it. Raises
    DatasetError when those that are there were made with something else, when another process is at it, or when the folder
    cannot be written.
    """
    refusal = DatasetError(f"{folder} is being written by another process; wait for it or use another --out")
    with _writing(folder):
        held = lock(folder / LOCK, refusal)
    with held:
        with _writing(folder):
            _forget_delivered(folder)
            _note(folder, made_with, untold or {})
            store = SeedStore(folder)
        yield store


def _forget_delivered(folder: Path) -> None:
    """What a kill left over beside a dataset that was finished is not for the next one, made after that was removed."""
    if (folder / _DELIVERED).is_file() and not (folder / _JOINED).exists():
        shutil.rmtree(folder / _KEPT, ignore_errors=True)
        for name in (_NOT_KEPT, MADE_WITH):
            (folder / name).unlink(missing_ok=True)
    (folder / _DELIVERED).unlink(missing_ok=True)  # before what it is about: without both all would be forgotten
    shutil.rmtree(folder / _JOINED, ignore_errors=True)


def _note(folder: Path, made_with: dict[str, str], untold: Mapping[str, str]) -> None:
    note = folder / MADE_WITH
    if not note.is_file():
        return write_json(note, made_with)
    before = {**untold, **read_json(note, DatasetError, "remove the folder and begin again")}
    if before != made_with:
        names = sorted(set(before) | set(made_with))
        changed = "; ".join(
            f"{name}: {before.get(name, 'not said')} there, {made_with.get(name)} here"
            for name in names
            if before.get(name) != made_with.get(name)
        )
        raise DatasetError(
            f"{folder} holds unfinished episodes made with something else ({changed}); remove it or use another --out"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system refuses becomes one error of ours: a disk that is full, or may not be written."""
    remedy = "finished episodes are kept there: make room, and the same command goes on"
    with writing(folder, DatasetError, remedy):
        yield
