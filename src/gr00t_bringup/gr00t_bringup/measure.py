# SPDX-License-Identifier: Apache-2.0
"""Rates and latencies of a run, computed from its bag alone. Anyone with the bag gets the same numbers.

Nothing here believes what a node says of itself except where only the node can know (time inside the network, missed
deadlines). Latencies end when the command gate sends the command that the robot obeys, on the recorder's machine clock.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.tracing.chunk_ties import ChunkTie, first_commands, tie_of
from gr00t_bringup.tracing.counted import CountedCommands
from gr00t_bringup.tracing.periods import StreamMeter
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagTopic, MessageDecoder, bag_topics, read_bag
from gr00t_policy.runtime.duration_counts import counted_since, counts_from_text, percentile_ns

Stamps = NDArray[np.int64]  # (N,) nanoseconds
_RUNNING = 3  # ControllerState.RUNNING
_SAME_CLOCK_NS = 60 * 10**9
_WARM_UP_NS = 10**9
_DIAGNOSTICS = "/diagnostics"  # has no namespace
_CONTROL_LOOP = "controller: control loop"
_WINDOW_TICKS = 1200  # ten seconds at 120 Hz: those of the start are slower
# A policy command sent less than this before a tick of the gate counts for the next tick: an error to the slow side.
_HAND_OVER_NS = 500_000
_NOMINAL_HZ = 120.0  # of commands
_PAUSE_S = 0.5  # a longer gap of commands is no jitter: nobody drove
_PICTURES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; NaN without samples."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class WakeUps:
    """How long after its slot the control loop's ticks begin [ms]; NaN where the bag does not hold it."""

    p50: float  # of all ticks while the policy drove
    p99: float  # of all ticks while the policy drove
    p99_of_the_worst: float  # the highest p99 of ten seconds


@dataclass(frozen=True)
class Gaps:
    """What the commands' own times say of those that were not sent, whatever the controller counted itself.

    late: gaps of more than 1.5 periods and at most half a second; missed: what should have come in them; longest_ms: of all
    gaps; pauses: gaps of more than half a second, in which nobody drove.
    """

    late: int
    missed: int
    longest_ms: float
    pauses: int


@dataclass(frozen=True)
class RunFigures:
    """The keys that ``gr00t demo`` and ``gr00t bench loop`` write.

    joint_state_rate_hz, camera_rate_hz: as many as were published, of the slowest camera; NaN where the bag has none.
    ticks: those due, skipped ones included; deadline_misses: of them, those whose command was not sent in its period, by the
    controller's own count; realtime_scheduling: the control thread had SCHED_FIFO all the time.
    """

    planner_rate_hz: float
    control_rate_hz: float
    head_rate_hz: float
    joint_state_rate_hz: float
    camera_rate_hz: float
    deadline_miss_fraction: float
    deadline_misses: int
    ticks: int
    realtime_scheduling: bool
    command_gaps: Gaps
    wake_up_lateness_ms: WakeUps
    encode_ms: Percentiles
    head_ms: Percentiles
    image_to_command_ms: Percentiles
    joint_state_to_command_ms: Percentiles
    real_time_factor: float


@dataclass(frozen=True)
class WakeUpsTold:
    """What the control loop told once. p99_us: of its last ten seconds, NaN before; counts: bin -> ticks since its start."""

    at_ns: int
    p99_us: float
    counts: dict[int, int]


@dataclass(frozen=True)
class Numbered:
    """A stream's messages: when each was sent [ns], and the number that its sender gave it (0: none)."""

    sent: Stamps
    number: Stamps


@dataclass
class RunStreams:
    """What is measured, as arrays. ``sent``: when a message left its publisher (system clock); ``stamp``: its own stamp."""

    joint_stamp: Stamps
    joint_sent: Stamps
    joint_number: Stamps  # the sender's, 0 = none
    pictures: dict[str, Numbered]  # by topic
    tokens_stamp: Stamps
    tokens_sent: Stamps
    encode_s: NDArray[np.float64]  # pictures and sentence to tokens, what stands before the network included
    chunk_id: NDArray[np.int64]  # counts evaluations; not every one is published
    chunk_sent: Stamps
    chunk_inference_s: NDArray[np.float64]
    policy_stamp: Stamps
    policy_sent: Stamps
    command_sent: Stamps
    ticks: NDArray[np.int64]
    misses: NDArray[np.int64]
    realtime: NDArray[np.bool_]
    wake_ups: list[WakeUpsTold]
    real_time_factors: NDArray[np.float64]
    tokens_number: Stamps = field(default_factory=lambda: np.zeros(0, np.int64))  # the planner's
    chunk_ties: list[ChunkTie] = field(default_factory=list)  # of old bags none


