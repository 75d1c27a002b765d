# SPDX-License-Identifier: Apache-2.0
"""``gr00t data check DATASET...``: what in recordings would spoil training, where it is, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.dataset_check.check import DatasetCheck, check_dataset
from gr00t_bringup.dataset_check.data_finding import DataFinding, count, rows
from gr00t_bringup.json_file import write_json
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError

_STYLES = {"error": "bold red", "warning": "yellow", "ok": "green"}
_PIPE_WIDTH = 140  # where there is no terminal to ask


@dataclass(frozen=True)
class DataCheckConfig:
    """Exit code 0 when there is no error, 1 when there is one, 2 for wrong use; warnings do not count."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """LeRobot dataset folders"""
    robot: str = ""
    """whose joints these are, for their limits: a shipped name or a YAML file; default: the shipped one that fits best"""
    all_frames: bool = False
    """decode every picture instead of 8 pairs of neighbours in each episode"""
    json: Path | None = None
    """write every finding here, with episode, column and numbers"""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ConfigError("no dataset was given; usage: gr00t data check DATASET...")


def run(config: DataCheckConfig) -> int:
    """Check one dataset after the other. Raises EmbodimentError for an unknown robot."""
    robot = load_embodiment(config.robot) if config.robot else None
    checks = []
    for path in config.datasets:
        checks.append(check_dataset(path, robot, all_frames=config.all_frames))
        _show(checks[-1])
    across = rate_findings(checks)
    for finding in across:
        print(f"{finding.level}: {finding.found}; {finding.fix}")
    good = all(check.ok for check in checks)
    if config.json is not None:
        found = {"datasets": [check.as_data() for check in checks], "across": [vars(each) for each in across]}
        write_json(config.json, {"ok": good, **found})
    return 0 if good else 1


def rate_findings(checks: list[DatasetCheck]) -> list[DataFinding]:
    """Datasets of different rates cannot be trained on together."""
    rates = sorted({check.fps for check in checks if check.fps})
    if len(rates) < 2:
        return []
    found = f"these datasets have different rates: {', '.join(f'{rate:g}' for rate in rates)} Hz"
    return [DataFinding("warning", "rate", found, "train on those of one rate, or resample")]


def _show(check: DatasetCheck) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console()
    out = terminal if terminal.is_terminal else Console(width=_PIPE_WIDTH)
    counts = count(check.findings)
    said = ", ".join(f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in ("error", "warning"))
    holds = f"{check.episodes} episodes, {check.frames} frames at {check.fps:g} Hz, limits of '{check.robot}'"
    out.print(
        Text(f"{check.path}: {said}", style="bold green" if check.ok else "bold red").append(
            f" ({holds})" if check.robot else "", style="dim"
        ),
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("level", "check", "column", "episodes", "found", "remedy"):
        table.add_column(name, overflow="fold", ratio={"found": 3, "remedy": 2}.get(name), no_wrap=name == "level")
    for row in rows(check.findings):
        table.add_row(
            Text(row.level, style=_STYLES[row.level]),
            row.name,
            row.column,
            row.episodes,
            Text(row.found),
            Text(row.fix),
        )
    out.print(table)
