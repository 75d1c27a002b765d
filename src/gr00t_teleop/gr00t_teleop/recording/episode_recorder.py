# SPDX-License-Identifier: Apache-2.0
"""The recorder without ROS: topics and messages in, episodes out, and a report of how it goes.

Messages come from one thread, requests and ``tick`` from another; one lock keeps them apart, and nothing under it waits
for the disk but the making of a folder and the note of a decision. ``tick`` moves the states on: an episode that ended
is closed in its own thread.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.core.instruction import instruction_fault
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.bag_metadata import DECIDED, REVIEW
from gr00t_teleop.recording.bag_thread import BagThread
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode import OUTCOMES, Decision, Episode, open_episode
from gr00t_teleop.recording.episode_folders import EpisodeFolders, add_custom_data
from gr00t_teleop.recording.report import EpisodeEnd, RecorderReport, Refusal, RefusedError, State
from gr00t_teleop.recording.requirement import Requirement
from gr00t_teleop.recording.snapshot_ring import SnapshotRing
from gr00t_teleop.recording.topic_watch import TopicWatch
from gr00t_teleop.recording.watched_topics import WatchedTopics

_QUEUE_ALARM = 0.5
_CLOSE_S = 10.0  # at most, when the recorder itself ends


class EpisodeRecorder:
    """Owns the episodes in ``folders``. facts: about every episode, as text. Topics are full names, also ``pausing``, whose
    stop is no alarm."""

    def __init__(
        self,
        config: RecorderConfig,
        folders: EpisodeFolders,
        topics: Sequence[str],
        required: Sequence[Requirement],
        facts: Mapping[str, str],
        pausing: Collection[str] = (),
    ) -> None:
        self.is_receiving = True  # false while nobody hands in messages
        self._config, self._folders, self._facts = config, folders, dict(facts)
        self._lock = threading.Lock()
        self._watches = WatchedTopics(topics, required, pausing, config.silent_s)
        self._ring = SnapshotRing(config.snapshot_s, config.snapshot_mb * 1_000_000)
        self._snapshots: list[BagThread] = []
        self._episode: Episode | None = None
        self._ends: dict[Path, EpisodeEnd] = {}  # of the newest episode that is no longer here
        self._failure = ""
        self._failed: Episode | None = None  # what could not be written to its end, until the next one
        self._note = ""
        self._free_bytes = folders.free_bytes

    def wants(self, topic: str) -> bool:
        return topic in self._watches

    def add_topic(self, topic: BagTopic, *, latched: bool) -> None:
        """A topic is there now, also in the middle of an episode."""
        with self._lock:
            watch = self._watches[topic.name]
            watch.topic, watch.latched = topic, latched
            if self._recording is not None and topic.name not in self._recording.topics:
                self._recording.thread.put_topic(topic)
                self._recording.topics.add(topic.name)

    def refuse_topic(self, topic: str, reason: str) -> None:
        """A topic is published that cannot be recorded."""
        with self._lock:
            self._watches[topic].refused = reason

    def set_publishers(self, topic: str, count: int) -> None:
        """How many send a topic: of several the gaps cannot be counted."""
        with self._lock:
            self._watches[topic].counts_gaps = count <= 1

    def message(self, message: BagMessage, now_ns: int) -> None:
        """Record a message of a topic added before."""
        with self._lock:
            watch = self._watches[message.topic]
            watch.receive(message, now_ns)
            if self._config.snapshot_s:
                self._ring.add(message, now_ns)
            episode = self._recording
            if episode is not None:
                self._put(episode, watch, message, now_ns)

    def start(
        self, now_ns: int, wall_ns: int, instruction: str, operator: str = "", max_duration_s: float = 0.0
    ) -> Path:
        """Begin an episode; the one in review is kept. Returns its bag. Raises RefusedError."""
        with self._lock:
            told = self._failure
            self._notice_failure(now_ns)
            self._check_start(now_ns, instruction, max_duration_s)
            if self._episode is not None:
                self._decide_closed(self._episode, Decision(keep=True))
            self._note = "" if self._failure == told else self._failure  # of the one before; nobody has read it yet
            self._failure, self._failed = "", None
            bag = self._folders.next_episode()
            facts = {"instruction": instruction, "operator": operator, **self._facts}
            config = self._config
            try:
                episode = open_episode(
                    *(bag, facts, config.layout, config.queue_bytes, facts.get("ros_distro", "jazzy")),
                    now_ns,
                    max_duration_s or config.max_episode_s,
                )
            except OSError as error:
                raise RefusedError(Refusal.DISK, f"{bag} cannot be written: {error.strerror}") from error
            self._episode = episode
            self._watches.begin_episode(now_ns)
            for watch in self._watches:
                if watch.topic is not None:
                    episode.thread.put_topic(watch.topic)
                    episode.topics.add(watch.name)
                if watch.newest is not None:  # latched: it will not be sent again
                    self._put(episode, watch, replace(watch.newest, log_ns=wall_ns), now_ns)
            return bag

    def stop(self, now_ns: int, reason: str = "stopped", decision: Decision | None = None) -> Path:
        """End the episode that is recorded. Returns its bag, which is being closed. Raises RefusedError."""
        with self._lock:
            if self._recording is None:
                raise RefusedError(
                    Refusal.NO_EPISODE, f"no episode is being recorded (state {self._state(now_ns).name})"
                )
            return self._end(self._recording, now_ns, reason, decision)

    def decide(self, now_ns: int, decision: Decision) -> Path:
        """Keep or discard the episode that is recorded, closed or reviewed. Returns its bag as it is now called.

        Raises RefusedError.
        """
        if decision.outcome not in OUTCOMES:
            words = ", ".join(f"'{word}'" for word in OUTCOMES)
            raise RefusedError(Refusal.INVALID, f"outcome '{decision.outcome}' is not one of {words}")
        with self._lock:
            if self._notice_failure(now_ns):
                raise RefusedError(Refusal.DISK, self._failure)
            episode = self._episode
            if episode is None:
                raise RefusedError(Refusal.NO_EPISODE, "there is no episode to keep or to discard")
            if episode.ended_ns is None:
                return self._end(episode, now_ns, "kept" if decision.keep else "discarded", decision)
            episode.decision = decision
            return self._decide_closed(episode, decision) if episode.thread.is_finished else episode.bag

    def is_recording(self, bag: Path) -> bool:
        """Whether messages go to ``bag`` now."""
        with self._lock:
            return self._recording is not None and self._recording.bag == bag

    def end_of(self, bag: Path) -> EpisodeEnd | None:
        """How the newest or the last but one episode ended, by the name that ``start`` gave; None while it is written."""
        with self._lock:
            episode = self._episode
            if episode is None or episode.bag != bag:
                return self._ends.get(bag)
            done = episode.ended_ns is not None and episode.thread.is_finished and episode.thread.failure is None
            return EpisodeEnd(bag, episode.messages, episode.end_reason) if done else None

    def snapshot(self, name: str) -> Path:
        """Save the last seconds of all topics, in a thread of its own. Returns the bag. Raises RefusedError."""
        with self._lock:
            content = self._ring.content()
            if content:  # latched messages are not sent again: the newest of each comes first
                kept = {id(message) for message in content}
                begin_ns = content[0].log_ns
                newest = [watch.newest for watch in self._watches if watch.newest is not None]
                content = [replace(old, log_ns=begin_ns) for old in newest if id(old) not in kept] + content
            topics = [watch.topic for watch in self._watches if watch.topic is not None]
        if not content:
            raise RefusedError(Refusal.NO_DATA, "there is nothing to save: nothing came yet, or snapshot_s is 0")
        if self._folders.free_bytes < self._config.stop_free_bytes:
            raise RefusedError(
                Refusal.DISK, f"less than {self._config.stop_free_mb} MB are free in {self._folders.root}"
            )
        bag = self._folders.snapshot(name)
        size = sum(len(message.cdr) for message in content)
        try:
            thread = BagThread(BagWriter(bag, layout=self._config.layout), size + 1)
        except OSError as error:
            raise RefusedError(Refusal.DISK, f"{bag} cannot be written: {error.strerror}") from error
        for topic in topics:
            thread.put_topic(topic)
        for message in content:
            thread.put(message)
        thread.finish({**self._facts, "snapshot_s": f"{self._config.snapshot_s:g}"})
        self._snapshots.append(thread)
        return bag

    def tick(self, now_ns: int) -> None:
        """Look at the disk, end what is due, move on what was closed. Call it some 20 times a second."""
        free_bytes = self._folders.free_bytes
        with self._lock:
            self._free_bytes = free_bytes
            self._reap_snapshots()
            self._notice_failure(now_ns)
            episode = self._episode
            if episode is None:
                return
            if episode.ended_ns is None:
                if free_bytes < self._config.stop_free_bytes:
                    self._end(episode, now_ns, f"ended: less than {self._config.stop_free_mb} MB are free on the disk")
                elif episode.end_ns is not None and now_ns >= episode.end_ns:
                    self._end(episode, now_ns, f"ended after {episode.elapsed_s(now_ns):.0f} s, the longest time")
            elif episode.thread.is_finished and episode.decision is not None:
                self._decide_closed(episode, episode.decision)

    def report(self, now_ns: int) -> RecorderReport:
        with self._lock:
            state, episode = self._state(now_ns), self._episode or self._failed
            troubles = self._troubles(now_ns)
            return RecorderReport(
                state=state,
                detail="; ".join(part for part in (self._says(state, now_ns), *troubles) if part),
                instruction="" if episode is None else episode.instruction,
                bag=None if episode is None else episode.bag,
                elapsed_s=0.0 if episode is None else episode.elapsed_s(now_ns),
                messages=0 if episode is None else episode.messages,
                lost=0 if episode is None else episode.lost,
                bytes_written=0 if episode is None else episode.thread.bag.bytes_written,
                bytes_free=self._free_bytes,
                queue_fill=0.0 if episode is None else episode.thread.queue_fill,
                alarm=bool(troubles) or state is State.FAILED,
                topics=self._watches.reports(now_ns),
                unrecorded=self._watches.refused,
            )

    def close(self, now_ns: int) -> None:
        """End what is recorded, and wait until it is on disk; it may be judged then."""
        with self._lock:
            episode = self._episode
            if episode is not None and episode.ended_ns is None:
                self._end(episode, now_ns, "the recorder ended")
            threads = [*self._snapshots, *([episode.thread] if episode is not None else [])]
        for thread in threads:
            thread.wait(_CLOSE_S)
        self.tick(now_ns)

    def keep_reviewed(self) -> None:
        """Keep the episode in review: nobody can be asked any more. Call it last, after ``close``."""
        with self._lock:
            episode = self._episode
            if episode is not None and episode.thread.is_finished and episode.thread.failure is None:
                self._decide_closed(episode, episode.decision or Decision(keep=True))

    @property
    def _recording(self) -> Episode | None:
        return self._episode if self._episode is not None and self._episode.ended_ns is None else None

    def _put(self, episode: Episode, watch: TopicWatch, message: BagMessage, now_ns: int) -> None:
        if episode.thread.put(message):
            watch.messages += 1
            episode.messages += 1
        else:
            watch.lose(1, now_ns)
        episode.lost = sum(self._watches.lost.values())

    def _check_start(self, now_ns: int, instruction: str, max_duration_s: float) -> None:
        config = self._config
        if not instruction.strip():
            raise RefusedError(
                Refusal.INVALID,
                "an episode needs a sentence that says what is shown: give it with the goal, set the parameter "
                "'instruction', or publish language_command",
            )
        wrong = instruction_fault(instruction, config.max_instruction_bytes)
        if wrong:
            raise RefusedError(Refusal.INVALID, f"the sentence {wrong}")
        if not 0 <= max_duration_s < float("inf"):
            raise RefusedError(Refusal.INVALID, f"max_duration_s is {max_duration_s}; it must be 0 or more")
        if self._episode is not None and not self._episode.thread.is_finished:
            state = "recorded" if self._episode.ended_ns is None else "closed"
            raise RefusedError(Refusal.BUSY, f"an episode is being {state}: {self._episode.bag}")
        self._free_bytes = self._folders.free_bytes
        if self._free_bytes < config.start_free_bytes:
            raise RefusedError(
                Refusal.DISK,
                f"{self._free_bytes // 1_000_000} MB are free in {self._folders.root}, an episode needs "
                f"{config.start_free_mb}: delete something, or give another folder",
            )
        silent = (
            self._watches.silent(now_ns)
            if self.is_receiving
            else ["the recorder is not active: activate the node first"]
        )
        if silent:
            raise RefusedError(Refusal.NO_DATA, "; ".join(silent))

    def _end(self, episode: Episode, now_ns: int, reason: str, decision: Decision | None = None) -> Path:
        episode.decision = decision or episode.decision or (None if self._config.review else Decision(keep=True))
        episode.finish(now_ns, reason, self._watches.lost, self._watches.refused)
        self._note = "" if reason in ("stopped", "kept", "discarded") else f"{episode.bag.name} {reason}"
        return episode.bag

    def _decide_closed(self, episode: Episode, decision: Decision) -> Path:
        """Keep or discard a bag that is closed; there is no episode afterwards."""
        self._episode = None
        bag = episode.bag
        try:
            if facts := decision.facts(episode.noted) | ({REVIEW: DECIDED} if episode.is_marked else {}):
                add_custom_data(bag, facts)
            if not decision.keep:
                bag = self._folders.discard(bag)
        except (OSError, DatasetError) as error:
            self._failure = f"{bag}: {error}"
        place = bag if decision.keep else None
        self._ends = {episode.bag: EpisodeEnd(place, episode.messages, episode.end_reason)}
        return bag

    def _notice_failure(self, now_ns: int) -> bool:
        """Whether the writing of the episode has failed since this was last asked; there is no episode afterwards."""
        episode = self._episode
        if episode is None or episode.thread.failure is None:
            return False
        self._fail(episode, now_ns)
        return True

    def _fail(self, episode: Episode, now_ns: int) -> None:
        self._episode, self._failed = None, episode
        episode.ended_ns = episode.ended_ns or now_ns
        unwritten = episode.thread.lost
        for topic, count in unwritten.items():
            self._watches[topic].lose(count, now_ns)
            self._watches[topic].messages -= count
        episode.messages -= unwritten.total()
        episode.lost = sum(self._watches.lost.values())
        lost = f"at most {episode.lost} messages are lost" if episode.lost else "no message is lost"
        said = f"({episode.thread.why}); {lost}, and `gr00t bag recover` saves the others"
        self._failure = f"{episode.bag} could not be written to its end {said}"
        self._ends = {episode.bag: EpisodeEnd(episode.bag, episode.messages, "failed", self._failure)}

    def _reap_snapshots(self) -> None:
        for thread in [thread for thread in self._snapshots if thread.is_finished]:
            self._snapshots.remove(thread)
            if thread.failure is not None:
                lost = thread.lost.total()
                self._note = f"snapshot {thread.bag.folder} failed: {thread.why}; {lost} messages are lost"

    def _state(self, now_ns: int) -> State:
        if self._episode is not None:
            if self._episode.ended_ns is None:
                return State.RECORDING
            return State.REVIEW if self._episode.thread.is_finished else State.SAVING
        if self._failure:
            return State.FAILED
        return State.IDLE if self._watches.silent(now_ns) else State.READY

    def _says(self, state: State, now_ns: int) -> str:
        if state is State.FAILED:
            return self._failure
        if state in (State.IDLE, State.READY):
            first = self._watches.silent(now_ns) or [self._note]
            return "; ".join(part for part in (*first, *self._watches.refusals()) if part)
        return self._note

    def _troubles(self, now_ns: int) -> list[str]:
        """What raises the alarm, while an episode is recorded."""
        episode = self._recording
        low = self._free_bytes < self._config.start_free_bytes
        found = [f"only {self._free_bytes // 1_000_000} MB are free on the disk"] if low else []
        if episode is not None:
            found += self._watches.troubles(now_ns)
            if episode.thread.queue_fill > _QUEUE_ALARM:
                found.append(f"the disk is slow: the queue is {episode.thread.queue_fill:.0%} full")
        return found
