# SPDX-License-Identifier: Apache-2.0
"""What every way of joining chunks shares: which chunk is taken, when a time line begins anew, where the plan ends.

A chunk is never moved to "now": its step i belongs to its stamp + i * step_dt_s, and what of it is already past is not used.
"""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk

_NS = 1_000_000_000
CLOCK_JUMP_NS = _NS  # stamps that go back further: the clock was set


@dataclass(frozen=True)
class Guide:
    """What a chunk that is about to be computed should agree with.

    positions (T, J) [rad]: the plan at the chunk's steps. weights (T,): 1 will be executed before the chunk is there and must
    stay, 0 is free.
    """

    positions: NDArray[np.float64]
    weights: NDArray[np.float64]


class ChunkPlan(ABC):
    """Plan of joint targets (J,) [rad] over time. One thread updates, resets and samples it; ``guide`` and ``moved`` may be asked
    from another."""

    def __init__(self, joints: int) -> None:
        self._joints = joints
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget the plan."""
        with self._lock:
            self._empty = True
            self._newest_ns = 0  # stamp of the newest chunk used
            self._steps = self._step_ns = 0  # of the chunks on this time line
            self.end_ns = 0  # time of the last planned step; 0 when empty
            self.rejected = 0

    @property
    def empty(self) -> bool:
        return self._empty

    @property
    def begins_ns(self) -> int:
        """From when on the plan says where to be; before that its first target is still to be approached."""
        return self._newest_ns

    def exhausted(self, time_ns: int) -> bool:
        """True when nothing is planned for ``time_ns`` and sampling holds the last target."""
        return self._empty or time_ns > self.end_ns

    def begins_anew(self, stamp_ns: int) -> bool:
        """True when a chunk with this stamp has nothing to continue: nothing is planned for it, or the clock was set back."""
        return self.exhausted(stamp_ns) or self._newest_ns - stamp_ns > CLOCK_JUMP_NS

    def update(self, chunk: ActionChunk, now_ns: int | None = None) -> bool:
        """Take a chunk in. False (and counted) when it is not finite or older than the newest one used.

        now_ns: time of the next sample. Older by more than a second means that the clock was set back: then a new time
        line begins.
        """
        older_ns = self._newest_ns - chunk.stamp_ns
        if not np.isfinite(chunk.positions).all() or (not self._empty and 0 < older_ns <= CLOCK_JUMP_NS):
            self.rejected += 1
            return False
        step_ns = round(chunk.step_dt_s * _NS)
        fits = chunk.positions.shape == (self._steps, self._joints) and step_ns == self._step_ns
        with self._lock:
            if fits and not self.begins_anew(chunk.stamp_ns):
                self._join(chunk, now_ns)
            else:
                self._steps, self._step_ns = len(chunk.positions), step_ns
                self._begin(chunk)
            self._empty = False
            self._newest_ns = chunk.stamp_ns
            self.end_ns = chunk.stamp_ns + (len(chunk.positions) - 1) * step_ns
        return True

    def sample(self, time_ns: int) -> NDArray[np.float64]:
        """Target (J,) for ``time_ns``; the first or last target outside the plan. Needs a plan."""
        assert not self._empty, "sample before the first chunk"
        with self._lock:
            return self._at(min(time_ns, self.end_ns))

    def moved(self, from_ns: int, to_ns: int) -> NDArray[np.float64] | None:
        """How far the plan goes between two times (J,) [rad]; None without a plan."""
        with self._lock:  # ``reset`` may come from the other thread at any time
            return None if self._empty else self.sample(to_ns) - self.sample(from_ns)

    def guide(self, stamp_ns: int, ready_ns: int) -> Guide | None:
        """What the chunk with this stamp, usable from ``ready_ns`` on, should agree with; None: with nothing."""
        return None

    @abstractmethod
    def _begin(self, chunk: ActionChunk) -> None:
        """A new time line that is this chunk."""

    @abstractmethod
    def _join(self, chunk: ActionChunk, now_ns: int | None) -> None:
        """The chunk belongs to the time line and is not older than the newest one in it."""

    @abstractmethod
    def _at(self, time_ns: int) -> NDArray[np.float64]:
        """Target (J,) for a time that is not after the end."""
