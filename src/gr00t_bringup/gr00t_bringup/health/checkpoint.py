# SPDX-License-Identifier: Apache-2.0
"""Whether the checkpoint is whole and fits the robot; `gr00t inspect` says more about it."""

from collections.abc import Iterable
from pathlib import Path

from gr00t_bringup.health.finding import Finding, error, ok, warning
from gr00t_bringup.inspection.checkpoint_report import checkpoint_report
from gr00t_bringup.inspection.report import Problem, Severity
from gr00t_policy.baseline.checkpoint import is_diffusion_policy
from gr00t_policy.core.errors import Gr00tError

_SEEN_OTHERWISE = ("camera", "group")  # how notes on them begin: harmless, and still worth knowing before a start


def checkpoint_finding(folder: Path, robot: str, tokenizer: Path | None = None) -> Finding:
    """robot: embodiment name or YAML file. tokenizer: folder of that of a released checkpoint that has none."""
    if is_diffusion_policy(folder):
        return error(
            "checkpoint",
            f"{folder.name} is a Diffusion Policy: planner and controller do not run it, `gr00t eval` does",
            "give --checkpoint of a GR00T network",
        )
    try:
        report = checkpoint_report(folder, robot, tokenizer=tokenizer)
    except Gr00tError as refusal:
        return error("checkpoint", str(refusal), "give --checkpoint DIR and --robot NAME")
    by_kind: dict[Severity, list[Problem]] = {}
    for problem in report.problems:
        by_kind.setdefault(problem.severity, []).append(problem)
    look = f"gr00t inspect {folder} --robot {robot}"
    if found := by_kind.get("damage"):
        return error("checkpoint", found[0].detail, "copy or download it again")
    if found := by_kind.get("difference"):
        return error("checkpoint", f"{folder.name} does not fit '{robot}': {_one_by_one(found)}", look)
    fits = f"{folder.name} fits '{robot}'"
    if notes := [problem for problem in by_kind.get("note", []) if problem.what.startswith(_SEEN_OTHERWISE)]:
        fits += f" ({_one_by_one(notes)})"
    if found := by_kind.get("limit"):
        fits += f", but asks {len(found)} joints to go beyond their limits; they are clamped"
    if missing := by_kind.get("warning"):
        given = "launch with tokenizer:=FOLDER, and give --tokenizer FOLDER here"
        return warning("checkpoint", f"{fits}; {'; '.join(problem.detail for problem in missing)}", given)
    return warning("checkpoint", fits, look) if found else ok("checkpoint", fits)


def _one_by_one(problems: Iterable[Problem]) -> str:
    return "; ".join(f"{problem.what}: {problem.detail}" for problem in problems)
