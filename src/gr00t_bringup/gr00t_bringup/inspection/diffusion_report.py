# SPDX-License-Identifier: Apache-2.0
"""What a Diffusion Policy's checkpoint holds and whether it fits a robot. Weights are not read, only their headers."""

from math import prod
from pathlib import Path
from typing import Any

from gr00t_bringup.inspection.checkpoint_facts import card_line, joint_data, joint_grid
from gr00t_bringup.inspection.checkpoint_report import compare, own_robot
from gr00t_bringup.inspection.report import Problem, Report, megabytes
from gr00t_policy.baseline.checkpoint import DiffusionCheckpoint, load_diffusion_checkpoint
from gr00t_policy.baseline.config import diffusion_config_to_dict
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import Gr00tError

# Prefix of the stored names -> part
_PARTS = {
    "backbone.eye.": "picture encoder",
    "backbone.sentence.": "sentence encoder",
    "action_head.": "denoiser",
}


def diffusion_report(folder: Path, robot: str = "", *, verify: bool = False, details: bool = False) -> Report:
    """As ``checkpoint_report``. Raises EmbodimentError when ``robot`` is not known."""
    report = Report("checkpoint", str(folder))
    config = load_embodiment(robot) if robot else None
    try:
        checkpoint = load_diffusion_checkpoint(folder, verify=verify)
    except Gr00tError as error:
        report.problems.append(Problem("damage", folder.name, str(error)))
        report.judge("")
        return report
    config = config or own_robot(report, checkpoint.embodiment)
    if config is not None:
        report.problems += compare(checkpoint, config)
    report.problems.append(
        Problem("note", "no tokens", "`gr00t eval` runs it in the simulator; planner and controller refuse it")
    )
    report.facts = _facts(checkpoint, verified=verify)
    sides = ("action", "state") if details else ("action",)
    report.grids = [joint_grid(checkpoint.embodiment, side, getattr(checkpoint.statistics, side)) for side in sides]
    report.data = {
        "hash": checkpoint.hash,
        "embodiment": checkpoint.embodiment.name,
        "config": diffusion_config_to_dict(checkpoint.config),
        "parameters": _parameters(checkpoint),
        "joints": joint_data(checkpoint.embodiment, checkpoint.statistics),
        "training_card": checkpoint.card,
        "compared_with": config.name if config else None,
        "verified": verify,
    }
    report.judge(f"robot '{config.name}'" if config else "")
    return report


def _facts(checkpoint: DiffusionCheckpoint, *, verified: bool) -> list[tuple[str, str]]:
    config, robot = checkpoint.config, checkpoint.embodiment
    head, schedule = config.head, config.schedule
    parts = _parameters(checkpoint)
    total = sum(parts.values())
    return [
        ("network", "Diffusion Policy (Chi et al. 2023, CNN version), with a sentence encoder: a baseline"),
        ("embodiment", robot.name),
        (
            "acts",
            f"{head.horizon} steps at {robot.rate_hz:g} Hz = {head.horizon / robot.rate_hz:.2f} s a chunk, "
            f"{schedule.sample_steps} DDIM steps of {schedule.train_steps}",
        ),
        ("groups", ", ".join(f"{name} {part.stop - part.start}" for name, part in robot.policy_slices.items())),
        ("sees", f"{config.views} camera(s); the network {config.vision.image_size}x{config.vision.image_size}"),
        ("reads", f"sentences up to {config.sentence.window} tokens (longer ones lose their end)"),
        (
            "parameters",
            f"{total:,}: {', '.join(f'{name} {count:,}' for name, count in parts.items())}; {megabytes(4 * total)} in float32",
        ),
        ("trained", card_line(checkpoint.card)),
        (
            "hash",
            f"{checkpoint.hash[:16]} ({'every byte checked' if verified else 'as listed; --verify reads all bytes'})",
        ),
    ]


def _parameters(checkpoint: DiffusionCheckpoint) -> dict[str, Any]:
    """Numbers in each part."""
    shapes = checkpoint.weights.shapes
    return {
        name: sum(prod(shape) for key, shape in shapes.items() if key.startswith(prefix))
        for prefix, name in _PARTS.items()
    }
