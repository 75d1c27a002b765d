# SPDX-License-Identifier: Apache-2.0
"""``gr00t bag play BAG``: what was recorded, published again at the times it was recorded, where there is no rosbag2."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.json_file import write_json
from gr00t_bringup.playback.controls import HELP, NoControls, keys_of_terminal
from gr00t_bringup.playback.player import Player, PlayOptions, PlayReport, Progress, Sink, require_playable
from gr00t_bringup.playback.selection import Selection, select
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.bag_clock import RecordedTime, recorded_time
from gr00t_policy.data.bag_reading import BagContents, bag_contents

_CLOCK_HZ = 40.0  # as `ros2 bag play --clock` without a number
_LINE_PERIOD_S = 5.0  # where there is no terminal


def _hertz(words: list[str]) -> float:
    """Of '--clock' or '--clock HZ'."""
    if not words:
        return _CLOCK_HZ
    try:
        [number] = words
        return float(number)
    except ValueError as error:
        raise ValueError(
            f"--clock takes one number [Hz] or none, got '{' '.join(words)}'; name the bag first"
        ) from error


_OptionalHertz = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="[HZ]",
    instance_from_str=_hertz,
    is_instance=lambda value: isinstance(value, float),
    str_from_instance=lambda value: [f"{value:g}"],
)


@dataclass(frozen=True)
class BagPlayConfig:
    """Options are named as those of `ros2 bag play`. Exit code 0: played to the end; 130: ended by Ctrl-C."""

    bag: Annotated[Path, tyro.conf.Positional]
    """folder of the bag, or one of its .mcap files"""
    rate: Annotated[float, tyro.conf.arg(aliases=("-r",))] = 1.0
    """how fast: 2 is twice as fast as recorded"""
    loop: Annotated[bool, tyro.conf.arg(aliases=("-l",)), tyro.conf.FlagCreatePairsOff] = False
    """begin again at the end, until Ctrl-C"""
    start_offset: float = 0.0
    """begin so many seconds into the bag; latched messages from before are sent first"""
    topics: tuple[str, ...] = ()
    """play these only"""
    exclude_topics: tuple[str, ...] = ()
    """do not play these"""
    remap: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("-m",))] = ()
    """play topics under other names: /old:=/new ..."""
    clock: Annotated[float, _OptionalHertz] = 0.0
    """publish the recorded time on /clock, 40 times a second or as often as said; the bag's own /clock is left out"""
    clock_topics_all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """publish it right before each message (too)"""
    delay: Annotated[float, tyro.conf.arg(aliases=("-d",))] = 0.0
    """wait so many seconds before the first round"""
    start_paused: Annotated[bool, tyro.conf.arg(aliases=("-p", "--pause")), tyro.conf.FlagCreatePairsOff] = False
    """wait for the space bar"""
    disable_keyboard_controls: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """leave the terminal alone"""
    allow_commands: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """also play what moves a robot that is there: joint_trajectory and the like, and inputs of a stack that drives one"""
    json: Path | None = None
    """write how many messages were played, and how late, here"""

    def options(self) -> PlayOptions:
        """Raises ConfigError for values out of range."""
        return PlayOptions(
            rate=self.rate,
            start_offset_s=self.start_offset,
            delay_s=self.delay,
            clock_hz=self.clock,
            clock_at_messages=self.clock_topics_all,
            loop=self.loop,
            start_paused=self.start_paused,
        )

    def selection(self, contents: BagContents) -> Selection:
        """Raises ConfigError for topics that are not there or would move a robot, DatasetError for an empty bag."""
        if not contents.counts.total():
            raise DatasetError(f"{contents.bag} is an empty bag: it has {len(contents.topics)} topics and no message")
        return select(
            contents.topics,
            silent={name for name in contents.topics if not contents.counts[name]},
            wanted=self.topics,
            excluded=self.exclude_topics,
            remap=self.remap,
            with_clock=self.plays_clock,
            allow_commands=self.allow_commands,
        )

    @property
    def plays_clock(self) -> bool:
        return bool(self.clock) or self.clock_topics_all


def run(config: BagPlayConfig) -> int:
    """Play to the end. Raises Gr00tError for what cannot be played, KeyboardInterrupt when a person ends it."""
    from gr00t_bringup.ros.bag_publishers import announced

    options, contents = config.options(), bag_contents(config.bag)
    selection = config.selection(contents)
    recorded = recorded_time(contents)
    require_playable(recorded, selection, options)
    if config.start_paused and (config.disable_keyboard_controls or not sys.stdin.isatty()):
        raise ConfigError("--start-paused needs a terminal to press the space bar in; the standard input is none")
    _announce(recorded, selection)
    with announced(selection, with_clock=config.plays_clock, allow_commands=config.allow_commands, warn=_warn) as sink:
        return _play(config, options, recorded, selection, sink)


def _play(config: BagPlayConfig, options: PlayOptions, recorded: RecordedTime, selection: Selection, sink: Sink) -> int:
    with keys_of_terminal(disabled=config.disable_keyboard_controls) as controls:
        if not isinstance(controls, NoControls):
            print(HELP)
        player = Player(recorded, selection, options, sink, controls, time.monotonic_ns, _teller())
        try:
            player.run()
        finally:
            _conclude(player.report, options, config.json)
    return 0


def _announce(recorded: RecordedTime, selection: Selection) -> None:
    contents = recorded.contents
    files = f" in {len(contents.files)} files" if len(contents.files) > 1 else ""
    print(f"{contents.bag}: {recorded.duration_ns / 1e9:.1f} s, {contents.counts.total()} messages{files}; plays")
    for name, played in selection.names.items():
        renamed = f" as {played}" if played != name else ""
        print(f"  {contents.counts[name]:8d}  {name}  {selection.topics[name].type_name}{renamed}")
    for step in recorded.steps:
        _warn(f"{step}; it is played without a wait, and the recorded time jumps there as it did")
    for gap in recorded.gaps:
        _warn(f"{gap}, and that is waited for; --start-offset goes past it, --rate makes it shorter")
    if selection.withheld:
        print(
            f"not played: {', '.join(selection.withheld)}: a robot that listens would move; --allow-commands plays them"
        )


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _teller() -> Callable[[Progress], None]:
    """A line that is written over in a terminal, a line now and then elsewhere."""
    if sys.stdout.isatty():
        return lambda progress: print(f"\r\x1b[K{_line(progress)}", end="", flush=True)
    told_s = [time.monotonic()]

    def tell(progress: Progress) -> None:
        if time.monotonic() - told_s[0] >= _LINE_PERIOD_S:
            told_s[0] = time.monotonic()
            print(_line(progress), flush=True)

    return tell


def _line(progress: Progress) -> str:
    state = "paused" if progress.is_paused else "playing"
    again = f", round {progress.round}" if progress.round > 1 else ""
    where = f"{progress.played_s:.1f} of {progress.total_s:.1f} s"
    return f"{state} {where}, rate {progress.rate:.2f}, {progress.messages} messages{again}"


def _conclude(report: PlayReport, options: PlayOptions, file: Path | None) -> None:
    late = report.lateness
    if sys.stdout.isatty():
        print()
    print(
        f"{report.messages.total()} messages in {report.seconds:.1f} s; sent later than due by {1e3 * late.p50_s:.2f} ms p50, "
        f"{1e3 * late.p99_s:.2f} p99, {1e3 * late.max_s:.2f} at most"
    )
    if file is not None:
        write_json(file, {**report.as_data(), "options": asdict(options)})
