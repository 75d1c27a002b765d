# SPDX-License-Identifier: Apache-2.0
"""One episode while it is written: its bag, what it is about, when it ends, what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gr00t_policy.data.bag import BagLayout, BagWriter
from gr00t_policy.data.bag_metadata import PENDING, REVIEW
from gr00t_teleop.recording.bag_thread import BagThread
from gr00t_teleop.recording.recovery import EPISODE_RECORD

OUTCOMES = ("", "success", "failure")


@dataclass(frozen=True)
class Decision:
    """What is to become of an episode. outcome: one of ``OUTCOMES``."""

    keep: bool
    outcome: str = ""

    def facts(self, noted: "Decision | None" = None) -> dict[str, str]:
        """What is noted with the episode: what differs from one that is kept and was not judged, and from what was ``noted``."""
        judged = self.outcome or (noted is not None and noted.outcome)
        kept_after_all = self.keep and noted is not None and not noted.keep
        return (
            ({"outcome": self.outcome} if judged else {})
            | ({} if self.keep else {"kept": "false"})
            | ({"kept": "true", "end": "kept"} if kept_after_all else {})
        )


@dataclass
class Episode:
    """Times are of one steady clock [ns]. end_ns: it ends then at the latest; None: never. ended_ns: None while recording."""

    bag: Path
    facts: dict[str, str]
    began_ns: int
    end_ns: int | None
    thread: BagThread
    ended_ns: int | None = None
    end_reason: str = ""
    decision: Decision | None = None
    noted: Decision | None = None  # on the disk, when it ended
    is_marked: bool = False  # on the disk, as one that waits for a decision
    topics: set[str] = field(default_factory=set)
    messages: int = 0
    lost: int = 0

    @property
    def instruction(self) -> str:
        return self.facts["instruction"]

    def elapsed_s(self, now_ns: int) -> float:
        return ((now_ns if self.ended_ns is None else self.ended_ns) - self.began_ns) / 1e9

    def finish(self, now_ns: int, reason: str, lost: Mapping[str, int], unrecorded: Mapping[str, str]) -> None:
        """Close the bag, in its own thread. Kept in its metadata: messages lost by topic, and why a topic is not in it.

        Without a decision it is marked, so that nobody takes it for a kept one.
        """
        self.ended_ns, self.end_reason = now_ns, reason
        self.noted, self.is_marked = self.decision, self.decision is None
        custom_data = dict(self.facts)
        custom_data |= {REVIEW: PENDING} if self.decision is None else self.decision.facts()
        custom_data |= {
            "end": reason,
            "messages": str(self.messages),
            "messages_lost": str(self.lost),
            "queue_peak_bytes": str(self.thread.queue_peak_bytes),
            **{f"lost.{topic}": str(count) for topic, count in lost.items() if count},
            **{f"unrecorded.{topic}": why for topic, why in unrecorded.items()},
        }
        self.thread.finish(custom_data)


def open_episode(
    bag: Path,
    facts: dict[str, str],
    layout: BagLayout,
    queue_bytes: int,
    ros_distro: str,
    began_ns: int,
    max_s: float,
) -> Episode:
    """Make the bag and begin to write. max_s: 0 = no limit. Raises OSError."""
    writer = BagWriter(bag, ros_distro, layout, {EPISODE_RECORD: facts})
    end_ns = began_ns + int(max_s * 1e9) if max_s > 0 else None
    return Episode(bag, facts, began_ns, end_ns, BagThread(writer, queue_bytes))
