# SPDX-License-Identifier: Apache-2.0
"""What demonstrations cost: episodes per hour of waiting, and seconds of processor per episode."""

import resource
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What one run did. made: episodes it added; attempts: episodes it tried; seconds: from start to the merged dataset.

    cpu_s: of all its processes and their threads (physics, expert, pictures without a GPU, video, files), set-up included.
    """

    made: int
    attempts: int
    seconds: float
    cpu_s: float

    @property
    def episodes_per_hour(self) -> float:
        return 3600 * self.made / self.seconds

    @property
    def cpu_s_per_episode(self) -> float | None:
        """None when nothing was made."""
        return self.cpu_s / self.made if self.made else None

    def as_dict(self) -> dict[str, float | None]:
        """For a JSON summary, rounded."""
        per_episode = self.cpu_s_per_episode
        return {
            "made": self.made,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 1),
            "episodes_per_hour": round(self.episodes_per_hour),
            "cpu_s": round(self.cpu_s, 1),
            "cpu_s_per_episode": None if per_episode is None else round(per_episode, 3),
        }

    def __str__(self) -> str:
        if not self.made:
            return "this run: nothing was left to make"
        return (
            f"this run: {self.made} of {self.attempts} attempts kept, {self.episodes_per_hour:.0f} episodes per hour, "
            f"{self.cpu_s_per_episode:.2f} CPU seconds per episode"
        )


def cpu_s() -> float:
    """Processor seconds so far of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