@dataclass
class _Columns:
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def column(self, index: int, dtype: type = np.int64) -> NDArray[Any]:
        return np.array([row[index] for row in self.rows], dtype=dtype)


def measure(streams: RunStreams) -> RunFigures:
    """Figures over the time the policy drove, without its first second. Raises DatasetError when it never drove."""
    if len(streams.policy_sent) < 2:
        raise DatasetError("the policy sent no command in this run; there is nothing to measure")
    start, stop = streams.policy_sent[0] + _WARM_UP_NS, streams.policy_sent[-1]
    if stop <= start:
        start = streams.policy_sent[0]
    inside = _within(streams.chunk_sent, start, stop)
    counted = _counted(streams.ticks, streams.misses)
    return RunFigures(
        planner_rate_hz=_rate(streams.tokens_sent[_within(streams.tokens_sent, start, stop)]),
        control_rate_hz=_rate(streams.policy_sent[_within(streams.policy_sent, start, stop)]),
        head_rate_hz=_rate_by_number(streams.chunk_id[inside], streams.chunk_sent[inside]),
        joint_state_rate_hz=_slowest([Numbered(streams.joint_sent, streams.joint_number)], start, stop),
        camera_rate_hz=_slowest(list(streams.pictures.values()), start, stop),
        deadline_miss_fraction=counted.misses / counted.ticks if counted.ticks else 0.0,
        deadline_misses=counted.misses,
        ticks=counted.ticks,
        realtime_scheduling=bool(len(streams.realtime) and streams.realtime.all()),
        command_gaps=_gaps(streams.policy_sent[_within(streams.policy_sent, start, stop)]),
        wake_up_lateness_ms=_wake_ups(streams.wake_ups, start),
        encode_ms=percentiles(1e3 * streams.encode_s[_within(streams.tokens_sent, start, stop)]),
        head_ms=percentiles(1e3 * streams.chunk_inference_s[inside]),
        image_to_command_ms=percentiles(_image_to_command_ms(streams, start, stop)),
        joint_state_to_command_ms=percentiles(_joint_state_to_command_ms(streams, start, stop)),
        real_time_factor=float(np.median(streams.real_time_factors))
        if len(streams.real_time_factors)
        else float("nan"),
    )


def percentiles(values: NDArray[np.float64]) -> Percentiles:
    """p50, p95, p99 of values; NaN when there are none."""
    if not len(values):
        return Percentiles(float("nan"), float("nan"), float("nan"))
    return Percentiles(*(float(value) for value in np.percentile(values, (50, 95, 99))))


def read_streams(folder: Path, namespace: str = "") -> RunStreams:
    """Collect the arrays from a bag. Raises DatasetError."""
    prefix = f"/{namespace.strip('/')}/".replace("//", "/")
    topics = bag_topics(folder)
    decoder = MessageDecoder(topics)
    names: tuple[str, ...] = (
        "joint_states",
        "conditioning_tokens",
        "action_chunk",
        "policy/joint_trajectory",
        "joint_trajectory",
    )
    names += ("controller/state", "sim/task_state", *_picture_topics(topics, prefix))
    found = {prefix + name: _Columns() for name in names}
    found[_DIAGNOSTICS] = _Columns()
    for message in read_bag(folder, list(found)):
        columns = found[message.topic]
        if message.topic == prefix + "action_chunk":
            chunk = decoder.decode(message)
            columns.rows.append(
                (chunk.chunk_id, message.publish_ns, chunk.inference_s, tie_of(chunk, message.publish_ns))
            )
        elif message.topic == prefix + "conditioning_tokens":
            tokens = decoder.decode(message)
            encode_s = tokens.preprocess_s + tokens.encode_s
            columns.rows.append((message.stamp_ns, message.publish_ns, encode_s, tokens.sequence))
        elif message.topic == _DIAGNOSTICS:
            columns.rows.extend((told,) for told in _wake_ups_told(decoder.decode(message), message.publish_ns))
        elif message.topic == prefix + "controller/state":
            state = decoder.decode(message)
            if state.state == _RUNNING:
                columns.rows.append((state.ticks, state.deadline_misses, state.realtime_scheduling))
        elif message.topic == prefix + "sim/task_state":
            columns.rows.append((decoder.decode(message).real_time_factor,))
        else:
            columns.rows.append((message.stamp_ns, message.publish_ns, message.sequence))
    wake_ups = [told for (told,) in found.pop(_DIAGNOSTICS).rows]
    by_name = {topic.removeprefix(prefix): columns for topic, columns in found.items()}
    return _streams(by_name, wake_ups)


