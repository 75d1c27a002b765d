# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench loop``: the whole stack at work, measured from outside; says what else ran on the machine."""

import os
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gr00t_bringup.bench.goals import goals, memory_goal
from gr00t_bringup.bench.scenes import SceneResult, SceneSequence
from gr00t_bringup.demo import sentence_for, summary_of
from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import (
    ProcessMemory,
    busiest_others,
    cpu_seconds,
    cpu_shares,
    cpu_times,
    memory_of,
    this_machine,
)
from gr00t_bringup.measure import RunFigures, measure, read_streams
from gr00t_bringup.status import live_display
from gr00t_bringup.tracing.leads import LeadFigures, leads_to_text, read_leads
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagWriter

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import StackOptions

_DISPLAY_PERIOD_S = 0.5


@dataclass(frozen=True)
class LoopConfig:
    """What to measure. Exit code 0 when the run could be measured; the goals are shown, not enforced."""

    duration_s: float = 60.0
    """time measured, unless episodes are counted"""
    episodes: int = 0
    """measure this many scenes instead, however long they take"""
    episode_s: float = 20.0
    """a new scene after success or after this time"""
    say: str | None = None
    """the sentence the robot is to obey; empty: each scene's own (default: as in the demo)"""
    task: str = "pick_named_object"
    """a task of the simulator"""
    seed: int = 10000
    """seed of the first scene; each further scene takes the next"""
    out: Path = Path("out/bench_loop")
    """folder for bag/ and logs/"""
    json: Path | None = None
    """write the figures here"""
    checkpoint: Path | None = None
    """checkpoint folder; default: that of --params-file, else the one shipped in models/"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    params_file: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """further ROS parameter files, later ones win; may be given several times"""
    keep_bag: bool = False
    """leave the bag behind"""

    def __post_init__(self) -> None:
        if self.duration_s < 3 or self.episode_s < 3:
            raise ConfigError(
                f"duration_s and episode_s must be at least 3, got {self.duration_s} and {self.episode_s}: "
                "the first second is not measured"
            )


@dataclass
class Observed:
    """What was seen beside the bag."""

    scenes: list[SceneResult] = field(default_factory=list)
    memory: dict[str, ProcessMemory] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    busy_cores: float = 0.0
    stolen_cores: float = 0.0
    others: dict[str, float] = field(default_factory=dict)
    lost_by_recorder: dict[str, int] = field(default_factory=dict)
    leads: dict[str, LeadFigures] = field(default_factory=dict)


def run(config: LoopConfig) -> int:
    """Measure and print. Raises Gr00tError when the stack did not come up or never drove."""
    wish = sentence_for(config.task, config.say)
    fresh_folder(config.out, ("bag", "logs"))
    observed = _observe(config, wish)
    figures, observed.leads = measure(read_streams(config.out / "bag")), read_leads(config.out / "bag")
    successes = sum(scene.success for scene in observed.scenes)
    result = summary_of(wish, config.seed, successes > 0, figures) | {
        "scenes": [asdict(scene) for scene in observed.scenes],
        "successes": successes,
        "memory_mb": {name: asdict(memory) for name, memory in observed.memory.items()},
        "load_average": list(os.getloadavg()),
        "cores_used": observed.cores,
        "busy_cores": observed.busy_cores,
        "stolen_cores": observed.stolen_cores,
        "others_cores": observed.others,
        "lost_by_recorder": observed.lost_by_recorder,
        "tick_leads": {node: asdict(lead) for node, lead in observed.leads.items()},
    }
    print_figures(figures, observed)
    if config.json is not None:
        write_json(config.json, result)
    if not config.keep_bag:
        shutil.rmtree(config.out / "bag")
    return 0


def _observe(config: LoopConfig, wish: str) -> Observed:
    from gr00t_bringup.ros.stack import running_stack

    observed = Observed()
    with running_stack(stack_options(config), config.out / "logs", BagWriter(config.out / "bag")) as stack:
        stack.wait_active()
        scenes = SceneSequence(stack, config.task, wish, config.seed, config.episode_s)
        observed.scenes = scenes.results

        def enough(now_s: float) -> bool:
            if config.episodes:
                return len(scenes.results) >= config.episodes
            return now_s - began_s >= config.duration_s

        began_s, before, times = time.monotonic(), cpu_seconds(), cpu_times()
        scenes.begin()
        with live_display("gr00t bench loop") as display:
            while True:
                time.sleep(_DISPLAY_PERIOD_S)
                now_s = time.monotonic()
                stack.processes.check()
                status = stack.status()
                display(status)
                if scenes.over(status, now_s) or (not config.episodes and enough(now_s)):
                    scenes.judge(status, now_s)
                    if enough(now_s):
                        break
                    scenes.begin()
        elapsed_s, now = time.monotonic() - began_s, cpu_times()
        observed.busy_cores = round((now.busy_s - times.busy_s) / elapsed_s, 3)
        observed.stolen_cores = round((now.stolen_s - times.stolen_s) / elapsed_s, 3)
        _look_around(stack, observed, before, elapsed_s)
    return observed


def stack_options(config: LoopConfig) -> "StackOptions":
    """The nodes that are measured and their parameters."""
    from gr00t_bringup.ros.stack import StackOptions

    return StackOptions(
        checkpoint=config.checkpoint,
        tokenizer=config.tokenizer,
        parameter_files=config.params_file,
        overrides={"sim": {"task": config.task, "seed": config.seed}},
    )


def _look_around(stack: Any, observed: Observed, before: dict[int, tuple[str, float]], elapsed_s: float) -> None:
    pids = {**stack.processes.pids, "gr00t bench": os.getpid()}
    observed.memory = memory_of(pids)
    after = cpu_seconds()
    observed.cores = cpu_shares(before, after, pids, elapsed_s)
    observed.others = busiest_others(before, after, set(pids.values()), elapsed_s)
    observed.lost_by_recorder = {topic: lost for topic, lost in stack.recorder.lost.items() if lost}


def print_figures(figures: RunFigures, observed: Observed) -> None:
    """The table of goals, and what was seen beside the bag."""
    from rich.console import Console
    from rich.table import Table

    machine = this_machine()
    table = Table(title=f"{machine.cpu}, {machine.cores} cores", title_justify="left")
    for column in ("figure", "measured", "goal", ""):
        table.add_column(column)
    peaks_mb = [memory.peak_mb for memory in observed.memory.values()]
    for goal in (*goals(figures), memory_goal(peaks_mb)):
        digits = 3 if goal.unit == "%" else 2
        table.add_row(goal.name, f"{goal.value:.{digits}f} {goal.unit}", goal.wanted, goal.verdict)
    console = Console()
    console.print(table)
    gaps, wake_ups = figures.command_gaps, figures.wake_up_lateness_ms
    console.print(
        f"commands missed: {figures.deadline_misses} of {figures.ticks} due; gaps of more than 1.5 periods {gaps.late}, in them "
        f"{gaps.missed} not sent; longest gap {gaps.longest_ms:.1f} ms; pauses {gaps.pauses}"
    )
    console.print(f"wake-up lateness p99 of the worst ten seconds: {wake_ups.p99_of_the_worst:.2f} ms")
    for title, text in leads_to_text(observed.leads):
        console.print(f"{title}: {text}")
    each = ", ".join(f"{name} {memory.peak_mb:.0f}" for name, memory in observed.memory.items())
    console.print(f"peak memory {sum(peaks_mb):.0f} MB: {each}")
    used = ", ".join(f"{name} {share:.2f}" for name, share in observed.cores.items())
    console.print(f"cores used {sum(observed.cores.values()):.2f}: {used}")
    for scene in observed.scenes:
        console.print(f"seed {scene.seed}: {scene.detail}, {scene.seconds:.1f} s ({scene.sentence})")
    console.print(f"scenes {len(observed.scenes)}, solved {sum(scene.success for scene in observed.scenes)}")
    others = ", ".join(f"{name} {share:.2f}" for name, share in observed.others.items()) or "nothing to speak of"
    console.print(f"what else ran (cores): {others}; load average {os.getloadavg()[0]:.1f}")
    console.print(
        f"busy with anything: {observed.busy_cores:.2f} cores; taken by the host: {observed.stolen_cores:.2f}"
    )
