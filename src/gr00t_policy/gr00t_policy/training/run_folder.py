# SPDX-License-Identifier: Apache-2.0
"""What every run leaves in its folder, and the progress it shows: decoded pictures, log, checkpoints, loss curve."""

import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data.durable_folder import discard
from gr00t_policy.data.frame_cache import FrameCache, build_frame_cache
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import PictureTransform
from gr00t_policy.model.checkpoint import save_checkpoint
from gr00t_policy.training.curve import draw_curve
from gr00t_policy.training.loop import TrainingRun

CHECKPOINT = "checkpoint"
_OF_STEP = re.compile(rf"{CHECKPOINT}-(\d+)")


@dataclass(frozen=True)
class Saving:
    """What goes into a run's checkpoints beside the network.

    card: of the training as far as it is. save: writes all; called as ``save_checkpoint`` is.
    """

    embodiment: Embodiment
    statistics: Statistics
    tokenizer: Tokenizer
    card: Callable[[TrainingRun], dict[str, Any]]
    save: Callable[..., str] = save_checkpoint


def cached_frames(
    datasets: Sequence[LeRobotDataset], camera: str, image: PictureTransform, out: Path, every: int
) -> FrameCache:
    """Every ``every``-th picture of one camera, decoded once into ``<out>/frames``."""
    with _progress() as bar:
        row = bar.add_task("decoding pictures", total=None)
        return build_frame_cache(
            datasets,
            camera,
            image,
            out / "frames",
            every=every,
            on_progress=lambda done, total: bar.update(row, completed=done, total=total),
        )


def train_with_progress(training: TrainingRun, saving: Saving) -> None:
    """All remaining steps, in the main process under a progress bar that shows the losses."""
    if not training.is_main:
        return training.run(lambda line: None, lambda: save_step(training, saving))
    if training.unchecked:
        print(f"{training.config.out}: {training.unchecked}")
    with _progress() as bar:
        row = bar.add_task("training", total=training.total_steps, completed=training.step)
        training.run(
            lambda line: bar.update(row, completed=line["step"], description=_words(line)),
            lambda: save_step(training, saving),
        )


def save_step(training: TrainingRun, saving: Saving) -> None:
    """Write ``<out>/checkpoint-<step>`` in the main process and remove the oldest beyond ``keep``; all must call it.

    Those of later steps, left by a run that went further, do not count. Raises CheckpointError when the disk is full.
    """
    out, step = training.config.out, training.step
    if _write(training, saving, out / f"{CHECKPOINT}-{step}") is None:
        return
    found = {int(match[1]): path for path in out.iterdir() if (match := _OF_STEP.fullmatch(path.name))}
    for old in sorted(number for number in found if number <= step)[: -training.config.keep]:
        try:
            discard(found[old])
        except OSError as error:
            raise CheckpointError(f"{found[old]} cannot be removed ({error}); remove it and start again") from error


def save_result(training: TrainingRun, saving: Saving) -> Path:
    """Write ``<out>/checkpoint`` and ``<out>/loss.png`` in the main process; returns the checkpoint's folder.

    All processes must call it: a sharded network is gathered from all.
    """
    out = training.config.out
    card = _write(training, saving, out / CHECKPOINT)
    if card is None:
        return out / CHECKPOINT
    try:
        draw_curve(out / "log.jsonl", out / "loss.png")
        curve = f"curve in {out / 'loss.png'}"
    except OSError as error:  # the checkpoint is there, and log.jsonl has the numbers
        curve = f"its curve could not be drawn ({error})"
    minutes = training.seconds / 60
    print(
        f"{out / CHECKPOINT}: {training.step} steps in {minutes:.0f} min, {100 * training.waited_share:.1f} % of it waiting "
        f"for data; {words_of_memory(card['peak_memory_gb'])}; {curve}"
    )
    return out / CHECKPOINT


def _write(training: TrainingRun, saving: Saving, folder: Path) -> dict[str, Any] | None:
    """The checkpoint of the weights as they are; its card in the main process, None in others."""
    if not (training.is_main or training.sharded):
        return None
    model = training.result()
    if not training.is_main:
        return None
    card = {**saving.card(training), "processes": training.processes, "sharded": training.sharded}
    card["waited_for_data"] = round(training.waited_share, 4)
    card["peak_memory_gb"] = peak_memory_gb()
    saving.save(folder, model, saving.embodiment, saving.statistics, saving.tokenizer, card)
    return card


def peak_memory_gb() -> dict[str, float]:
    """The highest so far of this process, decoding and an earlier run in it included: "process", and "gpu" where it used one."""
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}  # Linux counts in KiB
    if torch.cuda.is_initialized():
        found["gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return {name: round(value, 2) for name, value in found.items()}


def words_of_memory(peaks_gb: dict[str, float]) -> str:
    """For people."""
    return "peak memory " + ", ".join(f"{value:.2f} GB ({name})" for name, value in peaks_gb.items())


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


def _words(line: dict[str, Any]) -> str:
    shown = [f"{key} {line[key]:.3f}" for key in ("flow", "noise", "find", "find_scenes") if key in line]
    return f"{line['stage']}: {', '.join(shown)}"