def _picture_topics(topics: Mapping[str, BagTopic], prefix: str) -> list[str]:
    """Of the cameras, without the prefix."""
    pictures = (name for name, topic in topics.items() if topic.type_name in _PICTURES)
    return [name.removeprefix(prefix) for name in pictures if name.startswith(f"{prefix}camera/")]


def _streams(found: dict[str, _Columns], wake_ups: list[WakeUpsTold]) -> RunStreams:
    joints, tokens, chunks = found["joint_states"], found["conditioning_tokens"], found["action_chunk"]
    policy, state = found["policy/joint_trajectory"], found["controller/state"]
    return RunStreams(
        joint_stamp=joints.column(0),
        joint_sent=joints.column(1),
        joint_number=joints.column(2),
        pictures={
            name: Numbered(columns.column(1), columns.column(2))
            for name, columns in found.items()
            if name.startswith("camera/")
        },
        tokens_stamp=tokens.column(0),
        tokens_sent=tokens.column(1),
        encode_s=tokens.column(2, np.float64),
        chunk_id=chunks.column(0),
        chunk_sent=chunks.column(1),
        chunk_inference_s=chunks.column(2, np.float64),
        policy_stamp=policy.column(0),
        policy_sent=policy.column(1),
        command_sent=found["joint_trajectory"].column(1),
        ticks=state.column(0),
        misses=state.column(1),
        realtime=state.column(2, np.bool_),
        wake_ups=wake_ups,
        real_time_factors=found["sim/task_state"].column(0, np.float64),
        tokens_number=tokens.column(3),
        chunk_ties=[tie for *_, tie in chunks.rows if tie is not None],
    )


def _wake_ups_told(message: Any, at_ns: int) -> list[WakeUpsTold]:
    """Of the control loop; the p99 once it has run for a window. Bags of before the counts have none."""
    told = []
    for status in message.status:
        values = {value.key: value.value for value in status.values}
        if status.name == _CONTROL_LOOP and "ticks" in values:
            whole_window = float(values["ticks"]) >= _WINDOW_TICKS
            p99_us = float(values["wake_up_lateness.p99_us"]) if whole_window else float("nan")
            told.append(WakeUpsTold(at_ns, p99_us, counts_from_text(values.get("wake_up_lateness.counts", ""))))
    return told


def _wake_ups(told: list[WakeUpsTold], start: int) -> WakeUps:
    """Of all ticks from ``start`` on, and the worst of the windows told from then on."""
    inside = [each for each in told if each.at_ns >= start]
    counts = counted_since(inside[0].counts, inside[-1].counts) if inside else {}
    windows = [each.p99_us for each in inside if not math.isnan(each.p99_us)]
    return WakeUps(
        percentile_ns(counts, 50) / 1e6, percentile_ns(counts, 99) / 1e6, max(windows, default=float("nan")) / 1e3
    )


def _counted(ticks: NDArray[np.int64], misses: NDArray[np.int64]) -> CountedCommands:
    counted = CountedCommands()
    for told in zip(ticks.tolist(), misses.tolist(), strict=True):
        counted.add(*told)
    return counted


