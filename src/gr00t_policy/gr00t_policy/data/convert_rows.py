# SPDX-License-Identifier: Apache-2.0
"""A recording on a regular time line: at each tick what a live policy would have seen, and the command in force.

Messages are offered to ``ObservationStreams`` when they were sent, as to a node, and the observation is taken at the tick.
The action of a tick is the newest command to be reached by the end of it: what the robot was told, not where it went.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.core.types import Observation
from gr00t_policy.data.convert_pictures import RowPictures
from gr00t_policy.data.convert_recording import Recording
from gr00t_policy.data.convert_timing import NS, StreamTiming
from gr00t_policy.data.streams import DEFAULT_LIMITS, ObservationStreams, Reason, Refusal, StreamLimits

STALE_PERIODS = 2.0  # of a stream or of the rows, whichever is longer, beyond the stream's usual delay
_WORTH_TELLING_S = 0.5
_COUNTED = (Reason.OUT_OF_ORDER, Reason.FROM_THE_FUTURE)  # single messages that a node leaves out, and so do we

Pictures = Iterator[tuple[int, int, NDArray[np.uint8]]]
"""Of one camera in order of sending: sent [ns], stamp [ns], (H, W, 3)."""
Event = tuple[int, int, str, int, NDArray | str]
"""Sent [ns], order among equals, stream ("state", "sentence" or a camera), stamp [ns], value."""


@dataclass(frozen=True)
class Rows:
    """N ticks. states, actions: (N, J) float32 [rad]; images: camera -> N pictures; ages [s] at the tick, (N,) each.

    ages: ``state``, ``action`` (behind the tick's end) and each camera. why: "" for a row that holds an observation and a
    command, else what was missing; such a row's values mean nothing.
    """

    tick_ns: NDArray[np.int64]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    sentences: tuple[str, ...]
    images: dict[str, RowPictures]
    ages_s: dict[str, NDArray[np.float32]]
    why: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tick_ns)


def stream_limits(timings: Mapping[str, StreamTiming], fps: float, cameras: Mapping[str, float]) -> StreamLimits:
    """How old values may be: the usual delay of the stream and two periods. cameras: camera -> declared rate [Hz]."""

    def limit_s(name: str, rate_hz: float) -> float:
        return max(timings[name].delay_s, 0.0) + STALE_PERIODS * max(1 / fps, 1 / rate_hz if rate_hz else 0.0)

    image_s = max(limit_s(name, rate_hz) for name, rate_hz in cameras.items())
    return StreamLimits(
        max_image_age_s=image_s,
        max_state_age_s=limit_s("state", timings["state"].rate_hz),
        max_skew_s=image_s + DEFAULT_LIMITS.max_future_s,
    )


def resample(recording: Recording, fps: float, limits: StreamLimits, instruction: str) -> Rows:
    """One row every 1 / fps from the first moment at which every stream has delivered to the last.

    instruction: in force until the bag says a sentence. Raises DatasetError for a picture that the robot's camera does not take
    and for a sentence that the planner would not take.
    """
    ticks = _ticks(recording, fps)
    robot, count = recording.robot, len(ticks)
    streams = ObservationStreams(robot, limits, newest_state=True)
    refusal = streams.set_instruction(instruction)
    if refusal is not None:
        raise DatasetError(f"{recording.bag}: {refusal.detail}")
    shown = {camera.name: np.full(count, -1, np.int64) for camera in robot.cameras}
    taken, offered = dict.fromkeys(shown, -1), dict.fromkeys(shown, -1)
    states = np.zeros((count, len(robot.policy_joints)), np.float32)
    ages = {name: np.zeros(count, np.float32) for name in ("state", *shown)}
    actions, action_ages, missing = _commands(recording, ticks, fps)
    sentences, why = [], []
    events = recorded_events(recording, recording.outlines)
    event = next(events, None)
    for row, tick_ns in enumerate(ticks.tolist()):
        while event is not None and event[0] <= tick_ns:
            is_taken, name = _offer(recording, streams, event), event[2]
            if name in offered:
                offered[name] += 1
                taken[name] = offered[name] if is_taken else taken[name]
            event = next(events, None)
        seen = streams.observe(tick_ns)
        if isinstance(seen, Observation):
            states[row] = seen.state
            for camera, age_s in streams.image_ages_s(tick_ns).items():
                shown[camera][row], ages[camera][row] = taken[camera], age_s
            ages["state"][row] = (tick_ns - seen.state_stamp_ns) * NS
        sentences.append(streams.instruction)
        why.append(seen.detail if isinstance(seen, Refusal) else missing[row])
    ages["action"] = action_ages
    images = {
        camera.name: RowPictures(recording, camera.name, (camera.height, camera.width), shown[camera.name])
        for camera in robot.cameras
    }
    return Rows(ticks, states, actions, tuple(sentences), images, ages, tuple(why))


def uncovered(recording: Recording) -> list[tuple[int, int, str]]:
    """(from [ns], to [ns], why) of times before and after the rows in which some streams run and another does not."""
    spans = _spans(recording)
    first, last = min(span[0] for span in spans.values()), max(span[1] for span in spans.values())
    late, early = max(spans, key=lambda topic: spans[topic][0]), min(spans, key=lambda topic: spans[topic][1])
    parts = [(first, spans[late][0], f"{late} begins only then"), (spans[early][1], last, f"{early} ends there")]
    return [part for part in parts if (part[1] - part[0]) * NS > _WORTH_TELLING_S]


def _spans(recording: Recording) -> dict[str, tuple[int, int]]:
    """Topic -> when it delivers first and last; commands when they are to be reached."""
    commands = recording.commands
    spans = {commands.arrivals.topic: (int(commands.due_ns.min()), int(commands.due_ns.max()))}
    for arrivals in (recording.states.arrivals, *recording.cameras.values()):
        spans[arrivals.topic] = int(arrivals.sent_ns[0]), int(arrivals.sent_ns[-1])
    return spans


def _ticks(recording: Recording, fps: float) -> NDArray[np.int64]:
    """Regular moments while every stream delivers; the last one has a command for its whole length."""
    spans = _spans(recording).values()
    first, last = max(span[0] for span in spans), min(span[1] for span in spans)
    count = max(int((last - first) * NS * fps), 0)
    return first + np.round(np.arange(count) / (fps * NS)).astype(np.int64)


def recorded_events(recording: Recording, pictures: Callable[[str], Pictures] | None = None) -> Iterator[Event]:
    """All messages that an observation is made of, in order of sending; at equal times sentences first, pictures last.

    pictures: of a camera; those of the recording unless given.
    """
    look = pictures or recording.pictures
    arrivals = recording.states.arrivals
    states: Iterator[Event] = (
        (int(sent), 1, "state", int(stamp), positions)
        for sent, stamp, positions in zip(arrivals.sent_ns, arrivals.stamp_ns, recording.states.positions, strict=True)
    )
    sentences: Iterator[Event] = ((sent, 0, "sentence", sent, text) for sent, text in recording.sentences)
    cameras = [_picture_events(look(camera), camera, 2 + number) for number, camera in enumerate(recording.cameras)]
    return heapq.merge(states, sentences, *cameras, key=lambda event: event[:2])


def _picture_events(pictures: Pictures, camera: str, order: int) -> Iterator[Event]:
    for sent_ns, stamp_ns, picture in pictures:
        yield sent_ns, order, camera, stamp_ns, picture


def _offer(recording: Recording, streams: ObservationStreams, event: Event) -> bool:
    """Whether it was taken."""
    sent_ns, _, name, stamp_ns, value = event
    if isinstance(value, str):
        refusal = streams.set_instruction(value)
    elif name == "state":
        refusal = streams.add_state(value, stamp_ns, sent_ns)
    else:
        refusal = streams.add_image(name, value, stamp_ns, sent_ns)
    if refusal is not None and refusal.reason not in _COUNTED:
        hint = f"; is '{recording.robot.name}' the robot of this bag?" if name in recording.cameras else ""
        raise DatasetError(f"{recording.bag}: {refusal.detail}{hint}")
    return refusal is None


def _commands(
    recording: Recording, ticks: NDArray[np.int64], fps: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Actions (N, J) [rad], how long before the tick's end each was to be reached [s], and why there is none ("" = there is).

    A command to be reached at once, at the very end of a tick, belongs to the next one.
    """
    commands = recording.commands
    order = np.argsort(commands.due_ns, kind="stable")
    due_ns = commands.due_ns[order]
    at_once = due_ns == commands.arrivals.stamp_ns[order]
    ends = ticks + round(1 / (fps * NS))
    chosen = np.searchsorted(due_ns + at_once, ends, side="right") - 1
    ages_s = np.where(chosen >= 0, (ends - due_ns[chosen]) * NS, np.inf)
    limit_s = STALE_PERIODS / fps
    topic = commands.arrivals.topic
    why = [
        "" if age_s <= limit_s else f"no command on {topic} for {age_s:.3f} s, at most {limit_s:.3f} s is allowed"
        for age_s in ages_s.tolist()
    ]
    return commands.positions[order][chosen].astype(np.float32), ages_s.astype(np.float32), why
