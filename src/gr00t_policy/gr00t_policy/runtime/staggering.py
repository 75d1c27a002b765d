# SPDX-License-Identifier: Apache-2.0
"""Staggered denoising: as many chunks in flight as there are Euler steps, each one step further than the next, all pushed
through the head as one batch.

Every evaluation finishes one chunk and begins another, and reads the weights once instead of once per Euler step. Each chunk
keeps the joint state and tokens that it began with, through all its steps: what comes out is exactly the chunk that a whole
evaluation of that observation gives, N - 1 evaluations late, and it is stamped with that observation.

When nothing is in flight, at the start and after ``flush``, the observation is evaluated whole, so that there is a chunk at
once; the N - 1 evaluations after it finish none. What is in flight is dropped when another sentence is obeyed or the clock was
set back.
"""

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.policy import BegunChunk, Policy, SteppingBackend

_CLOCK_SET_BACK_NS = 1_000_000_000  # as in the inputs and the plan
_Origin = TypeVar("_Origin")


@runtime_checkable
class StaggeringPolicy(Policy, Protocol):
    """A policy whose chunks can be computed one Euler step at a time."""

    @property
    def flow_steps(self) -> int:
        """Euler steps of a chunk. Raises ConfigError when what runs the network cannot make single ones."""
        ...

    def begin(self, state: NDArray[np.floating], state_stamp_ns: int) -> BegunChunk:
        """What a chunk of joint state (J,) [rad] and the tokens in use begins from. Raises MessageError."""
        ...

    def advance(self, begun: Sequence[BegunChunk], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """One Euler step of x (N, T, A); row k, begun from ``begun[k]``, is at step k."""
        ...

    def finish(self, begun: BegunChunk, actions: NDArray[np.float32]) -> ActionChunk:
        """The chunk of normalised actions (T, A). Raises MessageError when they are not finite."""
        ...


class WholeChunks(Generic[_Origin]):
    """Each evaluation gives the chunk of its own observation. origin: anything; it comes back with the chunk."""

    steps = 1  # evaluations that a chunk is in

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def evaluate(
        self, state: NDArray[np.floating], stamp_ns: int, origin: _Origin, guide: Guide | None = None
    ) -> tuple[ActionChunk, _Origin] | None:
        """See ``Policy.act``. Raises MessageError."""
        if guide is None:
            return self._policy.act(state, stamp_ns), origin
        return self._policy.act(state, stamp_ns, guide), origin

    def flush(self) -> None:
        """Nothing is ever in flight."""


class StaggeredChunks(Generic[_Origin]):
    """Each evaluation begins the chunk of its observation and finishes an older one; for one thread.

    origin: anything; it comes back with the chunk that began there.
    """

    def __init__(self, policy: Policy) -> None:
        """Raises ConfigError when the policy has no flow, or one that cannot be advanced step by step."""
        if not isinstance(policy, StaggeringPolicy):
            raise ConfigError("this policy has no flow whose steps can be staggered; set staggered to false")
        self._policy = policy
        self.steps = policy.flow_steps
        self._x: NDArray[np.float32] | None = None  # (N, T, A): row k has made k + 1 steps
        self.flush()

    def flush(self) -> None:
        """Drop what is in flight: the next observation is evaluated whole."""
        self._rows: list[tuple[BegunChunk, _Origin] | None] = [None] * self.steps
        self._newest: BegunChunk | None = None

    def evaluate(
        self, state: NDArray[np.floating], stamp_ns: int, origin: _Origin, guide: Guide | None = None
    ) -> tuple[ActionChunk, _Origin] | None:
        """The chunk that is finished by this evaluation and what was given with its observation; None: none is.

        Raises MessageError, and nothing is in flight any more, when the state or the chunk is not finite.
        """
        assert guide is None, "a staggered chunk begins before the one that it would have to continue is there"
        try:
            begun = self._policy.begin(state, stamp_ns)
            if self._newest is None or not _goes_on(begun, self._newest):
                self.flush()
                chunk = self._policy.act(state, stamp_ns)
                self._newest = begun
                return chunk, origin
            self._newest = begun
            return self._push(begun, origin)
        except MessageError:
            self.flush()
            raise

    def _push(self, begun: BegunChunk, origin: _Origin) -> tuple[ActionChunk, _Origin] | None:
        if self._x is None:
            self._x = np.zeros((self.steps, *begun.noise.shape), np.float32)
        x = np.concatenate([begun.noise[None], self._x[:-1]])
        self._rows = [(begun, origin), *self._rows[:-1]]
        # Rows that are still empty are computed too, on anything, and nobody looks.
        self._x = self._policy.advance([begun if row is None else row[0] for row in self._rows], x)
        last = self._rows[-1]
        return None if last is None else (self._policy.finish(last[0], self._x[-1]), last[1])


def _goes_on(begun: BegunChunk, before: BegunChunk) -> bool:
    """Whether chunks begun from the one observation may be finished after one was begun from the other."""
    here, there = begun.tokens, before.tokens
    same_sentence = (here.instruction_id, here.instruction) == (there.instruction_id, there.instruction)
    same_length = len(here.mask) == len(there.mask)  # rows of one batch
    return same_sentence and same_length and begun.stamp_ns > before.stamp_ns - _CLOCK_SET_BACK_NS


def staggered_actions(
    backend: SteppingBackend, contexts: Sequence[Any], states: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """M observations one after the other through chunks in flight: states (M, 1, state_dim), noise (M, T, A) -> normalised
    actions (M, T, A)."""
    steps, count = backend.steps, len(states)
    x = np.zeros((steps, *noise.shape[1:]), np.float32)
    finished = []
    for tick in range(count + steps - 1):
        rows = [min(max(tick - k, 0), count - 1) for k in range(steps)]
        x = np.concatenate([noise[rows[0]][None], x[:-1]])
        x = backend.advance([contexts[row] for row in rows], states[rows], x)
        if tick >= steps - 1:
            finished.append(x[-1])
    return np.stack(finished)
