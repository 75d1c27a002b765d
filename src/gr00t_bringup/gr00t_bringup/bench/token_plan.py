# SPDX-License-Identifier: Apache-2.0
"""What one run of ``gr00t bench tokens`` sends, and what its two processes write down. Read by the programs in ``ros/``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gr00t_policy.core.wire import WireType

WIDTH = 1536  # of a token of GR00T N1 2B
_BYTES = {WireType.FLOAT32: 4, WireType.BFLOAT16: 2, WireType.FLOAT16: 2}


@dataclass(frozen=True)
class MessageKind:
    """Tokens (rows, WIDTH) written as ``dtype``, a name of WireType in small letters."""

    rows: int
    dtype: str

    @property
    def wire_type(self) -> WireType:
        return WireType[self.dtype.upper()]

    @property
    def data_bytes(self) -> int:
        """Length of the message's ``data``."""
        return self.rows * WIDTH * _BYTES[self.wire_type]


@dataclass(frozen=True)
class TokenPlan:
    """Messages of all kinds in turn, each ``messages`` times. warm_up: so many turns before, which are not counted.

    loaded: sender and receiver do beside it what planner and controller do. realtime: their threads have the priorities of
    planner and controller, where that is allowed. rate_hz: not quite the planner's 10 Hz, of which the controller's 120 Hz are
    a multiple: so messages come at all phases of a control period, not in each run at another one.
    """

    kinds: tuple[MessageKind, ...]
    messages: int
    loaded: bool
    realtime: bool
    rate_hz: float = 9.97
    warm_up: int = 3

    def kind(self, sequence: int) -> MessageKind:
        """Of the message with this number; the first is 1."""
        return self.kinds[(sequence - 1) % len(self.kinds)]

    def counts(self, sequence: int) -> bool:
        """Whether the message with this number is measured."""
        return sequence > self.warm_up * len(self.kinds)

    @property
    def total(self) -> int:
        """Number of the last message."""
        return (self.warm_up + self.messages) * len(self.kinds)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Self:
        fields: dict[str, Any] = json.loads(file.read_text())
        kinds = tuple(MessageKind(**kind) for kind in fields.pop("kinds"))
        return cls(kinds=kinds, **fields)


def kind_of(size_mb: float, dtype: str) -> MessageKind:
    """The kind whose data come closest to ``size_mb`` (of 10^6 bytes), at least one token."""
    row_bytes = MessageKind(1, dtype).data_bytes
    return MessageKind(max(round(1e6 * size_mb / row_bytes), 1), dtype)


@dataclass(frozen=True)
class Times:
    """Steady time [ns] of each step, by the message's number. realtime: whether the priority asked for was given."""

    steps: Mapping[int, tuple[int, ...]]
    realtime: bool

    def write(self, file: Path) -> None:
        """Whole or not at all, so that who waits for the file reads all of it."""
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps({"realtime": self.realtime, "steps": list(self.steps.items())}))
        beside.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        found = json.loads(file.read_text())
        return cls({sequence: tuple(steps) for sequence, steps in found["steps"]}, found["realtime"])
