# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval --open-loop DATASET``: chunks of a checkpoint against the actions recorded in a dataset."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from gr00t_bringup.json_file import write_json
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.tokenizer import default_instruction
from gr00t_policy.runtime.backends import default_cache, load_backend
from gr00t_policy.runtime.config import ENGINES
from gr00t_policy.runtime.policy import Gr00tPolicy

_STEPS_SHOWN = (1, 4, 8)  # and the last


@dataclass(frozen=True)
class OpenLoopConfig:
    """Which checkpoint on which recording. Nothing moves: the policy sees each recorded moment, its chunk is compared."""

    open_loop: Path
    """LeRobot v2 folder with modality.json."""
    checkpoint: Path = Path("models/gr1_tabletop_tiny")
    """Checkpoint folder: ours, or one as NVIDIA released it."""
    embodiment: str = ""
    """Robot the checkpoint is for: of a released one by name (gr1 unless said otherwise); else that of the checkpoint."""
    tokenizer: Path | None = None
    """Folder of the tokenizer, for a released checkpoint that has none."""
    episodes: tuple[int, ...] = ()
    """Episodes to compare; default: all."""
    stride: int = 4
    """Frames between two predictions; 1 predicts at every frame."""
    out: Path = Path("out/open_loop")
    """Folder for open_loop.json and the pictures."""
    json: Path | None = None
    """Write the figures here instead of open_loop.json."""
    plots: bool = True
    """Draw joint curves of every episode and group, and error over the horizon."""
    engine: str = "torch"
    """'torch' (float32; GR00T N1, N1.5 and their fine-tunes in bfloat16), 'openvino', 'cuda_graph', 'auto': as on the robot."""
    precision: str = "int8"
    """Precision of the OpenVINO engine."""
    noise_scale: float = 0.0
    """Scale of the flow's starting noise; 0: its centre, as on the robot."""
    seed: int = 0
    """Seed of the noise."""

    def __post_init__(self) -> None:
        if self.stride < 1 or not 0 <= self.noise_scale < math.inf or self.seed < 0:
            raise ConfigError(
                "stride must be at least 1, noise_scale (finite) and seed not below 0: "
                f"{self.stride}, {self.noise_scale}, {self.seed}"
            )
        if self.engine not in ENGINES:
            raise ConfigError(f"engine '{self.engine}' is unknown; choose one of: {', '.join(ENGINES)}")


def run(config: OpenLoopConfig) -> int:
    """Compare, print the tables, write JSON and pictures. Returns the exit code. Raises Gr00tError."""
    from gr00t_policy.training import open_loop
    from gr00t_policy.training.learnt_data import held_out_of

    checkpoint = load_checkpoint(config.checkpoint, config.embodiment or None, tokenizer=config.tokenizer)
    robot = checkpoint.embodiment
    dataset = open_loop.open_recording(robot, config.open_loop, default_instruction(checkpoint.config))
    numbers = open_loop.episodes_to_trace(dataset, config.episodes)
    backend = load_backend(checkpoint, config.engine, config.precision, default_cache(Path.home()))
    policy = Gr00tPolicy(checkpoint, backend, noise_scale=config.noise_scale)
    traces = [
        open_loop.trace_episode(policy, dataset, number, config.stride, config.seed)
        for number in track(numbers, description="comparing episodes")
    ]
    held_out, known_by = held_out_of(checkpoint.card, dataset, numbers)
    mean, averaged = open_loop.mean_action(dataset, numbers)
    result = {
        "checkpoint": str(config.checkpoint),
        "checkpoint_hash": checkpoint.hash,
        "dataset": str(config.open_loop),
        "episodes": list(numbers),
        "held_out_of_training": held_out,
        "training_dataset_known_by": known_by,
        "mean_of_episodes": averaged,
        "stride": config.stride,
        "period_s": 1 / robot.rate_hz,
        **open_loop.score(traces, robot, mean),
        "per_episode": {str(trace.index): open_loop.score([trace], robot, mean)["groups"] for trace in traces},
    }
    _print(result)
    write_json(config.json or config.out / "open_loop.json", result)
    if config.plots:
        _draw(config.out, traces, robot, result)
    print(config.out)
    return 0


def _draw(out: Path, traces: list[Any], robot: Any, result: Mapping[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from gr00t_policy.training.open_loop_plots import draw_errors, draw_group

    draw_errors(result, result["period_s"], out / "error_by_step.png")
    for trace in track(traces, description="drawing"):
        for group in robot.policy_groups:
            draw_group(trace, robot, group, out / f"episode_{trace.index:06d}_{group}.png")


def _print(result: Mapping[str, Any]) -> None:
    learnt = {
        True: "held out of the training",
        False: "learnt from, all or some",
        None: "not in this checkpoint's training card",
    }
    known = learnt[result["held_out_of_training"]]
    if result["training_dataset_known_by"] == "name":
        known += "; a guess: the training card has this dataset's name and no fingerprint"
    console = Console()
    groups = result["groups"]
    console.print(
        f"episodes {', '.join(map(str, result['episodes']))} ({known}), "
        f"{result['chunks']} chunks; 'mean' is that of episodes {', '.join(map(str, result['mean_of_episodes']))}"
    )
    table = Table("group", *(f"{name} {kind}" for kind in ("MAE", "MSE") for name in ("policy", "hold", "mean")))
    for group, entry in groups.items():
        figures = [entry[name][kind] for kind in ("mae", "mse") for name in ("policy", "hold", "mean")]
        table.add_row(group, *(f"{value:.4f}" for value in figures))
    console.print(table)
    horizon = len(next(iter(groups.values()))["policy"]["mae_by_step"])
    steps = sorted({step for step in (*_STEPS_SHOWN, horizon) if step <= horizon})
    table = Table(
        "MAE by step: policy / hold / mean", *(f"{step} ({step * result['period_s']:.2f} s)" for step in steps)
    )
    for group, entry in groups.items():
        cells = (" / ".join(f"{entry[name]['mae_by_step'][step - 1]:.3f}" for name in entry) for step in steps)
        table.add_row(group, *cells)
    console.print(table)
