# SPDX-License-Identifier: Apache-2.0
"""What the controller works on: the newest joint state and tokens, how old they are, and what was refused and why.

Two clocks, both given by the caller: the steady one says how long a stream has been silent, the one that stamps messages
(ROS) says how old a value is. Values may be offered from one thread and judged in another.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.runtime.config import ControllerConfig

_NS = 1_000_000_000
# Stamps that fall back further than this are not out of order: the clock was set back, as in a simulation that starts again.
_CLOCK_SET_BACK_NS = _NS


class State(IntEnum):
    """What the controller does; the numbers are those of its state message."""

    WAITING_FOR_TOKENS = 1
    WAITING_FOR_JOINT_STATES = 2
    RUNNING = 3
    HOLDING = 4
    INACTIVE = 5


class Cause(IntEnum):
    """Why there is no command, or why it is worth a warning. Of several, the first in this order is told."""

    NONE = 0
    NOT_ACTIVE = 1
    NO_TOKENS = 2
    NO_JOINT_STATE = 3
    BAD_JOINT_STATE = 4
    JOINT_STATE_SILENT = 5
    JOINT_STATE_OLD = 6
    TOKENS_SILENT = 7
    IMAGE_OLD = 8
    RECOVERING = 9
    HEAD_FAILED = 10
    NO_PLAN = 11
    PLAN_OLD = 12
    TOKENS_LATE = 13


@dataclass(frozen=True)
class Verdict:
    """State, cause, and the cause as a sentence for people; the sentence changes only when the cause does."""

    state: State
    cause: Cause = Cause.NONE
    detail: str = ""


@dataclass(frozen=True)
class MeasuredState:
    """Positions (J,) [rad] of the policy's joints; received_ns is steady time."""

    positions: NDArray[np.floating]
    stamp_ns: int
    received_ns: int


@dataclass(frozen=True)
class TokensInUse:
    """Tokens and when they came (steady time)."""

    tokens: ConditioningTokens
    received_ns: int


