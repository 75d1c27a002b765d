# SPDX-License-Identifier: Apache-2.0
"""Plays a bag at the times it was recorded, on the steady clock. Knows no ROS: messages go to a ``Sink``.

One thread does everything: it waits for the next message, the next tick of /clock or a key, whichever is first. What
comes late is sent at once and does not delay what follows. Where the recorder's clock was set within the bag, the time of
the bag (and /clock) jumps as it did, and nothing waits for it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from gr00t_bringup.playback.controls import Command, Controls
from gr00t_bringup.playback.selection import Selection
from gr00t_bringup.playback.timeline import Timeline
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagMessage
from gr00t_policy.data.bag_clock import RecordedTime
from gr00t_policy.data.bag_reading import newest_before
from gr00t_policy.runtime.latency import DurationRing, Percentiles

RATE_STEP = 1.1  # of one key press, as in rosbag2
LATCHED = "transient_local"
DEFAULT_DEPTH = 10  # where the recorder did not know the sender's, as discovery does not tell: rosbag2 takes it too
_RATE_RANGE = (1e-3, 1e3)
_WATCH_NS = 1_000_000_000  # how often the sink looks at the graph
_TELL_NS = 100_000_000


class Sink(Protocol):
    """Where a played bag goes."""

    def publish(self, message: BagMessage) -> None:
        """Under its topic's name in the bag."""

    def publish_clock(self, bag_ns: int) -> None: ...

    def watch(self) -> None:
        """Once a second. Raises Gr00tError when playing must end."""


@dataclass(frozen=True)
class PlayOptions:
    """rate: of recorded time; start_offset_s: into the bag; delay_s: before the first round; clock_hz: of /clock, 0 = none.

    clock_at_messages: /clock also right before each message, so that no stamp is ahead of it.
    """

    rate: float = 1.0
    start_offset_s: float = 0.0
    delay_s: float = 0.0
    clock_hz: float = 0.0
    clock_at_messages: bool = False
    loop: bool = False
    start_paused: bool = False

    def __post_init__(self) -> None:
        least, most = _RATE_RANGE
        if not least <= self.rate <= most:
            raise ConfigError(f"--rate must be from {least:g} to {most:g}, 1 is as recorded; got {self.rate:g}")
        if not (0 <= self.start_offset_s < float("inf") and 0 <= self.delay_s < float("inf")):
            raise ConfigError("--start-offset and --delay must be 0 s or more, and finite")
        if self.clock_hz and not 1 <= self.clock_hz <= 10_000:
            raise ConfigError(f"--clock must be from 1 to 10000 Hz, got {self.clock_hz:g}")


@dataclass(frozen=True)
class Progress:
    """played_s: since the beginning of the bag, of ``total_s``. round: from 1."""

    played_s: float
    total_s: float
    messages: int
    rate: float
    is_paused: bool
    round: int


@dataclass
class PlayReport:
    """messages: by the name in the bag. lateness: from when a message was due to when it was sent, of the last 65,536."""

    messages: Counter[str] = field(default_factory=Counter)
    clock_ticks: int = 0
    rounds: int = 0
    seconds: float = 0.0
    lateness: Percentiles = field(default_factory=lambda: DurationRing(1).percentiles())

    def as_data(self) -> dict[str, Any]:
        return {**vars(self), "messages": dict(self.messages), "lateness": asdict(self.lateness)}


def require_playable(recorded: RecordedTime, selection: Selection, options: PlayOptions) -> None:
    """Raise ConfigError where no message would ever be played, or one without end."""
    contents, duration_s = recorded.contents, recorded.duration_ns / 1e9
    if not any(contents.counts[name] for name in selection.topics):
        raise ConfigError(f"{contents.bag} holds no message of {', '.join(selection.topics)}")
    if options.start_offset_s > duration_s:
        raise ConfigError(
            f"--start-offset is {options.start_offset_s:g} s, but {contents.bag} lasts {duration_s:.3f} s"
        )
    if options.loop and duration_s <= options.start_offset_s:
        raise ConfigError(
            f"--loop: {contents.bag} has a single moment from there on, which would be played without end"
        )


