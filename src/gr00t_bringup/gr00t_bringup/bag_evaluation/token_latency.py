# SPDX-License-Identifier: Apache-2.0
"""How long after a picture was taken its tokens reach the controller: nothing, always the same, or as it was measured."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.recorded_run import RecordedRun
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.convert_recording import messages_of_topic
from gr00t_policy.data.convert_source import TopicNames, in_namespace

WAYS = "zero, constant:SECONDS, measured, measured:FILE (JSON of `gr00t bench loop` or `gr00t demo`) or auto"
USUAL_S = (
    0.1  # where nothing was measured: between the demo's 0.08 and the goal of 0.2 for a picture to become a command
)
_S_NS = 1_000_000_000
_LEAST_MEASURED = 10
_LONGEST_S = 5.0  # what is older answers a picture of another clock


@dataclass(frozen=True)
class TokenLatency:
    """A distribution of seconds from picture to tokens, as its values at equally spaced shares. () = no time at all.

    origin: where it is from, for people.
    """

    quantiles_s: tuple[float, ...]
    origin: str

    def arrival_ns(self, stamp_ns: int, tick_ns: int, rng: np.random.Generator) -> int:
        """When tokens of a picture taken at ``stamp_ns`` and looked at at ``tick_ns`` arrive; never before the tick."""
        if not self.quantiles_s:
            return tick_ns
        shares = np.linspace(0, 1, len(self.quantiles_s)) if len(self.quantiles_s) > 1 else [0.5]
        drawn_s = float(np.interp(rng.random(), shares, self.quantiles_s))
        return max(tick_ns, stamp_ns + round(drawn_s * _S_NS))

    @property
    def median_s(self) -> float:
        return float(np.median(self.quantiles_s)) if self.quantiles_s else 0.0


def token_latency(asked: str, runs: Sequence[RecordedRun], names: TopicNames) -> TokenLatency:
    """What ``--latency`` asks for. Raises ConfigError naming what may be said."""
    kind, _, value = asked.partition(":")
    if kind == "zero" and not value:
        return TokenLatency((), "zero")
    if kind == "constant":
        return TokenLatency((_seconds(value, asked),), f"always {value} s")
    if kind == "measured" and value:
        return _from_loop(Path(value))
    if asked in ("measured", "auto"):
        measured = np.concatenate([recorded_latencies(run, names) for run in runs])
        if len(measured) >= _LEAST_MEASURED:
            shares = np.quantile(measured, np.linspace(0, 1, 101))
            return TokenLatency(tuple(shares.tolist()), f"measured in the bags ({len(measured)} tokens)")
        if asked == "auto":
            return TokenLatency((USUAL_S,), f"always {USUAL_S:g} s (the bags were recorded without a policy)")
        raise ConfigError(
            "no bag has conditioning_tokens or action_chunk, so no latency was measured in them; give "
            "--latency constant:SECONDS, or --latency measured:FILE with the JSON of `gr00t bench loop`"
        )
    raise ConfigError(f"--latency {asked} is unknown; choose one of: {WAYS}")


def recorded_latencies(run: RecordedRun, names: TopicNames) -> NDArray[np.float64]:
    """Seconds from picture to sent tokens (N,), of a bag recorded while a policy ran; else to the first chunk made of them."""
    tokens = in_namespace(run.topics, names, "conditioning_tokens")
    chunks = in_namespace(run.topics, names, "action_chunk")
    found: dict[int, int] = {}  # picture's stamp -> first time of sending
    if tokens is not None:
        for sent_ns, message in messages_of_topic(run.recording, tokens):
            found.setdefault(_stamp_ns(message.header.stamp), sent_ns)
    if chunks is not None and not found:
        for sent_ns, message in messages_of_topic(run.recording, chunks):
            found.setdefault(_stamp_ns(message.tokens_stamp), sent_ns)
    seconds = np.array([(sent_ns - stamp_ns) / _S_NS for stamp_ns, sent_ns in found.items()], np.float64)
    return seconds[(seconds >= 0) & (seconds < _LONGEST_S)]


def _from_loop(file: Path) -> TokenLatency:
    """Of a picture to its command, which is some milliseconds more: the head's time and the wait for a tick are in it."""
    try:
        said = json.loads(file.read_text())["image_to_command_ms"]
        p50, p95, p99 = (float(said[key]) / 1e3 for key in ("p50", "p95", "p99"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--latency measured:{file}: no image_to_command_ms with p50, p95, p99 in it ({error!r}); expected the JSON "
            "of `gr00t bench loop --json FILE` or a demo's summary.json"
        ) from error
    if not all(map(math.isfinite, (p50, p95, p99))):
        raise ConfigError(f"--latency measured:{file}: its image_to_command_ms holds no numbers; the loop never drove")
    least = max(2 * p50 - p95, 0.0)  # as far below the median as the 95th percentile is above
    known = np.interp(np.linspace(0, 1, 101), (0.0, 0.5, 0.95, 0.99, 1.0), (least, p50, p95, p99, p99))
    return TokenLatency(tuple(known.tolist()), f"measured, from {file.name}")


def _seconds(value: str, asked: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < _LONGEST_S:
        raise ConfigError(f"--latency {asked}: expected constant:SECONDS from 0 to {_LONGEST_S:g}, as in constant:0.1")
    return seconds


def _stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * _S_NS + int(stamp.nanosec)
