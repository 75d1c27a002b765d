# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench soak``: the whole stack at work for long, watched every few seconds; fails when something gets worse.

Every sample is on disk before the next is taken, so that a run that was cut off leaves what it saw.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gr00t_bringup.bench.scenes import SceneResult, SceneSequence
from gr00t_bringup.bench.soak_levels import SoakLevels, levels_lost
from gr00t_bringup.bench.soak_plot import draw_soak
from gr00t_bringup.bench.soak_verdict import TIME, SoakLimits, getting_worse, series_of, trends_of
from gr00t_bringup.bench.trend import Trend
from gr00t_bringup.bench.vital_signs import Sample, VitalSigns
from gr00t_bringup.demo import sentence_for
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.processes import ProcessDiedError
from gr00t_bringup.status import live_display
from gr00t_policy.core.errors import ConfigError, Gr00tError
from gr00t_policy.data.durable import append_json_line, drop_torn_line
from gr00t_policy.data.json_file import json_lines

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import StackOptions

_POLL_S = 0.5
_SAMPLES = "samples.jsonl"
_NAME_WIDTH = 32
_FEWEST_SAMPLES = 36  # of which a third may be warm-up


@dataclass(frozen=True)
class SoakConfig:
    """How long, what is sampled how often. Exit code 1 when something gets worse, or the robot stands still, or a node ends."""

    minutes: float = 10.0
    """length of the run, after the nodes have started"""
    period_s: float = 5.0
    """time between two samples"""
    warm_up_s: float = 120.0
    """not judged, as programs grow until they have done everything once; at most a third of the run"""
    limits: SoakLimits = field(default_factory=SoakLimits)
    """change to the worse per hour that is not called a trend"""
    levels: SoakLevels = field(default_factory=SoakLevels)
    """where rates, misses and the share of time in which the robot is driven must stay, in each quarter of the time judged"""
    again: bool = False
    """judge the samples that a former run left in --out, also one that was cut off, by these limits; nothing is started"""
    task: str = "pick_named_object"
    """a task of the simulator; scene follows scene, each with its own sentence"""
    seed: int = 10000
    """seed of the first scene; each further scene takes the next"""
    episode_s: float = 20.0
    """a new scene after success or after this time"""
    out: Path = Path("out/bench_soak")
    """folder for samples.jsonl and logs/"""
    json: Path | None = None
    """write samples and verdicts here"""
    plot: Path | None = None
    """draw everything over time here (PNG)"""
    checkpoint: Path | None = None
    """checkpoint folder; default: that of --params-file, else the one shipped in models/"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    params_file: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """further ROS parameter files, later ones win; may be given several times"""

    def __post_init__(self) -> None:
        if self.period_s <= 0 or self.warm_up_s < 0 or self.episode_s < 3:
            raise ConfigError(f"period_s must be above 0, warm_up_s not below 0, episode_s at least 3: {self}")
        if 60 * self.minutes / self.period_s < _FEWEST_SAMPLES:
            raise ConfigError(
                f"{self.minutes:g} minutes give fewer than {_FEWEST_SAMPLES} samples, one every {self.period_s:g} s: "
                "too few to see a trend; run longer or lower --period-s"
            )


@dataclass
class _Seen:
    """What the run left behind. ended: why it ended early, if it did. samples: read back from the disk at the end, so that who
    watches does not grow himself."""

    samples: list[Sample] = field(default_factory=list)
    scenes: list[SceneResult] = field(default_factory=list)
    ended: str = ""


def run(config: SoakConfig) -> int:
    """Watch, judge, print, draw; 0 when nothing gets worse, 1 when something does or the run ended early. Raises Gr00tError
    when nothing was seen."""
    wish = sentence_for(config.task, "")  # an unknown task is refused before anything starts
    seen = _Seen()
    if not config.again:
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / _SAMPLES).write_text("")
        try:
            _watch(config, wish, seen)
        except Gr00tError as error:
            nothing_seen = not (config.out / _SAMPLES).stat().st_size
            if nothing_seen and not isinstance(error, ProcessDiedError):
                raise
            seen.ended = str(error)
    seen.samples = _read_samples(config.out / _SAMPLES)
    if config.again and len(seen.samples) < _FEWEST_SAMPLES:
        raise ConfigError(f"{config.out / _SAMPLES} has {len(seen.samples)} samples; a trend needs {_FEWEST_SAMPLES}")
    return _conclude(config, seen)


def _conclude(config: SoakConfig, seen: _Seen) -> int:
    """Judge what was seen; the exit code."""
    not_judged_s = min(config.warm_up_s, seen.samples[-1][TIME] / 3) if seen.samples else config.warm_up_s
    trends = trends_of(seen.samples, config.limits, not_judged_s)
    lost = levels_lost(seen.samples, config.levels, not_judged_s)
    failures = [*([seen.ended] if seen.ended else []), *getting_worse(trends), *lost]
    _print(trends, seen)
    if config.json is not None:
        write_json(config.json, _as_data(config, seen, trends, failures) | {"warm_up_s": not_judged_s})
    if config.plot is not None and seen.samples:
        draw_soak(seen.samples, trends, not_judged_s, config.plot)
        print(config.plot)
    for failure in failures:
        print(f"FAILED: {failure}")
    if not failures:
        print("nothing gets worse, as far as a run of this length can tell (column 'seen from')")
    return 1 if failures else 0


def _read_samples(file: Path) -> list[Sample]:
    """Of this run or a former one, which may have been killed while it wrote. Raises ConfigError without a file of samples."""
    drop_torn_line(file)
    try:
        return [json.loads(line) for line in json_lines(file.read_text())]
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist; a run without --again writes it") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file} is not a file of samples: {error}") from None


def stack_options(config: SoakConfig) -> "StackOptions":
    """The nodes that are watched and their parameters."""
    from gr00t_bringup.ros.stack import StackOptions

    return StackOptions(
        checkpoint=config.checkpoint,
        tokenizer=config.tokenizer,
        parameter_files=config.params_file,
        overrides={"sim": {"task": config.task, "seed": config.seed}},
    )


def _watch(config: SoakConfig, wish: str, seen: _Seen) -> None:
    from gr00t_bringup.ros.stack import running_stack

    with running_stack(stack_options(config), config.out / "logs") as stack:
        stack.wait_active()
        scenes = SceneSequence(stack, config.task, wish, config.seed, config.episode_s)
        seen.scenes = scenes.results
        scenes.begin()
        signs, began_s = VitalSigns(), time.monotonic()
        due_s = began_s + config.period_s
        with live_display(f"gr00t bench soak, {config.minutes:g} minutes") as display:
            while (now_s := time.monotonic()) < began_s + 60 * config.minutes:
                time.sleep(max(min(_POLL_S, due_s - now_s), 0.0))
                now_s = time.monotonic()
                stack.processes.check()
                status = stack.status()
                if now_s >= due_s:
                    sample = {TIME: round(now_s - began_s, 3), **signs.sample(status, stack.processes.pids)}
                    append_json_line(config.out / _SAMPLES, sample)
                    due_s = max(due_s + config.period_s, now_s)
                    display(status)
                if scenes.over(status, now_s):
                    scenes.judge(status, now_s)
                    scenes.begin()
        scenes.judge(stack.status(), time.monotonic())


def _as_data(config: SoakConfig, seen: _Seen, trends: dict[str, Trend], failures: list[str]) -> dict[str, Any]:
    return {
        "minutes": config.minutes,
        "limits": asdict(config.limits),
        "levels": asdict(config.levels),
        "failures": failures,
        "trends": {
            name: asdict(trend) | {"visible_per_hour": trend.visible_per_hour} for name, trend in trends.items()
        },
        "scenes": [asdict(scene) for scene in seen.scenes],
        "successes": sum(scene.success for scene in seen.scenes),
        "machine": asdict(this_machine()),
        "series": series_of(seen.samples),
    }


def _print(trends: dict[str, Trend], seen: _Seen) -> None:
    series = series_of(seen.samples)
    columns = f"{'at the end':>10} {'an hour':>9} {'99.9 % interval':>22} {'allowed':>8} {'seen from':>10}"
    print(f"{'change of':<{_NAME_WIDTH}} {columns}")
    for name, trend in trends.items():
        line = f"{name:<{_NAME_WIDTH}} {series[name][-1]:10.2f}"
        if trend.slope is not None:
            sign = "-" if trend.limit.falls else "+"
            interval = f"{trend.slope.low:.2f} to {trend.slope.high:.2f}"
            allowed = f"{sign}{trend.limit.per_hour:g}"
            line += f" {trend.slope.per_hour:+9.2f} {interval:>22} {allowed:>8} {trend.visible_per_hour:10.1f}"
        print(f"{line}  {trend.verdict}")
    solved = sum(scene.success for scene in seen.scenes)
    print(f"{len(seen.samples)} samples" + (f"; scenes {len(seen.scenes)}, solved {solved}" if seen.scenes else ""))
