# SPDX-License-Identifier: Apache-2.0
"""Whether the checkpoint is whole and fits the robot; `gr00t inspect` says more about it."""

from pathlib import Path

from gr00t_bringup.health.finding import Finding, error, ok, warning
from gr00t_bringup.inspection.checkpoint_report import checkpoint_report
from gr00t_bringup.inspection.report import Problem
from gr00t_policy.baseline.checkpoint import is_diffusion_policy
from gr00t_policy.core.errors import Gr00tError


def checkpoint_finding(folder: Path, robot: str) -> Finding:
    """robot: embodiment name or YAML file."""
    if is_diffusion_policy(folder):
        return error(
            "checkpoint",
            f"{folder.name} is a Diffusion Policy: planner and controller do not run it, `gr00t eval` does",
            "give --checkpoint of a GR00T network",
        )
    try:
        report = checkpoint_report(folder, robot)
    except Gr00tError as refusal:
        return error("checkpoint", str(refusal), "give --checkpoint DIR and --robot NAME")
    by_kind: dict[str, list[Problem]] = {}
    for problem in report.problems:
        by_kind.setdefault(problem.severity, []).append(problem)
    look = f"gr00t inspect {folder} --robot {robot}"
    if found := by_kind.get("damage"):
        return error("checkpoint", found[0].detail, "copy or download it again")
    if found := by_kind.get("difference"):
        text = f"{folder.name} does not fit '{robot}': {found[0].what}: {found[0].detail}"
        return error("checkpoint", text + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""), look)
    if found := by_kind.get("limit"):
        text = f"{folder.name} fits '{robot}', but asks {len(found)} joints to go beyond their limits; they are clamped"
        return warning("checkpoint", text, look)
    return ok("checkpoint", f"{folder.name} fits '{robot}'")
