# SPDX-License-Identifier: Apache-2.0
"""The slow loop's logic: images and sentences in, at most one set of conditioning tokens per tick out. No ROS, no clock.

It encodes the newest image alone and never queues old ones; a new sentence is encoded at the next tick. Without a fresh image
or a sentence it says nothing, and the controller holds by itself.
"""

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from gr00t_planner.config import PlannerConfig
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ConditioningTokens, Observation
from gr00t_policy.data.streams import ObservationStreams, Reason, Refusal, StreamLimits
from gr00t_policy.runtime.latency import DurationRing, Percentiles, RateMeter
from gr00t_policy.runtime.policy import Policy

_NS = 1_000_000_000
_RECENT = 256  # encodings behind the percentiles: 26 s at 10 Hz
_STRIDE = 8  # every 8th row and column tells a frozen picture from a live one, for 2 % of its bytes


class State(IntEnum):
    """What the planner does; the numbers are those of its state message."""

    WAITING_FOR_INSTRUCTION = 1
    WAITING_FOR_IMAGE = 2
    ENCODING = 3
    STALE_IMAGE = 4
    INACTIVE = 5


@dataclass(frozen=True)
class Verdict:
    """State and why, as a sentence for people that changes only when the cause does."""

    state: State
    detail: str = ""


@dataclass(frozen=True)
class PlannerReport:
    """What the planner says about itself. image_age_s is NaN before the first image; image_is_late: older than is usual."""

    verdict: Verdict
    instruction: str
    instruction_id: int
    rate_hz: float
    encode: Percentiles
    image_age_s: float
    image_is_late: bool
    encoded: int
    skipped: int
    refused: dict[str, int]


_INACTIVE = Verdict(State.INACTIVE, "not active")


