# SPDX-License-Identifier: Apache-2.0
"""Where the recorder's clock was set within a bag, so that its times of receipt do not say how long things took.

A clock that is set back puts later messages before earlier ones; the order in the file and the senders' numbers still tell
which came first. One that is set forward leaves a gap in which nothing is missing: the senders' numbers, or their own
times, go on as if it were not there. Both split a bag into stretches, within which its times are right.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.bag_reading import BagContents, places_as_written, read_as_written, read_bag
from gr00t_policy.data.bag_topic import BagMessage

SET_BACK_S = 0.1  # messages of one topic never overtake each other by that much; what conversion takes as a step too
GAP_S = 5.0  # nobody minds a shorter wait
_STEADY_COUNT, _STEADY_GAPS = 20, 20.0  # messages, and periods in a gap, from which on a topic's silence says something
_UNORDERED = 50  # steps back on one topic: not a clock, but a file that is not in the order of receipt
_OUT_OF_ORDER_S = 0.5
_S_NS = 1e9


@dataclass(frozen=True)
class Stretch:
    """Times of receipt [ns] of the first and last message of a part in which the clock was not set. part: see below."""

    start_ns: int
    end_ns: int
    part: int

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class RecordedTime:
    """stretches: in the order in which they were recorded, one where nothing was set.

    steps: of the clock, for people; gaps: in which nothing was recorded, and that nothing speaks against.
    cuts: topic -> how many of its messages were written before each time that the clock was set back, which begins a new
    part; empty where it never was.
    """

    contents: BagContents
    stretches: tuple[Stretch, ...]
    cuts: Mapping[str, tuple[int, ...]]
    steps: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def was_set_back(self) -> bool:
        """Then times do not say which message came first."""
        return any(self.cuts.values())

    @property
    def duration_ns(self) -> int:
        """What was recorded, without the time by which the clock was set."""
        return sum(stretch.duration_ns for stretch in self.stretches)

    def passed_ns(self, number: int) -> int:
        """Before the begin of a stretch."""
        return sum(stretch.duration_ns for stretch in self.stretches[:number])

    def at(self, passed_ns: int) -> tuple[int, int]:
        """(stretch, time of receipt [ns]) so long after the first message."""
        ends = list(accumulate(stretch.duration_ns for stretch in self.stretches))
        number = min(bisect_right(ends, passed_ns), len(ends) - 1)
        return number, self.stretches[number].start_ns + passed_ns - self.passed_ns(number)

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None
    ) -> Iterator[tuple[int, BagMessage]]:
        """(stretch, message) in order. start_ns: as of ``read_bag``, where no clock was set back. Raises DatasetError."""
        if not self.was_set_back:
            starts = [stretch.start_ns for stretch in self.stretches]
            for message in read_bag(self.contents.bag, topics, start_ns):
                yield max(bisect_right(starts, message.log_ns) - 1, 0), message
            return
        by_part: dict[int, list[int]] = {}
        for number, stretch in enumerate(self.stretches):
            by_part.setdefault(stretch.part, []).append(number)
        seen = dict.fromkeys(self.contents.topics, 0)
        for message in read_as_written(self.contents.bag, topics):
            inside = by_part[bisect_right(self.cuts[message.topic], seen[message.topic])]
            seen[message.topic] += 1
            yield inside[0] + sum(self.stretches[number].start_ns <= message.log_ns for number in inside[1:]), message


def recorded_time(contents: BagContents) -> RecordedTime:
    """Of a closed bag. Messages are read only where their times look as if a clock was set. Raises DatasetError."""
    return _Search(contents).found()


@dataclass(frozen=True)
class _Times:
    """Of one topic in the order as written. place: grows over all topics of the bag; part: (N,) int64."""

    place: NDArray[np.int64]
    log_ns: NDArray[np.int64]


@dataclass(frozen=True)
class _Fall:
    """Where the times of a topic fall: at its message ``number``, written at ``place``."""

    topic: str
    number: int
    place_before: int
    place: int
    log_before_ns: int
    log_ns: int

    def is_seen_by(self, other: "_Fall") -> bool:
        """Whether another topic's fall, written later, is of the same step; threads may write a little out of order."""
        if other.topic != self.topic and other.place_before < self.place:
            return True
        apart_ns = abs(other.log_before_ns - self.log_before_ns), abs(other.log_ns - self.log_ns)
        return other.topic != self.topic and max(apart_ns) < _OUT_OF_ORDER_S * _S_NS


