# SPDX-License-Identifier: Apache-2.0
"""Results on disk: ``evaluation.json`` says what they were made with, ``episodes.jsonl`` has one line an episode.

Lines are only ever added, each durable before the next episode counts as done; a kill loses at most the line it cut.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gr00t_policy.data import durable
from gr00t_policy.data.durable import append_json_line, drop_torn_line, lock, write_json
from gr00t_policy.data.json_file import read_json
from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeResult, EvaluationError, result_from_dict, result_to_dict
from gr00t_sim.evaluation.identity import Identity, identity_from_dict, identity_to_dict

IDENTITY = "evaluation.json"
EPISODES = "episodes.jsonl"
_LOCK = ".lock"


class ResultFolder:
    """The results of one checkpoint with one way of running it; see ``open_results``."""

    def __init__(self, folder: Path, identity: Identity, results: dict[EpisodeKey, EpisodeResult]) -> None:
        self.folder, self.identity, self.results = folder, identity, results

    def add(self, result: EpisodeResult) -> None:
        """Append a line; durable on return. An episode that is there already is not written again.

        Raises EvaluationError when it cannot be written.
        """
        if result.key in self.results:
            return
        mark = {"checkpoint": self.identity.checkpoint_hash, "settings": self.identity.digest}
        with writing(self.folder):
            append_json_line(self.folder / EPISODES, mark | result_to_dict(result))
        self.results[result.key] = result


def is_result_folder(folder: Path) -> bool:
    """Whether an evaluation has written here."""
    return (folder / IDENTITY).is_file() or (folder / EPISODES).is_file()


@contextmanager
def open_results(folder: Path, identity: Identity, *, fresh: bool = False) -> Iterator[ResultFolder]:
    """The folder's results, to go on with; new where there are none. fresh: those that are there are deleted.

    Raises EvaluationError when they were made with something else, are damaged, another process writes them, or the folder
    cannot be written.
    """
    refusal = EvaluationError(f"another evaluation is writing to {folder}; wait for it or use another --out")
    with writing(folder):
        held = lock(folder / _LOCK, refusal)
    with held:
        with writing(folder):
            if fresh:
                (folder / EPISODES).unlink(missing_ok=True)
                (folder / IDENTITY).unlink(missing_ok=True)
            if is_result_folder(folder):
                _require_same(folder, identity)
                drop_torn_line(folder / EPISODES)
            else:
                write_json(folder / IDENTITY, identity_to_dict(identity))
        found, results = read_results(folder)
        yield ResultFolder(folder, found, results)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """What the system refuses, as on a full disk, becomes one EvaluationError that says what to do."""
    remedy = "finished episodes are kept: make room, and the same command goes on"
    with durable.writing(place, EvaluationError, remedy):
        yield


def read_results(folder: Path) -> tuple[Identity, dict[EpisodeKey, EpisodeResult]]:
    """What a folder holds, in the order written; a last line cut by a kill is left out. Raises EvaluationError."""
    identity = _read_identity(folder)
    path = folder / EPISODES
    if not path.is_file():
        return identity, {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]  # in bytes: a kill may cut a character too
    results: dict[EpisodeKey, EpisodeResult] = {}
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        result = _result(path, number, line, identity)
        if results.setdefault(result.key, result) != result:
            raise EvaluationError(
                f"{path}, line {number}: {result.key} is there twice with different ends; use --fresh or another --out"
            )
    return identity, results


def _result(path: Path, number: int, line: bytes, identity: Identity) -> EpisodeResult:
    try:
        data = json.loads(line)
        mark, result = (data["checkpoint"], data["settings"]), result_from_dict(data)
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"{path}, line {number} is no result of an episode ({error}); delete it") from error
    if mark != (identity.checkpoint_hash, identity.digest):
        raise EvaluationError(
            f"{path}, line {number} was made with another checkpoint or other settings than {IDENTITY} says; delete it"
        )
    return result


def _require_same(folder: Path, identity: Identity) -> None:
    if differences := identity.differences(_read_identity(folder)):
        listed = "; ".join(f"{name}: {there} there, {here} here" for name, (here, there) in differences.items())
        raise EvaluationError(
            f"{folder} holds results made with something else ({listed}); use another --out, or --fresh to delete them"
        )


def _read_identity(folder: Path) -> Identity:
    path = folder / IDENTITY
    data = read_json(path, EvaluationError, f"{folder} holds no results of `gr00t eval`")
    try:
        return identity_from_dict(data)
    except (KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path} does not say what the results were made with: {json.dumps(data)[:80]}"
        ) from error