class Planner:
    """``tick`` belongs to one thread; images and sentences may be offered from another.

    clock_ns: steady time, the clock of ``now_ns`` everywhere here; only used to measure durations. network_s: seconds that
    the newest encoding spent in the network, when that is known.
    """

    def __init__(
        self,
        policy: Policy,
        config: PlannerConfig,
        clock_ns: Callable[[], int],
        network_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._policy, self._config, self._clock_ns, self._network_s = policy, config, clock_ns, network_s
        self._limits = StreamLimits(
            max_image_age_s=config.max_image_age_s,
            max_future_s=config.max_future_s,
            max_skew_s=config.max_image_age_s,
            max_instruction_bytes=config.max_instruction_bytes,
        )
        self._lock = Lock()
        self._instruction, self._instruction_id = "", 0
        self._begin()
        self.verdict = _INACTIVE

    def warm_up(self) -> float:
        """Encode blank pictures; returns the seconds of the last one. Raises MessageError."""
        robot = self._policy.embodiment
        blank = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in robot.cameras}
        observation = Observation(blank, np.zeros(0, np.float32), "warm up")
        took_s = 0.0
        for _ in range(self._config.warm_up_evaluations):
            began_ns = self._clock_ns()
            self._policy.encode(observation)
            took_s = (self._clock_ns() - began_ns) / _NS
        return took_s

    def activate(self) -> None:
        """Begin without an image; a sentence said before stays in force."""
        with self._lock:
            self._begin()
            self._streams.set_instruction(self._instruction)
        self.verdict = self._judge_inputs()

    def deactivate(self) -> None:
        """No tokens from now on, nor those that are being encoded."""
        with self._lock:
            self.verdict = _INACTIVE

    def instruction(self, sentence: str) -> str | None:
        """Take a sentence; an empty one stops the tokens. Returns why it was refused, and the one before stays."""
        with self._lock:
            refusal = self._streams.set_instruction(sentence)
            if refusal is not None:
                self._refused["sentence"] += 1
                self._sentence_fault = f"refused: {refusal.detail}"
                return self._sentence_fault
            self._sentence_fault = ""
            self._instruction_id += 1
            self._instruction = sentence.strip()
        return None

    def image(self, camera: str, picture: NDArray[np.uint8], stamp_ns: int, now_ros_ns: int) -> str | None:
        """Take a picture (H, W, 3) uint8 RGB unless it is broken or not newer. Returns why it was refused."""
        digest = zlib.adler32(np.ascontiguousarray(picture[::_STRIDE, ::_STRIDE]).tobytes())
        with self._lock:
            refusal = self._streams.add_image(camera, picture, stamp_ns, now_ros_ns)
            if refusal is None:
                same = self._digests.get(camera) == digest
                self._identical[camera] = self._identical[camera] + 1 if same else 1
                self._digests[camera] = digest
                self._image_fault = ""
                return None
        return self.refuse_image(refusal.reason.value, refusal.detail)

    def refuse_image(self, kind: str, detail: str) -> str:
        """An image that could not be used, for the counters."""
        with self._lock:
            self._refused[f"image: {kind}"] += 1
            self._image_fault = detail
        return detail

    def tick(self, now_ns: int, now_ros_ns: int) -> ConditioningTokens | None:
        """Tokens of the newest image and sentence when there is something new to encode; ``verdict`` says what is missing."""
        if self.verdict is _INACTIVE:
            return None
        with self._lock:
            streams = self._streams
            seen = streams.observe(now_ros_ns)
            sentence_id = self._instruction_id
        verdict = self._judge(seen)
        new = isinstance(seen, Observation) and (seen.image_stamp_ns, sentence_id) != self._newest
        if verdict.state is not State.ENCODING or not new:
            self._say(verdict)
            self._skipped += 1
            return None
        assert isinstance(seen, Observation)
        return self._encode(seen, sentence_id, now_ros_ns, streams)

    def report(self, now_ns: int, now_ros_ns: int) -> PlannerReport:
        with self._lock:
            age_s = self._streams.image_age_s(now_ros_ns)
            refused, instruction, number = dict(self._refused), self._instruction, self._instruction_id
        return PlannerReport(
            verdict=self.verdict,
            instruction=instruction,
            instruction_id=number,
            rate_hz=self._rate.rate_hz(now_ns),
            encode=self._durations.percentiles(),
            image_age_s=age_s if np.isfinite(age_s) else float("nan"),
            image_is_late=bool(np.isfinite(age_s)) and age_s > self._config.image_warn_s,
            encoded=self._sequence,
            skipped=self._skipped,
            refused=refused,
        )

    def _begin(self) -> None:
        self._streams = ObservationStreams(self._policy.embodiment, self._limits, needs_state=False)
        self._refused: Counter[str] = Counter()
        self._identical: Counter[str] = Counter()
        self._digests: dict[str, int] = {}
        self._durations, self._rate = DurationRing(_RECENT), RateMeter(64)
        self._image_fault = self._sentence_fault = self._encoder_fault = ""
        self._newest = (0, 0)
        self._sequence = self._skipped = 0

    def _judge_inputs(self) -> Verdict:
        if self._instruction:
            return Verdict(State.WAITING_FOR_IMAGE, self._image_fault or "no image came yet")
        said = "the sentence was taken back" if self._instruction_id else "no sentence was given yet"
        return Verdict(State.WAITING_FOR_INSTRUCTION, self._sentence_fault or said)

    def _judge(self, seen: Observation | Refusal) -> Verdict:
        if isinstance(seen, Refusal):
            if seen.reason is Reason.STALE_IMAGE:
                why = f" ({self._image_fault})" if self._image_fault else ""
                return Verdict(State.STALE_IMAGE, f"no image of the last {self._config.max_image_age_s:g} s{why}")
            if seen.reason is Reason.TOO_FAR_APART:
                return Verdict(State.STALE_IMAGE, "the cameras' images are too far apart in time")
            return self._judge_inputs()
        limit = self._config.frozen_images
        frozen = [camera for camera, count in self._identical.items() if limit and count >= limit]
        if frozen:
            return Verdict(State.STALE_IMAGE, f"camera '{frozen[0]}' is frozen: {limit} identical images in a row")
        return Verdict(State.ENCODING, self._sentence_fault or self._image_fault or self._encoder_fault)

    def _encode(
        self, seen: Observation, sentence_id: int, now_ros_ns: int, streams: ObservationStreams
    ) -> ConditioningTokens | None:
        self._newest = (seen.image_stamp_ns, sentence_id)
        began_ns = self._clock_ns()
        try:
            tokens = self._policy.encode(seen, self._sequence + 1, sentence_id)
        except MessageError as error:
            if not self._is_withdrawn(streams):
                self.refuse_tokens(str(error))
            return None
        ended_ns = self._clock_ns()
        took_s = (ended_ns - began_ns) / _NS
        if self._is_withdrawn(streams):
            self._say(self._judge_inputs())
            return None
        self._encoder_fault = ""
        self._sequence += 1
        self._durations.add(took_s)
        self._rate.add(ended_ns)
        self._say(Verdict(State.ENCODING, self._sentence_fault or self._image_fault))
        network_s = min(self._network_s(), took_s) or took_s
        stage_s = {
            "preprocess": took_s - network_s,
            "encode": network_s,
            "wait": max(now_ros_ns - seen.image_stamp_ns, 0) / _NS,
        }
        return replace(tokens, stage_s=stage_s)

    def _is_withdrawn(self, streams: ObservationStreams) -> bool:
        """Whether nobody wants what was being encoded from these streams, which an activation makes anew. Tokens of a sentence
        that another one replaced in the meantime are wanted: they say which they are of, and without them the robot would hold
        in between."""
        with self._lock:
            return self.verdict is _INACTIVE or not self._instruction or streams is not self._streams

    def refuse_tokens(self, detail: str) -> None:
        """What the network gave could not be sent."""
        with self._lock:
            self._refused["tokens"] += 1
        self._encoder_fault = detail
        self._say(Verdict(State.ENCODING, detail))

    def _say(self, verdict: Verdict) -> None:
        with self._lock:
            if self.verdict is not _INACTIVE:
                self.verdict = verdict
