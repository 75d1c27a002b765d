# SPDX-License-Identifier: Apache-2.0
"""The gallery of an evaluation: film strips of its failures and of a few successes, some as films, on one page."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gr00t_policy.baseline.checkpoint import is_diffusion_policy
from gr00t_policy.data.durable import written_aside
from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeResult, EpisodeSettings
from gr00t_sim.evaluation.gallery_page import Shown, page
from gr00t_sim.evaluation.identity import Identity
from gr00t_sim.evaluation.options import EpisodeOptions
from gr00t_sim.evaluation.replay import ReplayJob, replay_all
from gr00t_sim.evaluation.result_folder import writing

PAGE = "gallery.html"
PICTURES = "gallery"
_SUCCESSES = 2  # of each task
_FILMS = 2  # of the failures of each task and sentence; all shown successes have one
_FAILURES_COUNT_FOR = ("own", "other")  # told nothing, a robot that does nothing is right


@dataclass(frozen=True)
class Chosen:
    """What the gallery shows; left_out: failures beyond the limit."""

    failures: tuple[EpisodeResult, ...]
    successes: tuple[EpisodeResult, ...]
    left_out: int


def choose(results: Sequence[EpisodeResult], limit: int) -> Chosen:
    """The failures, of each task and sentence the ``limit`` first by seed; of each task two successes."""
    ordered = sorted((r for r in results if r.key.language in _FAILURES_COUNT_FOR), key=lambda result: result.key)
    failed = [result for result in ordered if not result.outcome.success]
    failures = _first_of_each([(r.key.task, r.key.language) for r in failed], failed, limit)
    solved = [result for result in ordered if result.outcome.success and result.key.language == "own"]
    successes = _first_of_each([r.key.task for r in solved], solved, _SUCCESSES)
    return Chosen(tuple(failures), tuple(successes), len(failed) - len(failures))


def make_gallery(
    folder: Path,
    identity: Identity,
    checkpoint: Path,
    results: Sequence[EpisodeResult],
    scores: Mapping[str, Any],
    *,
    limit: int,
    workers: int,
    console: Console,
) -> Path:
    """Films what is shown and is not filmed yet, and writes the page. Returns its path. Raises Gr00tError."""
    chosen = choose(results, limit)
    filmed = _first_of_each([(r.key.task, r.key.language) for r in chosen.failures], list(chosen.failures), _FILMS)
    with_film = {result.key for result in (*filmed, *chosen.successes)}
    shown = (*chosen.failures, *chosen.successes)
    jobs = [_job(folder, checkpoint, identity, result.key, film=result.key in with_film) for result in shown]
    again = replay_all(jobs, workers, console)
    entries = [
        Shown(result, again[result.key], job.strip, job.film, play_commands(checkpoint, identity.settings, result))
        for result, job in zip(shown, jobs, strict=True)
    ]
    with writing(folder), written_aside(folder / PAGE) as aside:
        aside.write_text(page(identity, scores, entries, chosen.left_out), encoding="utf-8")
    return folder / PAGE


def play_commands(checkpoint: Path, settings: EpisodeSettings, result: EpisodeResult) -> tuple[str, ...]:
    """The lines that play the scene again: the same episode with strip and film; and live, where nodes can run the network."""
    key, usual = result.key, EpisodeOptions().settings
    same = ["./gr00t", "eval", "--task", key.task, "--seed", str(key.seed), "--episodes", "1"]
    same += ["--language", key.language, "--checkpoint", str(checkpoint)]
    for name, value in vars(settings).items():
        if value != getattr(usual, name):
            same += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    same += ["--out", "out/replay", "--fresh"]
    if is_diffusion_policy(checkpoint):
        return (shlex.join(same),)
    live = ["./gr00t", "demo", "--task", key.task, "--seed", str(key.seed), "--say", result.heard]
    if settings.looks != usual.looks:
        live += ["--looks", settings.looks]
    if settings.tokenizer:
        live += ["--tokenizer", settings.tokenizer]
    return shlex.join(same), shlex.join([*live, "--checkpoint", str(checkpoint)])


def forget_pictures(folder: Path) -> None:
    """Delete the page and what was filmed for it; nothing else."""
    (folder / PAGE).unlink(missing_ok=True)
    for note in (folder / PICTURES).glob("*-*-*.json"):
        for suffix in (".jpg", ".mp4", ".json"):
            note.with_suffix(suffix).unlink(missing_ok=True)


def _job(folder: Path, checkpoint: Path, identity: Identity, key: EpisodeKey, *, film: bool) -> ReplayJob:
    stem = folder / PICTURES / f"{key.task}-{key.language}-{key.seed}"
    return ReplayJob(
        checkpoint,
        identity.checkpoint_hash,
        identity.settings,
        key,
        strip=stem.with_suffix(".jpg"),
        film=stem.with_suffix(".mp4") if film else None,
        note=stem.with_suffix(".json"),
    )


def _first_of_each(groups: Sequence[Any], results: Sequence[EpisodeResult], count: int) -> list[EpisodeResult]:
    """Of the results with the same group, the ``count`` first."""
    taken: dict[Any, int] = {}
    kept = []
    for group, result in zip(groups, results, strict=True):
        taken[group] = taken.get(group, 0) + 1
        if taken[group] <= count:
            kept.append(result)
    return kept
