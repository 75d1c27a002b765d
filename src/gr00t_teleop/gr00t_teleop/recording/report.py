# SPDX-License-Identifier: Apache-2.0
"""What the recorder says of itself, as plain data, and the one error it answers requests with."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from gr00t_policy.core.errors import Gr00tError


class State(Enum):
    """In the words of RecorderState."""

    IDLE = auto()
    READY = auto()
    RECORDING = auto()
    REVIEW = auto()
    SAVING = auto()
    INACTIVE = auto()
    FAILED = auto()


class Refusal(Enum):
    """Why a request is not obeyed."""

    INVALID = auto()
    BUSY = auto()
    DISK = auto()
    NO_DATA = auto()
    NO_EPISODE = auto()


class RefusedError(Gr00tError):
    """A request that cannot be obeyed now; ``reason`` for programs, the text for people."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class EpisodeEnd:
    """How an episode ended. bag: where it lies; None: it was discarded. failure: why it is not complete; empty: it is."""

    bag: Path | None
    messages: int
    reason: str
    failure: str = ""


@dataclass(frozen=True)
class TopicReport:
    """As RecordedTopic."""

    name: str
    type_name: str
    required: bool
    rate_hz: float
    expected_rate_hz: float
    age_s: float
    messages: int
    lost: int


@dataclass(frozen=True)
class RecorderReport:
    """As RecorderState. bag: of the episode that is written or reviewed; None: there is none. unrecorded: topics that are
    published and cannot be recorded, with the reason."""

    state: State
    detail: str
    instruction: str
    bag: Path | None
    elapsed_s: float
    messages: int
    lost: int
    bytes_written: int
    bytes_free: int
    queue_fill: float
    alarm: bool
    topics: tuple[TopicReport, ...]
    unrecorded: Mapping[str, str]
