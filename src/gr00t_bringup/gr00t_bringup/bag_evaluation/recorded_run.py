# SPDX-License-Identifier: Apache-2.0
"""A bag to judge a policy by: what it saw (pictures, joint states, sentences) and what the robot was told to do.

Where a bag has no commands, what was done is where the joints went.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagTopic
from gr00t_policy.data.bag_clock import recorded_time
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_policy.data.convert_recording import Recording, messages_of_topic, read_recording, recorded_topics
from gr00t_policy.data.convert_source import TopicNames, episode_notes, has_commands, in_namespace
from gr00t_policy.data.convert_timing import audit, faults

COMMANDS, POSITIONS = "commands", "joint positions"
_NS = 1e-9
_GAP_S = 0.25  # nothing is known of what was done within a longer silence
_LEAST_S = 1.0  # a chunk has to fit in


@dataclass(frozen=True)
class Done:
    """What was done: positions (N, J) [rad] at times (N,) [ns], strictly rising. kind: ``COMMANDS`` or ``POSITIONS``."""

    times_ns: NDArray[np.int64]
    positions: NDArray[np.float64]
    kind: str = COMMANDS

    def at(self, times_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(..., J) on straight lines between messages, and (...) False where nothing is known: outside and in silences."""
        start_ns = int(self.times_ns[0])
        known_s, asked_s = (self.times_ns - start_ns) * _NS, (np.asarray(times_ns) - start_ns) * _NS
        columns = [np.interp(asked_s, known_s, self.positions[:, joint]) for joint in range(self.positions.shape[1])]
        after = np.searchsorted(known_s, asked_s, side="left").clip(1, len(known_s) - 1)
        within = (asked_s >= known_s[0]) & (asked_s <= known_s[-1])
        return np.stack(columns, axis=-1), within & (known_s[after] - known_s[after - 1] <= _GAP_S)

    @property
    def span_s(self) -> float:
        return float((self.times_ns[-1] - self.times_ns[0]) * _NS)


@dataclass(frozen=True)
class RecordedRun:
    """One bag. instruction: in force until the bag says a sentence. clock_faults: what is wrong with its times.

    planner_tick_ns: a tick of the planner that ran while this was recorded; None when none did.
    """

    recording: Recording
    done: Done
    instruction: str
    topics: dict[str, BagTopic]
    clock_faults: tuple[str, ...] = ()
    planner_tick_ns: int | None = None

    @property
    def name(self) -> str:
        return self.recording.bag.name

    @property
    def start_ns(self) -> int:
        """The first moment at which every stream has delivered."""
        return max(int(arrivals.sent_ns[0]) for arrivals in self._arrivals())

    @property
    def stop_ns(self) -> int:
        """The last moment at which every stream still delivers."""
        return min(int(arrivals.sent_ns[-1]) for arrivals in self._arrivals())

    def state_at(self, stamps_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Recorded joint positions (N, J) [rad] of exactly these stamps or the last ones before."""
        states = self.recording.states
        order = np.argsort(states.arrivals.stamp_ns, kind="stable")
        place = np.searchsorted(states.arrivals.stamp_ns[order], stamps_ns, side="right") - 1
        return states.positions[order][place.clip(0)]

    def sentence_at(self, time_ns: int) -> str:
        """The sentence in force at a time."""
        said = [text for sent_ns, text in self.recording.sentences if sent_ns <= time_ns]
        return said[-1] if said else self.instruction

    def _arrivals(self) -> list:
        return [self.recording.states.arrivals, *self.recording.cameras.values()]


def open_run(bag: Path, robot: Embodiment, names: TopicNames, sentence: str = "") -> RecordedRun:
    """Read all but the pixels. sentence: where the bag says none. Raises DatasetError that names what is missing."""
    topics = recorded_topics(bag)
    commanded = has_commands(topics, names)
    recording = read_recording(bag, robot, names if commanded else replace(names, action=names.state))
    instruction = episode_notes(bag).instruction or sentence
    if not instruction and not any(text for _, text in recording.sentences):
        raise DatasetError(
            f"{bag} says no sentence (nothing on {names.language}, no instruction in its metadata); give one: --sentence TEXT"
        )
    commands = recording.commands
    times_ns, first = np.unique(commands.due_ns, return_index=True)
    if len(times_ns) < 2 or (times_ns[-1] - times_ns[0]) * _NS < _LEAST_S:
        raise DatasetError(f"{bag}: {commands.arrivals.topic} covers less than {_LEAST_S:g} s; nothing can be compared")
    run = RecordedRun(
        recording=recording,
        done=Done(times_ns, commands.positions[first], COMMANDS if commanded else POSITIONS),
        instruction=instruction,
        topics=topics,
        clock_faults=(*recorded_time(bag_contents(bag)).steps, *faults(recording, audit(recording))),
        planner_tick_ns=_planner_tick_ns(recording, topics, names),
    )
    if (run.stop_ns - run.start_ns) * _NS < _LEAST_S:
        raise DatasetError(
            f"{bag}: cameras and joint states overlap by less than {_LEAST_S:g} s; nothing can be compared"
        )
    return run


def _planner_tick_ns(recording: Recording, topics: dict[str, BagTopic], names: TopicNames) -> int | None:
    """When the first recorded tokens were begun."""
    tokens = in_namespace(topics, names, "conditioning_tokens")
    first = next(messages_of_topic(recording, tokens), None) if tokens is not None else None
    if first is None:
        return None
    sent_ns, message = first
    return sent_ns - round((float(message.preprocess_s) + float(message.encode_s)) / _NS)
