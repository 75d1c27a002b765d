# SPDX-License-Identifier: Apache-2.0
"""Predicted chunks and the executed plan of one bag, beside what was done at the same moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.recorded_run import Done, RecordedRun
from gr00t_bringup.bag_evaluation.replay import Replay
from gr00t_policy.core.embodiment import Embodiment

GRID_HZ = 50.0  # of executed and done motion: between the rates at which robots are told and those at which they answer
MOVED_RAD = 0.05  # a joint that was moved by less says nothing: drift, gravity and noise are of that size
_S_NS = 1_000_000_000


@dataclass(frozen=True)
class Aligned:
    """M chunks of T steps. due_ns: (M, T); predicted, done: (M, T, J) [rad]; known: (M, T) where ``done`` is.

    held: (M, J) the joint state behind each chunk. made_ns: (M,). grid_ns: (G,) regular moments; executed, shown: (G, J) the
    commands of the policy and what was done; grid_known: (G,) where both are.
    """

    robot: Embodiment
    recorded: Done
    due_ns: NDArray[np.int64]
    predicted: NDArray[np.float64]
    done: NDArray[np.float64]
    known: NDArray[np.bool_]
    held: NDArray[np.float64]
    made_ns: NDArray[np.int64]
    grid_ns: NDArray[np.int64]
    executed: NDArray[np.float64]
    shown: NDArray[np.float64]
    grid_known: NDArray[np.bool_]

    @cached_property
    def step_s(self) -> float:
        return float((self.due_ns[0, 1] - self.due_ns[0, 0]) / _S_NS) if self.due_ns.shape[1] > 1 else 0.0


def align(run: RecordedRun, replayed: Replay) -> Aligned:
    """Everything on the absolute time line that chunks and commands have."""
    chunks = replayed.chunks
    steps = np.arange(len(chunks[0].positions))
    due_ns = np.array([chunk.stamp_ns + np.round(steps * chunk.step_dt_s * _S_NS).astype(np.int64) for chunk in chunks])
    done, known = run.done.at(due_ns)
    followed = Done(replayed.command_ns, replayed.commands)
    first, last = followed.times_ns[0], followed.times_ns[-1]
    grid_ns = np.arange(first, last + 1, round(_S_NS / GRID_HZ))
    executed, driven = _without_holds(followed, grid_ns)
    shown, shown_known = run.done.at(grid_ns)
    return Aligned(
        robot=run.recording.robot,
        recorded=run.done,
        due_ns=due_ns,
        predicted=np.stack([chunk.positions for chunk in chunks]),
        done=done,
        known=known,
        held=run.state_at(np.array([chunk.state_stamp_ns for chunk in chunks])),
        made_ns=np.array(replayed.made_ns),
        grid_ns=grid_ns,
        executed=executed,
        shown=shown,
        grid_known=driven & shown_known,
    )


def moving_joints(bags: Sequence[Aligned]) -> NDArray[np.bool_]:
    """(J,) which joints were moved in any of the bags while the policy would have driven."""
    return np.max([_range(bag) for bag in bags], axis=0) > MOVED_RAD


def parts(robot: Embodiment) -> dict[str, slice]:
    """Joint groups of the policy, and 'all'."""
    return {**robot.policy_slices, "all": slice(0, len(robot.policy_joints))}


def stretches(good: NDArray[np.bool_]) -> list[slice]:
    """Longest runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _range(bag: Aligned) -> NDArray[np.float64]:
    inside = bag.shown[bag.grid_known] if bag.grid_known.any() else bag.recorded.positions
    return np.ptp(inside, axis=0)


def _without_holds(commands: Done, grid_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Commands on the grid, and where the policy drove: it is silent while it holds."""
    if len(commands.times_ns) < 2:
        return np.repeat(commands.positions, len(grid_ns), axis=0), np.ones(len(grid_ns), np.bool_)
    values, _ = commands.at(grid_ns)
    after = np.searchsorted(commands.times_ns, grid_ns, side="left").clip(1, len(commands.times_ns) - 1)
    return values, commands.times_ns[after] - commands.times_ns[after - 1] <= round(2.5 * _S_NS / GRID_HZ)