def _gaps(sent: Stamps) -> Gaps:
    meter = StreamMeter(_NOMINAL_HZ, _PAUSE_S)
    for at_ns in sent.tolist():
        meter.add(at_ns, 0, int(sent[0]))
    figures = meter.figures()
    longest_ms = float(np.diff(sent).max()) / 1e6 if len(sent) > 1 else float("nan")
    return Gaps(figures.misses or 0, figures.missed_periods or 0, longest_ms, len(figures.pauses))


def _image_to_command_ms(streams: RunStreams, start: int, stop: int) -> NDArray[np.float64]:
    """For each encoded image: from its stamp to the gate's first command that surely was computed from it.

    Surely: its joint state was sampled after the tokens were sent, and is not before the one that the first chunk from them
    names (it is sent at once), for their way and preparation take time as well. Where no chunk tells (``action_chunk`` not
    recorded) only the sending counts, and what those take is missing.
    """
    sampled = _on_system_clock(streams.policy_stamp, streams)
    answer = np.searchsorted(sampled, streams.tokens_sent + _HAND_OVER_NS)
    if streams.chunk_ties:
        tokens = list(zip(streams.tokens_number.tolist(), streams.tokens_stamp.tolist(), strict=True))
        named = first_commands(streams.chunk_ties, tokens, streams.policy_stamp, streams.policy_sent)
        answer = np.maximum(answer, named)
    stamps, answer = streams.tokens_stamp[answer < len(sampled)], answer[answer < len(sampled)]
    sent = _next_at_or_after(streams.command_sent, streams.policy_sent[answer] + _HAND_OVER_NS)
    kept = (sent >= start) & (sent <= stop)
    return (sent[kept] - _on_system_clock(stamps[kept], streams)) / 1e6


def _joint_state_to_command_ms(streams: RunStreams, start: int, stop: int) -> NDArray[np.float64]:
    """For each command of the policy: from the stamp of the joint state behind it to the gate's next command."""
    sent = _next_at_or_after(streams.command_sent, streams.policy_sent + _HAND_OVER_NS)
    kept = (sent >= start) & (sent <= stop)
    return (sent[kept] - _on_system_clock(streams.policy_stamp[kept], streams)) / 1e6


def _on_system_clock(stamps: Stamps, streams: RunStreams) -> NDArray[np.float64]:
    """Stamps of the world's clock as system time: unchanged where they are that already, else by the joint states."""
    if len(streams.joint_stamp) < 2 or abs(int(streams.joint_sent[-1]) - int(streams.joint_stamp[-1])) < _SAME_CLOCK_NS:
        return stamps.astype(np.float64)
    order = np.argsort(streams.joint_stamp, kind="stable")
    known, sent = streams.joint_stamp[order], streams.joint_sent[order]
    base = int(sent[0])
    return base + np.interp(stamps, known, (sent - base).astype(np.float64))


def _next_at_or_after(times: Stamps, wanted: Stamps) -> Stamps:
    """For each of ``wanted`` the first of sorted ``times`` not before it; -1 where there is none."""
    index = np.searchsorted(times, wanted)
    padded = np.append(times, -1)
    return padded[index]


def _rate(sent: Stamps) -> float:
    return float((len(sent) - 1) / ((sent[-1] - sent[0]) / 1e9)) if len(sent) > 1 else 0.0


def _slowest(streams: list[Numbered], start: int, stop: int) -> float:
    """The lowest rate of several streams [Hz]; NaN where there is none."""
    return min((_published_rate(each, start, stop) for each in streams if len(each.sent)), default=float("nan"))


def _published_rate(stream: Numbered, start: int, stop: int) -> float:
    """By the sender's numbers, so that what the recorder lost is not the sender's; by what came where there are none."""
    inside = _within(stream.sent, start, stop)
    sent, number = stream.sent[inside], stream.number[inside]
    numbered = len(sent) > 1 and number[0] > 0 and bool((np.diff(number) > 0).all())
    return _rate_by_number(number, sent) if numbered else _rate(sent)


def _rate_by_number(numbers: Stamps, sent: Stamps) -> float:
    return float((numbers[-1] - numbers[0]) / ((sent[-1] - sent[0]) / 1e9)) if len(sent) > 1 else 0.0


def _within(times: Stamps, start: int, stop: int) -> NDArray[np.bool_]:
    return (times >= start) & (times <= stop)
