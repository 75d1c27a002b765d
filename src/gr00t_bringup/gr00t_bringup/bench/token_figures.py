# SPDX-License-Identifier: Apache-2.0
"""How long tokens take from the planner's network to the controller's head, from the times two processes wrote down."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.bench.token_plan import MessageKind, Times, TokenPlan
from gr00t_bringup.measure import Percentiles, percentiles

GOAL_MS, GOAL_MB = 5.0, 0.3


@dataclass(frozen=True)
class TokenFigures:
    """Of one kind of message; milliseconds.

    write: array to message. publish: inside ``publish``. way: from the call of ``publish`` to the callback. read: message to
    array, checked. hand_over: from there until the thread that prepares the head has them. to_head: from the call of
    ``publish`` to there; whole: ``write`` and that. lost: messages that never came there.
    """

    rows: int
    dtype: str
    data_bytes: int
    sent: int
    lost: int
    write_ms: Percentiles
    publish_ms: Percentiles
    way_ms: Percentiles
    read_ms: Percentiles
    hand_over_ms: Percentiles
    to_head_ms: Percentiles
    whole_ms: Percentiles
    worst_ms: float


def token_figures(plan: TokenPlan, sender: Times, receiver: Times) -> list[TokenFigures]:
    """One for each kind of the plan, in its order.

    sender: when tokens were there, the message was made, ``publish`` returned. receiver: when the callback began, the tokens
    were read, the head's thread had them.
    """
    return [_figures(plan, kind, sender, receiver) for kind in plan.kinds]


def token_goal(figures: TokenFigures) -> Goal | None:
    """What is to be reached by messages of 0.3 MB; None for others."""
    if abs(figures.data_bytes / 1e6 - GOAL_MB) > 0.01 * GOAL_MB:
        return None
    return Goal(f"publish to head p99, {GOAL_MB} MB {figures.dtype}", figures.to_head_ms.p99, "ms", 0.0, GOAL_MS)


def _figures(plan: TokenPlan, kind: MessageKind, sender: Times, receiver: Times) -> TokenFigures:
    numbers = [n for n in sender.steps if plan.counts(n) and plan.kind(n) == kind]
    arrived = [n for n in numbers if n in receiver.steps]
    sent = _milliseconds(sender, arrived)
    came = _milliseconds(receiver, arrived)
    to_head = came[:, 2] - sent[:, 1]
    return TokenFigures(
        rows=kind.rows,
        dtype=kind.dtype,
        data_bytes=kind.data_bytes,
        sent=len(numbers),
        lost=len(numbers) - len(arrived),
        write_ms=percentiles(sent[:, 1] - sent[:, 0]),
        publish_ms=percentiles(sent[:, 2] - sent[:, 1]),
        way_ms=percentiles(came[:, 0] - sent[:, 1]),
        read_ms=percentiles(came[:, 1] - came[:, 0]),
        hand_over_ms=percentiles(came[:, 2] - came[:, 1]),
        to_head_ms=percentiles(to_head),
        whole_ms=percentiles(came[:, 2] - sent[:, 0]),
        worst_ms=float(to_head.max()) if len(to_head) else float("nan"),
    )


def _milliseconds(times: Times, numbers: list[int]) -> NDArray[np.float64]:
    """(N, 3)."""
    return np.array([times.steps[n] for n in numbers], np.float64).reshape(-1, 3) / 1e6
