# SPDX-License-Identifier: Apache-2.0
"""Success rates of a checkpoint on unseen scenes, without ROS: ``gr00t eval``.

Besides the scenes' own sentences: the same scenes with a sentence that names another object or bin (language must matter),
and with an empty sentence (it must not do better than chance). Every finished episode is kept, so a run that was killed
goes on where it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.source_revision import suite_revision
from gr00t_policy.data.durable import write_json
from gr00t_sim.evaluation.episode import EpisodeResult
from gr00t_sim.evaluation.gallery import forget_pictures, make_gallery
from gr00t_sim.evaluation.identity import Identity, identity_of
from gr00t_sim.evaluation.measure import run_missing
from gr00t_sim.evaluation.options import EpisodeOptions
from gr00t_sim.evaluation.replay import ReplayJob, replay_all
from gr00t_sim.evaluation.result_folder import open_results, writing
from gr00t_sim.evaluation.score_tables import print_scores
from gr00t_sim.evaluation.scores import summarise

SCORES = "scores.json"
DEFAULT_OUT = Path("out/eval")


@dataclass(frozen=True, kw_only=True)
class EvalConfig(EpisodeOptions):
    """What to evaluate on which scenes."""

    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    """Checkpoint folder."""
    out: Path | None = None
    """Folder of the results; default: one below out/eval for this checkpoint, these settings and this code."""
    fresh: bool = False
    """Delete the folder's results and run all again; otherwise episodes that are there are not run again."""
    film: Path | None = Path("out/eval")
    """Folder for one film strip a task, of its first scene; None for none."""
    gallery: int = 20
    """Failures of each task and sentence shown on the page gallery.html, with a few successes; 0: no page."""
    json: Path | None = None
    """Write the scores here too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gallery < 0:
            raise ConfigError(f"gallery must be a number of failures, 0 for no page: {self.gallery}")


def run(config: EvalConfig) -> int:
    """Evaluate, print tables, write JSON and pictures. Returns the exit code. Raises Gr00tError."""
    console = Console()
    if config.tasks_left_out:
        left_out = ", ".join(config.tasks_left_out)
        console.print(f"left out, since there is nothing else to ask for: {left_out}", soft_wrap=True)
    identity = identity_of(config.checkpoint, config.settings)  # a bad one is refused before any process starts
    folder = config.out or DEFAULT_OUT / identity.folder_name
    with open_results(folder, identity, fresh=config.fresh) as results:
        if config.fresh:
            forget_pictures(folder)
        outcomes = run_missing(results, config.checkpoint, config.keys(), config.workers, console)
        scores = report(config, identity, outcomes)
        with writing(folder):
            write_json(folder / SCORES, scores)
        if config.json is not None:
            with writing(config.json):
                write_json(config.json, scores)
        print_scores(scores, console)
        made = [folder / SCORES, *_pictures(config, identity, folder, outcomes, scores, console)]
    for path in made:
        console.print(str(path), soft_wrap=True)
    return 0


def _pictures(
    config: EvalConfig,
    identity: Identity,
    folder: Path,
    outcomes: Sequence[EpisodeResult],
    scores: Mapping[str, Any],
    console: Console,
) -> list[Path]:
    """The strips of each task's first scene, and the gallery, as asked for; returns what to look at."""
    made = []
    if config.film is not None:
        first = {key.task: key for key in reversed(config.keys())}
        strips = [
            ReplayJob(
                config.checkpoint, identity.checkpoint_hash, config.settings, first[task], config.film / f"{task}.png"
            )
            for task in config.tasks
            if task in first
        ]
        replay_all(strips, config.workers, console)
        made += [strip.strip for strip in strips]
    if config.gallery:
        made.append(
            make_gallery(
                folder,
                identity,
                config.checkpoint,
                outcomes,
                scores,
                limit=config.gallery,
                workers=config.workers,
                console=console,
            )
        )
    return made


def report(config: EvalConfig, identity: Identity, outcomes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """``summarise``, and what was evaluated how. The same for the same episodes, whenever and in whatever order they ran.

    revision: the commit, for people; what must not be mixed is told apart by ``code``.
    """
    return {
        "checkpoint": str(config.checkpoint),
        "checkpoint_hash": identity.checkpoint_hash,
        "suite": config.suite or ("" if config.task else "gr1_tabletop"),
        "seed": config.seed,
        "settings": asdict(identity.settings),
        "code": identity.code,
        "revision": suite_revision(),
        **summarise(config.tasks, outcomes),
    }
