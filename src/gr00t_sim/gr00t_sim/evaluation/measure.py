# SPDX-License-Identifier: Apache-2.0
"""Runs what is missing of a set of episodes, in parallel, with a progress bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeResult, EpisodeRunner, EpisodeSettings
from gr00t_sim.evaluation.result_folder import ResultFolder
from gr00t_sim.jobs.workers import run_jobs


@dataclass(frozen=True)
class EpisodeJob:
    """One episode for a worker process. checkpoint_hash: what its result counts for."""

    checkpoint: Path
    checkpoint_hash: str
    settings: EpisodeSettings
    key: EpisodeKey

    def __str__(self) -> str:
        return str(self.key)


def run_missing(
    results: ResultFolder, checkpoint: Path, keys: Sequence[EpisodeKey], workers: int, console: Console
) -> list[EpisodeResult]:
    """Adds the episodes that ``results`` lacks; returns those of ``keys``, in their order. Raises Gr00tError."""
    identity = results.identity
    missing = [key for key in keys if key not in results.results]
    jobs = [EpisodeJob(checkpoint, identity.checkpoint_hash, identity.settings, key) for key in missing]
    there = len(keys) - len(jobs)
    if there:
        console.print(f"{there} of {len(keys)} episodes are in {results.folder} already", soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not jobs) as progress:
        bar = progress.add_task("evaluating", total=len(keys), completed=there)

        def finished(result: EpisodeResult) -> None:
            results.add(result)
            progress.advance(bar)

        def died(lost: Sequence[EpisodeJob]) -> None:
            console.print(f"a worker process died; run again: {' | '.join(map(str, lost))}")

        run_jobs(jobs, run_episode, workers, finished, died)
    return [results.results[key] for key in keys]


_runners: dict[tuple[Path, str, EpisodeSettings], EpisodeRunner] = {}


def run_episode(job: EpisodeJob) -> EpisodeResult:
    """In a worker process: the network is loaded once, for its first episode."""
    return runner_for(job.checkpoint, job.checkpoint_hash, job.settings).run(job.key)


def runner_for(checkpoint: Path, checkpoint_hash: str, settings: EpisodeSettings) -> EpisodeRunner:
    """This process's runner; it keeps one, that of the last call. Raises CheckpointError as ``EpisodeRunner``."""
    what = (checkpoint, checkpoint_hash, settings)
    if what not in _runners:
        for runner in _runners.values():
            runner.close()
        _runners.clear()
        _runners[what] = EpisodeRunner(*what)
    return _runners[what]
