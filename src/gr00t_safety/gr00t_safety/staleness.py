# SPDX-License-Identifier: Apache-2.0
"""Ages of streams by the receiver's own steady clock: a stream is as old as the arrival of its newest good message."""

from dataclasses import dataclass
from enum import IntEnum

from gr00t_policy.core.errors import ConfigError


class Freshness(IntEnum):
    """How old a stream is, from good to bad."""

    FRESH = 0
    LATE = 1  # worth a warning
    STALE = 2  # hold
    LOST = 3  # damp


@dataclass(frozen=True)
class AgeLimits:
    """Ages [s] from which a stream counts as late, stale and lost; ``lost_s`` may be infinite."""

    late_s: float
    stale_s: float
    lost_s: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 < self.late_s <= self.stale_s <= self.lost_s:
            raise ConfigError(
                f"age limits must rise from warn to hold to damp, got {self.late_s}, {self.stale_s}, {self.lost_s} s"
            )


class StreamAge:
    """Remembers when a stream last brought a good message, and since when it has been coming without a gap."""

    def __init__(self, limits: AgeLimits) -> None:
        self.limits = limits
        self._newest_ns: int | None = None
        self._steady_since_ns = 0

    def arrived(self, now_ns: int) -> None:
        """A good message arrived at ``now_ns`` (steady clock)."""
        if self.freshness(now_ns) >= Freshness.STALE:
            self._steady_since_ns = now_ns
        self._newest_ns = now_ns

    def forget(self) -> None:
        """As if nothing had ever arrived."""
        self._newest_ns = None

    @property
    def ever(self) -> bool:
        return self._newest_ns is not None

    def age_s(self, now_ns: int) -> float:
        """Age of the newest good message [s]; infinite before the first."""
        return float("inf") if self._newest_ns is None else max(0.0, (now_ns - self._newest_ns) / 1e9)

    def steady_s(self, now_ns: int) -> float:
        """For how long messages have been coming without a gap [s]; 0 while stale."""
        if self.freshness(now_ns) >= Freshness.STALE:
            return 0.0
        return (now_ns - self._steady_since_ns) / 1e9

    def freshness(self, now_ns: int) -> Freshness:
        age_s = self.age_s(now_ns)
        if age_s >= self.limits.lost_s:
            return Freshness.LOST
        if age_s >= self.limits.stale_s:
            return Freshness.STALE
        return Freshness.LATE if age_s >= self.limits.late_s else Freshness.FRESH
