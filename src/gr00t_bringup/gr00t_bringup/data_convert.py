# SPDX-License-Identifier: Apache-2.0
"""``gr00t data convert BAG... --out DIR``: recordings of a robot, real or simulated, become a dataset that trains."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.json_file import write_json
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.convert_bags import BagReport, Conversion, convert_bags
from gr00t_policy.data.convert_episodes import Cutting
from gr00t_policy.data.convert_source import TopicNames, find_bags

_STYLES = {"converted": "green", "known": "yellow", "skipped": "yellow", "refused": "bold red"}
_PIPE_WIDTH = 160  # where there is no terminal to ask
_SLOW_S = 0.3  # a robot that follows later than this has a delay worth a look; the same limit as `gr00t data check`


@dataclass(frozen=True)
class DataConvertConfig:
    """Exit code 0 when every bag is in the dataset or was skipped by its outcome, 1 when one was refused, 2 for wrong use."""

    bags: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """rosbag2 folders (MCAP), or folders that hold such folders; one bag is one episode"""
    out: Path = field(kw_only=True)
    """dataset folder (LeRobot v2); bags that are in it already are left alone"""
    robot: str = "gr1"
    """whose joints and cameras these are: a shipped name or a YAML file"""
    fps: float = 20.0
    """rows per second"""
    instruction: str = ""
    """the sentence of bags that say none themselves"""
    all: bool = False
    """also episodes that were discarded or judged a failure when they were recorded"""
    keep_idle: bool = False
    """leave the begin and end in which nothing moves"""
    idle_rad: float = 0.02
    """an end is idle while no joint, measured or commanded, is further than this from where it is there"""
    least_s: float = 1.0
    """shorter episodes are dropped"""
    action_topic: str = "joint_trajectory"
    """the commands to learn: JointTrajectory of one point, or JointState; by default what passed the gate"""
    state_topic: str = "joint_states"
    """the measured joints; other names without a leading slash lie in the same namespace"""
    language_topic: str = "language_command"
    """the sentence"""
    cameras: tuple[str, ...] = ()
    """where pictures are that are not on camera/NAME/image_raw: NAME=TOPIC ..., raw or compressed"""
    state_hz: float = 0.0
    """refuse bags whose joint states differ from this rate by more than 2 %; 0: any steady rate"""
    json: Path | None = None
    """write all times, ages, lags and reasons here"""

    def __post_init__(self) -> None:
        if not self.bags:
            raise ConfigError("no bag was given; usage: gr00t data convert BAG... --out DIR")
        wrong = [item for item in self.cameras if not all_parts(item)]
        if wrong:
            raise ConfigError(f"--cameras takes NAME=TOPIC, e.g. ego_view=/head/color/image_raw, got '{wrong[0]}'")

    def conversion(self) -> Conversion:
        """Raises EmbodimentError for an unknown robot."""
        cameras = dict(item.split("=", 1) for item in self.cameras)
        return Conversion(
            robot=load_embodiment(self.robot),
            fps=self.fps,
            topics=TopicNames(self.state_topic, self.action_topic, self.language_topic, cameras),
            cutting=Cutting(idle_rad=self.idle_rad, least_s=self.least_s, keep_idle=self.keep_idle),
            instruction=self.instruction,
            state_hz=self.state_hz,
            all_outcomes=self.all,
        )


def all_parts(item: str) -> bool:
    """Whether it is NAME=TOPIC with both."""
    return all(item.partition("="))


def run(config: DataConvertConfig) -> int:
    """Convert one bag after the other. Raises DatasetError when the folder holds something else."""
    conversion, bags = config.conversion(), find_bags(config.bags)
    began_s, reports = time.process_time(), []
    for report in convert_bags(bags, config.out, conversion):
        reports.append(report)
        print(f"[{len(reports)}/{len(bags)}] {report.bag}: {report.outcome}", flush=True)
    spent_s = time.process_time() - began_s
    _show(reports, conversion)
    recorded_s = sum(_seconds(line, conversion.fps) for each in reports for line in _new(each))
    refused = [each for each in reports if each.outcome == "refused"]
    new = sum(len(_new(each)) for each in reports)
    print(f"{config.out}: {new} episodes added, {recorded_s:.1f} s in {spent_s:.1f} s of processor time", end="")
    print(f"; {len(refused)} of {len(reports)} bags refused" if refused else "")
    if config.json is not None:
        speed = {"recorded_s": recorded_s, "processor_s": spent_s}
        write_json(config.json, {"ok": not refused, "bags": [each.as_data() for each in reports], **speed})
    return 1 if refused else 0


def _new(report: BagReport) -> Sequence[dict]:
    return report.episodes if report.outcome == "converted" else ()


def _seconds(line: dict, fps: float) -> float:
    return float(line["length"] / fps)


def _show(reports: Sequence[BagReport], conversion: Conversion) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console()
    out = terminal if terminal.is_terminal else Console(width=_PIPE_WIDTH)
    streams = ["state", "action", *(camera.name for camera in conversion.robot.cameras)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("bag", "episode", "seconds", "sentence", *(f"{stream} [Hz]" for stream in streams)):
        table.add_column(name, overflow="fold", justify="right" if name not in ("bag", "sentence") else "left")
    for name in ("oldest [ms]", "lost", "lag [ms]"):
        table.add_column(name, justify="right")
    for report in reports:
        for line in report.episodes:
            table.add_row(report.bag.name, str(line["episode_index"]), *_cells(report, line, streams, conversion.fps))
    if table.row_count:
        out.print(table)
    for report in reports:
        if report.detail:
            said = report.detail.removeprefix(str(report.bag)).removeprefix(":").strip()
            out.print(Text(f"{report.outcome}: {report.bag}: {said}", style=_STYLES[report.outcome]), soft_wrap=True)
        for part in report.dropped:
            text = f"{report.bag}: {part['from_s']:.2f} to {part['to_s']:.2f} s left out: {part['why']}"
            out.print(Text(text, style="dim"), soft_wrap=True)


def _cells(report: BagReport, line: dict, streams: Sequence[str], fps: float) -> list[str]:
    """Of one episode, from ``seconds`` on. Of a bag that was there before, its rates are not measured again."""
    rates = [f"{report.timings[stream]['rate_hz']:.2f}" if report.timings else "" for stream in streams]
    lag_s = line["action_lag_s"]
    lag = "-" if lag_s is None else f"{1e3 * lag_s:.0f}" + ("!" if not 0 < lag_s <= _SLOW_S else "")
    oldest = "/".join(f"{1e3 * line['oldest_s'][stream]:.0f}" for stream in streams)
    return [f"{_seconds(line, fps):.1f}", line["tasks"][0], *rates, oldest, _lost(report), lag]


def _lost(report: BagReport) -> str:
    """Of all streams; '?' where the recorder kept no sequence numbers, as other recorders do not."""
    known = [timing["lost"] for timing in report.timings.values() if timing["lost"] >= 0]
    return str(sum(known)) if known else "?" if report.timings else ""
