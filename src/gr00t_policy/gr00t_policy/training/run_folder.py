# SPDX-License-Identifier: Apache-2.0
"""What every run leaves in its folder, and the progress it shows: decoded pictures, log, checkpoint, loss curve."""

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.frame_cache import FrameCache, build_frame_cache
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import PictureTransform
from gr00t_policy.model.checkpoint import save_checkpoint
from gr00t_policy.training.curve import draw_curve
from gr00t_policy.training.loop import TrainingRun

CHECKPOINT = "checkpoint"


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


def train_with_progress(training: TrainingRun) -> None:
    """All remaining steps, in the main process under a progress bar that shows the losses."""
    if not training.is_main:
        return training.run(lambda line: None)
    with _progress() as bar:
        row = bar.add_task("training", total=training.total_steps, completed=training.step)
        training.run(lambda line: bar.update(row, completed=line["step"], description=_words(line)))


def save_result(
    training: TrainingRun,
    embodiment: Embodiment,
    statistics: Statistics,
    tokenizer: Tokenizer,
    card: dict[str, Any],
    save: Callable[..., str] = save_checkpoint,
) -> Path:
    """Write ``<out>/checkpoint`` and ``<out>/loss.png`` in the main process; returns the checkpoint's folder.

    save: writes the network; called as ``save_checkpoint`` is. All processes must call it: a sharded network is gathered
    from all.
    """
    out = training.config.out
    if not (training.is_main or training.sharded):
        return out / CHECKPOINT
    model = training.result()
    if not training.is_main:
        return out / CHECKPOINT
    card = {**card, "processes": training.processes, "sharded": training.sharded}
    card["waited_for_data"] = round(training.waited_share, 4)
    card["peak_memory_gb"] = peak_memory_gb()
    save(out / CHECKPOINT, model, embodiment, statistics, tokenizer, card)
    draw_curve(out / "log.jsonl", out / "loss.png")
    minutes = training.seconds / 60
    print(
        f"{out / CHECKPOINT}: {training.step} steps in {minutes:.0f} min, {100 * training.waited_share:.1f} % of it waiting "
        f"for data; {words_of_memory(card['peak_memory_gb'])}; curve in {out / 'loss.png'}"
    )
    return out / CHECKPOINT


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