class ControllerInputs:
    """Keeps the newest good values. ``refused`` counts what was not taken, by kind of fault. ``tokens_came`` is set when tokens
    are offered, for a thread that waits for them and clears it."""

    def __init__(self, config: ControllerConfig, joints: int) -> None:
        self._config, self._joints = config, joints
        self._lock = threading.Lock()
        self.tokens_came = threading.Event()
        self.forget()

    def forget(self) -> None:
        """As before the first message."""
        self.state: MeasuredState | None = None
        self.in_use: TokensInUse | None = None
        self.refused: Counter[str] = Counter()
        self._pending: TokensInUse | None = None
        self._bad_state = self._bad_tokens = ""

    def offer_state(self, positions: NDArray[np.floating], stamp_ns: int, now_ns: int, now_ros_ns: int) -> None:
        """Take a joint state (J,) [rad] unless it is broken or not newer than the one before."""
        finite = positions.shape == (self._joints,) and bool(np.isfinite(positions).all())
        ahead_s = (stamp_ns - now_ros_ns) / _NS
        if not finite:
            self.refuse_state(f"a joint state is not {self._joints} finite numbers")
        elif ahead_s > self._config.max_future_s:
            self.refuse_state(f"joint states are stamped {ahead_s:.3f} s ahead of the clock; are the clocks the same?")
        elif self.state is None or not 0 <= self.state.stamp_ns - stamp_ns <= _CLOCK_SET_BACK_NS:
            self.state = MeasuredState(positions, stamp_ns, now_ns)
            self._bad_state = ""
        elif stamp_ns != self.state.stamp_ns:
            self._count("joint state: out of order")

    def refuse_state(self, text: str) -> None:
        """The newest joint state cannot be used: commands stop until a good one comes."""
        self._bad_state = text
        self._count("joint state: not usable")

    def offer_tokens(self, tokens: ConditioningTokens, now_ns: int) -> None:
        """Keep tokens until ``take_tokens``; newer ones replace them."""
        with self._lock:
            self._pending = TokensInUse(tokens, now_ns)
        self.tokens_came.set()

    def take_tokens(self) -> TokensInUse | None:
        """The newest tokens that nobody has looked at."""
        with self._lock:
            pending, self._pending = self._pending, None
        return pending

    def check_order(self, tokens: ConditioningTokens, now_ros_ns: int) -> None:
        """Raises MessageError when tokens are older than those in use, a repetition, or from the future."""
        ahead_s = (tokens.stamp_ns - now_ros_ns) / _NS
        if ahead_s > self._config.max_future_s:
            raise MessageError(f"tokens are stamped {ahead_s:.3f} s ahead of the clock; are the clocks the same?")
        if self.in_use is None:
            return
        used = self.in_use.tokens
        older_ns = used.stamp_ns - tokens.stamp_ns
        if 0 < older_ns <= _CLOCK_SET_BACK_NS:
            raise MessageError(f"tokens are of an image {older_ns / _NS:.3f} s older than the one in use")
        if older_ns == 0 and tokens.sequence == used.sequence:
            raise MessageError("the same tokens came again")

    def use(self, taken: TokensInUse) -> None:
        """These tokens were accepted."""
        self.in_use = taken
        self._bad_tokens = ""

    def refuse_tokens(self, text: str) -> None:
        """Tokens could not be used; those in use stay until they are too old."""
        self._bad_tokens = text
        self._count("tokens: not usable")

    def count_chunk(self, fault: str = "not usable") -> None:
        """The network's answer was not used."""
        self._count(f"chunk: {fault}")

    def token_age_s(self, now_ros_ns: int) -> float:
        """Age of the image behind the tokens in use; NaN without tokens."""
        return (now_ros_ns - self.in_use.tokens.stamp_ns) / _NS if self.in_use else float("nan")

    def state_age_s(self, now_ros_ns: int) -> float:
        """Age of the newest joint state by its stamp; NaN before the first."""
        return (now_ros_ns - self.state.stamp_ns) / _NS if self.state else float("nan")

    def judge(self, now_ns: int, now_ros_ns: int) -> Verdict:
        """RUNNING when commands may be computed, else what is missing."""
        if self.in_use is None:
            return Verdict(State.WAITING_FOR_TOKENS, Cause.NO_TOKENS, self._bad_tokens or "no tokens came yet")
        if self.state is None:
            detail = self._bad_state or "no joint state came yet"
            return Verdict(State.WAITING_FOR_JOINT_STATES, Cause.NO_JOINT_STATE, detail)
        return self._judge_state(now_ns, now_ros_ns) or self._judge_tokens(now_ns, now_ros_ns)

    def _judge_state(self, now_ns: int, now_ros_ns: int) -> Verdict | None:
        assert self.state is not None
        limit_s = self._config.joint_state_timeout_s
        if self._bad_state:
            return Verdict(State.HOLDING, Cause.BAD_JOINT_STATE, self._bad_state)
        if (now_ns - self.state.received_ns) / _NS > limit_s:
            return Verdict(State.HOLDING, Cause.JOINT_STATE_SILENT, f"no new joint state for {limit_s:g} s")
        if (now_ros_ns - self.state.stamp_ns) / _NS > limit_s:
            return Verdict(State.HOLDING, Cause.JOINT_STATE_OLD, f"joint states come older than {limit_s:g} s")
        return None

    def _judge_tokens(self, now_ns: int, now_ros_ns: int) -> Verdict:
        assert self.in_use is not None
        config = self._config
        silent_s = (now_ns - self.in_use.received_ns) / _NS
        if silent_s > config.token_hold_s:
            why = f" ({self._bad_tokens})" if self._bad_tokens else ""
            return Verdict(State.HOLDING, Cause.TOKENS_SILENT, f"no new tokens for {config.token_hold_s:g} s{why}")
        if (now_ros_ns - self.in_use.tokens.stamp_ns) / _NS > config.token_max_age_s:
            detail = f"the image behind the tokens is older than {config.token_max_age_s:g} s"
            return Verdict(State.HOLDING, Cause.IMAGE_OLD, detail)
        if silent_s > config.token_warn_s:
            detail = f"WARN: no new tokens for {config.token_warn_s:g} s"
            return Verdict(State.RUNNING, Cause.TOKENS_LATE, detail)
        return Verdict(State.RUNNING)

    def _count(self, fault: str) -> None:
        with self._lock:
            self.refused[fault] += 1
