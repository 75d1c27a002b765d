# SPDX-License-Identifier: Apache-2.0
"""The clock of a recording: rates, delays, gaps and losses of each stream, and the faults that forbid to use it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.convert_clock import MAX_AHEAD_S, MAX_DELAY_S, NS
from gr00t_policy.data.convert_recording import Arrivals, Recording

MAX_RATE_ERROR = (
    0.02  # of what is declared; a recording made slower than it says is replayed and learnt at a wrong speed
)
MAX_CLOCK_STEP_S = (
    0.1  # steps of a clock are larger than the drift of two clocks in a second, and than usual delays vary
)
_WINDOW_S = 1.0  # the shortest delay within one is free of the stalls of a busy machine
_PAUSE_INTERVALS = 3.0  # a longer silence is a gap, judged by its age, and no part of the rate
_LEAST_MESSAGES = 10


@dataclass(frozen=True)
class StreamTiming:
    """One stream's times. Rates by the stamps and by the times of sending, without pauses [Hz]; declared_hz 0 = nothing.

    delay_s: median from stamp to sending. jitter_s: 99th percentile of the interval's deviation from its median.
    gap_s: longest interval of stamps. lost: missing sequence numbers; -1 when the recorder did not keep them.
    """

    topic: str
    messages: int
    rate_hz: float
    sent_rate_hz: float
    declared_hz: float
    delay_s: float
    jitter_s: float
    gap_s: float
    lost: int


def stream_timing(arrivals: Arrivals, declared_hz: float = 0.0) -> StreamTiming:
    """Of at least one message."""
    intervals_s = np.diff(arrivals.stamp_ns) * NS
    usual_s = float(np.median(intervals_s)) if len(intervals_s) else 0.0
    return StreamTiming(
        topic=arrivals.topic,
        messages=len(arrivals),
        rate_hz=_rate_hz(arrivals.stamp_ns, declared_hz),
        sent_rate_hz=_rate_hz(arrivals.sent_ns, declared_hz),
        declared_hz=declared_hz,
        delay_s=float(np.median(arrivals.sent_ns - arrivals.stamp_ns)) * NS,
        jitter_s=float(np.percentile(np.abs(intervals_s - usual_s), 99)) if len(intervals_s) else 0.0,
        gap_s=float(intervals_s.max(initial=0.0)),
        lost=_lost(arrivals.sequence),
    )


def audit(recording: Recording, state_hz: float = 0.0) -> dict[str, StreamTiming]:
    """Stream -> its times: ``state``, ``action``, and each camera by its name. state_hz: declared by the caller, 0 = not."""
    declared = {camera.name: camera.rate_hz for camera in recording.robot.cameras}
    return {
        "state": stream_timing(recording.states.arrivals, state_hz),
        "action": stream_timing(recording.commands.arrivals),
        **{camera: stream_timing(arrivals, declared[camera]) for camera, arrivals in recording.cameras.items()},
    }


def faults(recording: Recording, timings: Mapping[str, StreamTiming]) -> list[str]:
    """Why nothing can be learnt from these times, one sentence each; empty when they are sound.

    The rate of commands is not judged: a teleoperator may pause.
    """
    streams = {"state": recording.states.arrivals, "action": recording.commands.arrivals, **recording.cameras}
    found = []
    for name, arrivals in streams.items():
        clock = _clock_fault(arrivals)
        rate = _rate_fault(timings[name], judge=name != "action")
        found += [clock or rate] if clock or rate else []
    return found


def _clock_fault(arrivals: Arrivals) -> str:
    name, delays_s = arrivals.topic, (arrivals.sent_ns - arrivals.stamp_ns) * NS
    if not arrivals.stamp_ns.all():
        return (
            f"{name}: {int((arrivals.stamp_ns == 0).sum())} messages have no stamp; its publisher must set header.stamp"
        )
    if (ahead_s := float(np.median(-delays_s))) > MAX_AHEAD_S or -ahead_s > MAX_DELAY_S:
        return (
            f"{name}: stamps are {abs(ahead_s):.3g} s {'after' if ahead_s > 0 else 'before'} the messages were sent: they are "
            "of another clock; keep the clocks of all computers in step, and of nodes with use_sim_time record /clock too"
        )
    back_s = float(-np.diff(arrivals.stamp_ns).min(initial=0)) * NS
    if back_s > MAX_CLOCK_STEP_S:
        at_s = float(arrivals.sent_ns[int(np.diff(arrivals.stamp_ns).argmin())] - arrivals.sent_ns[0]) * NS
        return f"{name}: the clock jumps back by {back_s:.3g} s, {at_s:.3g} s after its first message; record it again"
    step_s, at_s = _largest_step(arrivals.sent_ns, delays_s)
    if step_s > MAX_CLOCK_STEP_S:
        return f"{name}: its clock jumps by {step_s:.3g} s, {at_s:.3g} s after its first message; record it again"
    known = arrivals.sequence[np.argsort(arrivals.received_ns, kind="stable")]
    if (known > 0).all() and (backwards := int((np.diff(known) < 0).sum())) > 2:
        return f"{name}: its sequence runs backwards {backwards} times: two publishers, or the clock was set back"
    return ""


def _largest_step(sent_ns: NDArray[np.int64], delays_s: NDArray[np.floating]) -> tuple[float, float]:
    """How much the shortest delay changes from one window of time to the next, at most, and when [s]."""
    window = ((sent_ns - sent_ns[0]) * NS / _WINDOW_S).astype(np.int64)
    starts = np.flatnonzero(np.diff(window, prepend=-1))
    full = np.diff(np.append(starts, len(window))) >= min(_LEAST_MESSAGES, len(window))
    shortest = np.minimum.reduceat(delays_s, starts)[full]
    if len(shortest) < 2:
        return 0.0, 0.0
    steps = np.abs(np.diff(shortest))
    return float(steps.max()), float((sent_ns[starts[full]][int(steps.argmax()) + 1] - sent_ns[0]) * NS)


def _rate_fault(timing: StreamTiming, *, judge: bool) -> str:
    if timing.messages < _LEAST_MESSAGES or not judge:
        return ""
    if timing.declared_hz and abs(timing.rate_hz / timing.declared_hz - 1) > MAX_RATE_ERROR:
        return (
            f"{timing.topic}: {timing.rate_hz:.2f} Hz by its stamps, but {timing.declared_hz:g} Hz is declared "
            f"(more than {MAX_RATE_ERROR:.0%} off); correct what is declared or record at that rate"
        )
    if timing.sent_rate_hz and abs(timing.rate_hz / timing.sent_rate_hz - 1) > MAX_RATE_ERROR:
        return (
            f"{timing.topic}: {timing.rate_hz:.2f} Hz by its stamps, but it was sent at {timing.sent_rate_hz:.2f} Hz: "
            "its clock runs at another speed than time; record in real time"
        )
    return ""


def _rate_hz(times_ns: NDArray[np.int64], declared_hz: float) -> float:
    """Without pauses: silences of more than three usual or declared intervals."""
    intervals_s = np.diff(times_ns) * NS
    usual_s = max(float(np.median(intervals_s)) if len(intervals_s) else 0.0, 1 / declared_hz if declared_hz else 0.0)
    counted = intervals_s[(intervals_s <= _PAUSE_INTERVALS * usual_s) & (intervals_s >= 0)]
    return float(len(counted) / counted.sum()) if len(counted) and counted.sum() > 0 else 0.0


def _lost(sequence: NDArray[np.int64]) -> int:
    known = sequence[sequence > 0]
    if len(known) < 2:
        return -1
    return int(known.max() - known.min() + 1 - len(np.unique(known)))
