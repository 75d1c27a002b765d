# SPDX-License-Identifier: Apache-2.0
"""Which of the policy's commands is the first from each tokens: the one that the first chunk from them, sent at once, names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[np.int64]  # (N,) nanoseconds


@dataclass(frozen=True)
class ChunkTie:
    """What a chunk was computed from: tokens by the planner's number and the image's stamp [ns], a joint state by its stamp."""

    sent_ns: int
    tokens_sequence: int
    tokens_stamp_ns: int
    state_stamp_ns: int


def tie_of(chunk: Any, sent_ns: int) -> ChunkTie | None:
    """Of a decoded ``action_chunk``; None of a bag of before they said what they are from."""
    if not all(hasattr(chunk, name) for name in ("tokens_sequence", "tokens_stamp", "state_stamp")):
        return None
    tokens_ns, state_ns = (int(at.sec) * 10**9 + int(at.nanosec) for at in (chunk.tokens_stamp, chunk.state_stamp))
    return ChunkTie(sent_ns, chunk.tokens_sequence, tokens_ns, state_ns)


def first_commands(
    ties: Sequence[ChunkTie], tokens: Sequence[tuple[int, int]], policy_stamp: Stamps, policy_sent: Stamps
) -> NDArray[np.int64]:
    """For each tokens (number, stamp of the image [ns]) the index of the policy's first command from them, (N,); the number of
    commands for tokens that were never used.

    ties: in the order of sending. policy_stamp: of the joint state behind each command.
    """
    commands: dict[int, list[int]] = {}
    for index, stamp_ns in enumerate(policy_stamp.tolist()):
        commands.setdefault(stamp_ns, []).append(index)
    first: dict[tuple[int, int], ChunkTie] = {}
    for tie in ties:
        first.setdefault((tie.tokens_sequence, tie.tokens_stamp_ns), tie)

    def named(each: tuple[int, int]) -> int:
        if each not in first or first[each].state_stamp_ns not in commands:
            return len(policy_stamp)
        sent_ns = first[each].sent_ns  # a simulated clock that begins anew says a stamp again
        return min(commands[first[each].state_stamp_ns], key=lambda at: abs(int(policy_sent[at]) - sent_ns))

    return np.array([named(each) for each in tokens], dtype=np.int64)