@dataclass(frozen=True)
class _Sender:
    """What the sender says about one message."""

    sequence: int
    publish_ns: int


Step = tuple[str, int]
"""Topic, and number of the message behind which something is odd."""


class _Search:
    def __init__(self, contents: BagContents) -> None:
        self._contents = contents
        self._times = _all_times(contents)
        self._senders: dict[Step, _Sender] = {}

    def found(self) -> RecordedTime:
        cuts = self._cuts()
        counts = {name: tuple(self._count(name, cut) for cut in cuts) for name in self._contents.topics}
        stretches: list[Stretch] = []
        steps: list[str] = []
        gaps: list[str] = []
        for part in range(len(cuts) + 1):
            logs = {name: self._of_part(name, counts[name], part) for name in self._times}
            every = np.sort(np.concatenate([np.zeros(0, np.int64), *logs.values()]))
            if not len(every):
                continue
            if stretches:
                back_s = (stretches[-1].end_ns - int(every[0])) / _S_NS
                steps.append(f"{_at(stretches)}: the clock was set back by {back_s:.1f} s")
            begins = {name: (0, *counts[name])[part] for name in self._times}
            first_ns = int(every[0])
            for before_ns, after_ns in _wide_gaps(every):
                until = [*stretches, Stretch(first_ns, before_ns, part)]
                gap_s = (after_ns - before_ns) / _S_NS
                if self._goes_on_over(before_ns, after_ns, logs, begins):
                    stretches, first_ns = until, after_ns
                    steps.append(f"{_at(until)}: the clock was set forward by {gap_s:.1f} s, or all stood still: no "
                                 "message is missing")  # fmt: skip
                else:
                    gaps.append(f"{_at(until)}: nothing was recorded for {gap_s:.1f} s")
            stretches.append(Stretch(first_ns, int(every[-1]), part))
        whole = Stretch(self._contents.start_ns, self._contents.end_ns, 0)
        return RecordedTime(
            self._contents, tuple(stretches) or (whole,), counts if cuts else {}, tuple(steps), tuple(gaps)
        )

    def _falls(self, topic: str) -> list[Step]:
        steps = np.flatnonzero(np.diff(self._times[topic].log_ns) < -SET_BACK_S * _S_NS)
        return [(topic, int(step)) for step in steps] if len(steps) < _UNORDERED else []

    def _cuts(self) -> list[dict[str, int]]:
        """Each time that the clock was set back: topic -> its messages before, of the topics that show it."""
        falls = [step for topic in self._times for step in self._falls(topic)]
        self._ask(falls)
        cuts: list[dict[str, int]] = []
        first: _Fall | None = None
        for fall in sorted((self._fall(step) for step in falls), key=lambda fall: fall.place):
            if self._senders[fall.topic, fall.number].sequence < self._senders[fall.topic, fall.number - 1].sequence:
                continue  # the later message was written first: the file is not in order, or the sender began again
            if first is None or not first.is_seen_by(fall):
                first = fall
                cuts.append({"": fall.place})
            cuts[-1].setdefault(fall.topic, fall.number)
        return cuts

    def _fall(self, step: Step) -> "_Fall":
        topic, number = step
        times = self._times[topic]
        (place_before, place), (log_before, log) = times.place[number : number + 2], times.log_ns[number : number + 2]
        return _Fall(topic, number + 1, int(place_before), int(place), int(log_before), int(log))

    def _count(self, topic: str, cut: Mapping[str, int]) -> int:
        """Messages of a topic that were written before the clock was set."""
        if topic in cut:
            return cut[topic]
        return int(np.searchsorted(self._times[topic].place, cut[""])) if topic in self._times else 0

    def _of_part(self, topic: str, cuts: tuple[int, ...], part: int) -> NDArray[np.int64]:
        edges = [0, *cuts, len(self._times[topic].log_ns)]
        return self._times[topic].log_ns[edges[part] : edges[part + 1]]

    def _goes_on_over(
        self, before_ns: int, after_ns: int, logs: Mapping[str, NDArray[np.int64]], begins: Mapping[str, int]
    ) -> bool:
        """Whether steady senders went on over a gap as if it were not there. begins: number of the first of ``logs``."""
        gap_ns = after_ns - before_ns
        periods: dict[Step, float] = {}
        for topic, log_ns in logs.items():
            number = int(np.searchsorted(log_ns, before_ns, side="right")) - 1
            period_ns = float(np.median(np.diff(log_ns))) if len(log_ns) >= _STEADY_COUNT else np.inf
            if 0 <= number < len(log_ns) - 1 and period_ns * _STEADY_GAPS < gap_ns:
                periods[topic, number + begins[topic]] = period_ns
        self._ask(list(periods))
        votes = [self._goes_on(step, gap_ns, period_ns) for step, period_ns in periods.items()]
        said = [vote for vote in votes if vote is not None]
        return bool(said) and all(said)

    def _goes_on(self, step: Step, gap_ns: int, period_ns: float) -> bool | None:
        """None where the sender's messages do not tell."""
        before, after = self._senders[step], self._senders[step[0], step[1] + 1]
        if after.sequence > before.sequence:
            return (after.sequence - before.sequence) * period_ns < gap_ns / 2
        went_on_ns = after.publish_ns - before.publish_ns  # a copy of the time of receipt goes on by the whole gap
        return True if before.publish_ns and 0 < went_on_ns < gap_ns / 2 else None

    def _ask(self, steps: list[Step]) -> None:
        """Read what the senders say before and after each step."""
        wanted: dict[str, set[int]] = {}
        for topic, number in steps:
            if (topic, number) not in self._senders or (topic, number + 1) not in self._senders:
                wanted.setdefault(topic, set()).update((number, number + 1))
        if not wanted:
            return
        seen = dict.fromkeys(wanted, 0)
        for message in read_as_written(self._contents.bag, list(wanted)):
            number = seen[message.topic]
            seen[message.topic] += 1
            if number in wanted[message.topic]:
                said = _Sender(message.sequence, message.publish_ns)
                self._senders[message.topic, number] = said


def _all_times(contents: BagContents) -> dict[str, _Times]:
    """Of all files, one behind the other."""
    parts: dict[str, list[_Times]] = {}
    begin = 0
    for file in contents.files:
        places = places_as_written(file)
        for topic, (place, log_ns) in places.items():
            parts.setdefault(topic, []).append(_Times(place + begin, log_ns))
        begin += max((int(place[-1]) + 1 for place, _ in places.values() if len(place)), default=0)
    return {
        topic: _Times(np.concatenate([one.place for one in listed]), np.concatenate([one.log_ns for one in listed]))
        for topic, listed in parts.items()
    }


def _wide_gaps(log_ns: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(last before, first after) each, of sorted times [ns]."""
    wide = np.flatnonzero(np.diff(log_ns) > GAP_S * _S_NS)
    return [(int(log_ns[i]), int(log_ns[i + 1])) for i in wide]


def _at(stretches: list[Stretch]) -> str:
    """The end of what was recorded until now, for people."""
    return f"{sum(stretch.duration_ns for stretch in stretches) / _S_NS:.1f} s in"