class Player:
    """Plays a bag once, or round after round. ``report`` is kept up to date, also when ``run`` is interrupted."""

    def __init__(
        self,
        recorded: RecordedTime,
        selection: Selection,
        options: PlayOptions,
        sink: Sink,
        controls: Controls,
        now_ns: Callable[[], int],
        tell: Callable[[Progress], None],
    ) -> None:
        """now_ns: the steady clock. Raises ConfigError as ``require_playable`` does."""
        require_playable(recorded, selection, options)
        self.report = PlayReport()
        self._recorded, self._selection, self._options = recorded, selection, options
        self._sink, self._controls, self._now_ns, self._tell = sink, controls, now_ns, tell
        self._first_stretch, self._start_ns = recorded.at(round(options.start_offset_s * 1e9))
        self._stretch = self._first_stretch
        self._lateness = DurationRing(1 << 16)
        self._is_stepping = False
        self._began_ns = now_ns()
        self._watch_ns = self._tell_ns = self._clock_ns = self._began_ns
        self._line = Timeline(self._start_ns, self._began_ns, options.rate)

    def run(self) -> PlayReport:
        """Raises DatasetError for a bag that turns out to be damaged, and what the sink raises."""
        options = self._options
        self._began_ns = self._now_ns()
        line = Timeline(self._start_ns, self._began_ns + round(options.delay_s * 1e9), options.rate)
        if options.start_paused:
            line.pause(self._began_ns)
        try:
            while True:
                self._line, self._stretch = line, self._first_stretch
                self.report.rounds += 1
                self._play_once()
                if not options.loop:
                    return self.report
                self._wait_until(self._end_ns)
                line = self._line_from(self._start_ns)
        finally:
            self.report.seconds = (self._now_ns() - self._began_ns) / 1e9
            self.report.lateness = self._lateness.percentiles()
            self._tell(self._progress(self._now_ns()))

    def _play_once(self) -> None:
        for stretch, message, is_early in self._messages():
            while self._stretch < stretch:
                self._wait_until(self._end_ns)
                self._stretch += 1
                self._line = self._line_from(self._recorded.stretches[self._stretch].start_ns)
            due_at_ns = self._start_ns if is_early else min(message.log_ns, self._end_ns)
            self._wait_until(due_at_ns)
            if self._options.clock_at_messages:
                self._sink.publish_clock(max(self._line.bag_at(self._now_ns()), due_at_ns))
            self._sink.publish(message)
            self.report.messages[message.topic] += 1
            due_ns = self._line.steady_at(due_at_ns)
            if due_ns is not None and not is_early and not self._is_stepping:
                self._lateness.add((self._now_ns() - due_ns) / 1e9)
            self._is_stepping = False

    @property
    def _end_ns(self) -> int:
        """Of the stretch that is played; the clock was set there, or it is the bag's end."""
        return self._recorded.stretches[self._stretch].end_ns

    def _line_from(self, bag_ns: int) -> Timeline:
        """From now on, as fast as before, standing if it stood."""
        now_ns = self._now_ns()
        line = Timeline(bag_ns, now_ns, self._line.rate)
        if self._line.is_paused:
            line.pause(now_ns)
        return line

    def _messages(self) -> Iterator[tuple[int, BagMessage, bool]]:
        """Stretch and message from the start on; before them the latched ones that were in force then (True)."""
        topics, first = list(self._selection.topics), self._first_stretch
        kept = {name: deque[BagMessage](maxlen=depth) for name, depth in self._latched().items()}
        is_plain = len(self._recorded.stretches) == 1  # then the index leads to the start, and back from there
        if is_plain and self._options.start_offset_s:
            for name, latched in kept.items():
                latched.extend(newest_before(self._recorded.contents.bag, name, self._start_ns, latched.maxlen or 1))
        has_begun = False
        for stretch, message in self._recorded.messages(topics, self._start_ns if is_plain else None):
            if not has_begun and (stretch, message.log_ns) < (first, self._start_ns):
                if message.topic in kept:
                    kept[message.topic].append(message)
                continue
            if not has_begun:
                has_begun = True
                yield from self._early(kept)
            yield stretch, message, False
        if not has_begun:
            yield from self._early(kept)

    def _early(self, kept: Mapping[str, Sequence[BagMessage]]) -> Iterator[tuple[int, BagMessage, bool]]:
        early = (message for latched in kept.values() for message in latched)
        yield from ((self._first_stretch, message, True) for message in sorted(early, key=lambda one: one.log_ns))

    def _latched(self) -> dict[str, int]:
        """Topic -> how many of its newest messages are in force, of those that latch."""
        return {
            name: max(qos.depth for qos in topic.qos) or DEFAULT_DEPTH
            for name, topic in self._selection.topics.items()
            if any(qos.durability == LATCHED for qos in topic.qos)
        }

    def _wait_until(self, bag_ns: int) -> None:
        """Until it is that time in the bag, or a person asked for the next message."""
        while True:
            now_ns = self._now_ns()
            next_ns = self._serve(now_ns)
            if self._is_stepping:
                self._line.jump(max(bag_ns, self._line.bag_at(now_ns)))
                return
            due_ns = self._line.steady_at(bag_ns)
            if due_ns is not None and due_ns <= now_ns:
                return
            wait_ns = min(next_ns, due_ns if due_ns is not None else next_ns) - now_ns
            for command in self._controls.wait(wait_ns / 1e9):
                self._obey(command)

    def _serve(self, now_ns: int) -> int:
        """Do what is due beside messages; returns when it is due next."""
        if now_ns >= self._watch_ns:
            self._sink.watch()
            self._watch_ns = now_ns + _WATCH_NS
        if now_ns >= self._tell_ns:
            self._tell(self._progress(now_ns))
            self._tell_ns = now_ns + _TELL_NS
        if not self._options.clock_hz:
            return min(self._watch_ns, self._tell_ns)
        if now_ns >= self._clock_ns:
            self._sink.publish_clock(self._line.bag_at(now_ns))
            self.report.clock_ticks += 1
            period_ns = round(1e9 / self._options.clock_hz)
            self._clock_ns = max(self._clock_ns + period_ns, now_ns)
        return min(self._watch_ns, self._tell_ns, self._clock_ns)

    def _obey(self, command: Command) -> None:
        now_ns, line = self._now_ns(), self._line
        if command is Command.PAUSE:
            if line.is_paused:
                line.resume(now_ns)
            else:
                line.pause(now_ns)
        elif command is Command.NEXT:
            self._is_stepping = line.is_paused  # while it plays, the next message comes by itself
        else:
            factor = RATE_STEP if command is Command.FASTER else 1 / RATE_STEP
            least, most = _RATE_RANGE
            line.set_rate(min(max(line.rate * factor, least), most), now_ns)
        self._tell_ns = now_ns

    def _progress(self, now_ns: int) -> Progress:
        line, stretch = self._line, self._recorded.stretches[self._stretch]
        inside_ns = line.bag_at(now_ns) - stretch.start_ns
        return Progress(
            played_s=(self._recorded.passed_ns(self._stretch) + min(inside_ns, stretch.duration_ns)) / 1e9,
            total_s=self._recorded.duration_ns / 1e9,
            messages=self.report.messages.total(),
            rate=line.rate,
            is_paused=line.is_paused,
            round=self.report.rounds,
        )
