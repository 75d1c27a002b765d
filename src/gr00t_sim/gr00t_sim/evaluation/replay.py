# SPDX-License-Identifier: Apache-2.0
"""Episodes run once more with a camera: same checkpoint, seed and settings, so the same end; that it is, is checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from gr00t_policy.data.durable import write_json
from gr00t_policy.data.json_file import read_json, shown
from gr00t_sim.evaluation.episode import (
    EpisodeKey,
    EpisodeResult,
    EpisodeSettings,
    EvaluationError,
    result_from_dict,
    result_to_dict,
)
from gr00t_sim.evaluation.measure import runner_for
from gr00t_sim.evaluation.result_folder import writing
from gr00t_sim.film_strip import FILM_EVERY, STRIP_EVERY, Recorder, write_film, write_strip
from gr00t_sim.jobs.workers import run_jobs
from gr00t_sim.simulation import TabletopSim

_CHECKPOINT = "checkpoint"  # its hash, in a note


@dataclass(frozen=True)
class ReplayJob:
    """An episode to be filmed by a worker. film None: only the strip.

    note: file that says how it ended, with which checkpoint; there when all is done, so that it is not done again. None:
    done whenever asked for.
    """

    checkpoint: Path
    checkpoint_hash: str
    settings: EpisodeSettings
    key: EpisodeKey
    strip: Path
    film: Path | None = None
    note: Path | None = None

    def __str__(self) -> str:
        return f"film of {self.key}"

    @property
    def done(self) -> bool:
        """Whether everything is there, and of this checkpoint. Raises EvaluationError when the note is damaged."""
        if self.note is None or not all(file.is_file() for file in (self.note, self.strip, self.film or self.strip)):
            return False
        return bool(_read(self.note).get(_CHECKPOINT) == self.checkpoint_hash)


def replay_all(jobs: Sequence[ReplayJob], workers: int, console: Console) -> dict[EpisodeKey, EpisodeResult]:
    """Films what is not there yet; returns how each episode ended this time. Raises Gr00tError."""
    ends = {job.key: _noted(job.note) for job in jobs if job.done and job.note is not None}
    missing = [job for job in jobs if not job.done]
    with Progress(console=console, disable=not missing) as progress:
        bar = progress.add_task("filming", total=len(missing))

        def finished(result: EpisodeResult) -> None:
            ends[result.key] = result
            progress.advance(bar)

        run_jobs(missing, replay, workers, finished)
    return ends


def replay(job: ReplayJob) -> EpisodeResult:
    """In a worker process: run the episode, write strip, film and note. Returns how it ended this time."""
    recorder = Recorder(STRIP_EVERY if job.film is None else FILM_EVERY)
    last: list[tuple[TabletopSim, int]] = []

    def watch(sim: TabletopSim, step: int) -> None:
        recorder(sim, step)
        last[:] = [(sim, step)]

    result = runner_for(job.checkpoint, job.checkpoint_hash, job.settings).run(job.key, watch)
    recorder.keep(*last[0])
    with writing(job.strip.parent):
        write_strip(recorder, job.strip)
        if job.film is not None:
            write_film(recorder, job.film)
        if job.note is not None:
            write_json(job.note, {_CHECKPOINT: job.checkpoint_hash} | result_to_dict(result))
    return result


def _read(note: Path) -> dict[str, Any]:
    data = read_json(note, EvaluationError, "run the evaluation again")
    if not isinstance(data, dict):
        raise EvaluationError(f"{note} is no result of an episode ({shown(data)}); delete it and run again")
    return data


def _noted(note: Path) -> EpisodeResult:
    try:
        return result_from_dict(_read(note))
    except (KeyError, TypeError) as error:
        raise EvaluationError(f"{note} is no result of an episode ({error}); delete it and run again") from error
