# SPDX-License-Identifier: Apache-2.0
"""``gr00t doctor``: looks at this machine and the running robot, says what is wrong, and the line that fixes it."""

import importlib
from dataclasses import asdict, dataclass
from pathlib import Path

from gr00t_bringup.health.checkpoint import checkpoint_finding
from gr00t_bringup.health.computer import computer_findings
from gr00t_bringup.health.finding import Finding, error
from gr00t_bringup.health.software import software_findings
from gr00t_bringup.health.streams import live_findings
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError, Gr00tError

_LEVELS = ("error", "warning", "ok")
_STYLES = {"error": "bold red", "warning": "yellow", "ok": "green"}


@dataclass(frozen=True)
class DoctorConfig:
    """Exit code 0 when there is no error, 1 when there is one; warnings do not count."""

    checkpoint: Path | None = None
    """checkpoint folder that is to run; default: the one shipped in models/"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    robot: str = "gr1"
    """embodiment that the checkpoint and the streams must fit: a shipped name or a YAML file"""
    live: bool = False
    """demand a running robot: without it the streams are only looked at when there are any"""
    namespace: str = ""
    """namespace of the running nodes"""
    listen_s: float = 2.0
    """how long the streams are listened to"""
    json: Path | None = None
    """write the findings here"""

    def __post_init__(self) -> None:
        if not 0.5 <= self.listen_s <= 60:
            raise ConfigError(f"listen_s must lie in 0.5 to 60, got {self.listen_s}")


def run(config: DoctorConfig) -> int:
    """Print the findings, worst first; 0 when there is no error. Raises EmbodimentError for an unknown robot."""
    robot = load_embodiment(config.robot)
    findings = [*software_findings(), *computer_findings(), _checkpoint(config), *_live(config, robot)]
    counts = {level: sum(finding.level == level for finding in findings) for level in _LEVELS}
    _show(findings, counts)
    if config.json is not None:
        data = {"ok": not counts["error"], "counts": counts, "machine": asdict(this_machine())}
        write_json(config.json, data | {"findings": [asdict(finding) for finding in findings]})
    return 1 if counts["error"] else 0


def _checkpoint(config: DoctorConfig) -> Finding:
    try:
        folder = config.checkpoint or shipped_checkpoint()
    except Gr00tError as problem:
        return error("checkpoint", str(problem), "gr00t sim generate, then gr00t train --recipe tiny")
    return checkpoint_finding(folder, config.robot, config.tokenizer)


def _live(config: DoctorConfig, robot: Embodiment) -> list[Finding]:
    try:
        live = importlib.import_module("gr00t_bringup.ros.live_view")
    except ImportError as problem:
        if config.live:
            return [error("robot", f"cannot look: {problem}", "run through ./gr00t, or: make setup")]
        return []
    view = live.look(robot, config.namespace, config.listen_s, demanded=config.live)
    return live_findings(view, robot, demanded=config.live)


def _show(findings: list[Finding], counts: dict[str, int]) -> None:
    from rich.console import Console
    from rich.text import Text

    out = Console()
    verdict = ", ".join(
        f"{counts[level]} {level}{'s' if counts[level] != 1 and level != 'ok' else ''}" for level in _LEVELS
    )
    out.print(Text(verdict, style="bold red" if counts["error"] else "bold green"))
    for finding in sorted(findings, key=lambda finding: _LEVELS.index(finding.level)):
        line = Text(f"{finding.level:<8}", style=_STYLES[finding.level])
        line.append(f"{finding.name:<27}", style="bold")
        line.append(f" {finding.found}", style="")
        out.print(line, soft_wrap=True)
        if finding.fix:
            out.print(Text(f"{'':<35} -> {finding.fix}"), soft_wrap=True)
