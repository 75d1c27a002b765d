# SPDX-License-Identifier: Apache-2.0
"""All topics of a recorder: whether an episode may start, and what is worth an alarm while it lasts."""

from collections.abc import Collection, Iterator, Sequence

from gr00t_teleop.recording.report import TopicReport
from gr00t_teleop.recording.requirement import Requirement
from gr00t_teleop.recording.topic_watch import TopicWatch

_SLOW = 0.9  # of the expected rate


class WatchedTopics:
    """Topics by full name. Not safe for use from several threads.

    pausing: topics whose stop is no alarm, unless they are required. silent_s: after so long without a message one is silent.
    """

    def __init__(
        self, topics: Sequence[str], required: Sequence[Requirement], pausing: Collection[str], silent_s: float
    ) -> None:
        names = [*topics, *(name for requirement in required for name in requirement.topics)]
        self._watches = {name: TopicWatch(name, may_pause=name in pausing) for name in names}
        self._required, self._silent_s = tuple(required), silent_s

    def __contains__(self, name: str) -> bool:
        return name in self._watches

    def __getitem__(self, name: str) -> TopicWatch:
        return self._watches[name]

    def __iter__(self) -> Iterator[TopicWatch]:
        return iter(self._watches.values())

    @property
    def lost(self) -> dict[str, int]:
        """Messages lost in this episode, by topic."""
        return {watch.name: watch.lost for watch in self}

    @property
    def refused(self) -> dict[str, str]:
        """Topics that are published and cannot be recorded, with the reason."""
        return {watch.name: watch.refused for watch in self if watch.refused}

    def begin_episode(self, now_ns: int) -> None:
        for watch in self:
            watch.begin_episode(now_ns, self._silent_s)

    def silent(self, now_ns: int) -> list[str]:
        """Why no episode may start: each requirement that nothing meets, and what to do."""
        return [words for each in self._required if (words := self._silence(each, now_ns))]

    def refusals(self) -> list[str]:
        """What is not recorded although somebody sends it, beside what is required."""
        required = {name for each in self._required for name in each.topics}
        return [watch.refusal() for watch in self if watch.refused and watch.name not in required]

    def troubles(self, now_ns: int) -> list[str]:
        """What is worth an alarm in an episode."""
        silent = {name for each in self._required if self._silence(each, now_ns) for name in each.topics}
        stopped = [
            watch.stop(now_ns)
            for watch in self
            if watch.name not in silent and watch.has_stopped(now_ns, self._silent_s)
        ]
        losses = [watch.loss(now_ns) for watch in self]
        slow = [self._slowness(each, now_ns) for each in self._required if not silent.intersection(each.topics)]
        return [words for words in (*self.silent(now_ns), *stopped, *self.refusals(), *losses, *slow) if words]

    def reports(self, now_ns: int) -> tuple[TopicReport, ...]:
        expected = {watch.name: each.rate_hz for each in self._required for watch in self._meant(each)}
        return tuple(
            TopicReport(
                name=watch.name,
                type_name="" if watch.topic is None else watch.topic.type_name,
                required=watch.name in expected,
                rate_hz=watch.rate_hz(now_ns),
                expected_rate_hz=expected.get(watch.name, 0.0),
                age_s=watch.age_s(now_ns),
                messages=watch.messages,
                lost=watch.lost,
            )
            for watch in self
        )

    def _of(self, requirement: Requirement) -> list[TopicWatch]:
        return [self[name] for name in requirement.topics]

    def _meant(self, requirement: Requirement) -> list[TopicWatch]:
        """Those of its topics that somebody sends; where nobody does, the first."""
        watches = self._of(requirement)
        return [watch for watch in watches if watch.topic is not None] or watches[:1]

    def _silence(self, requirement: Requirement, now_ns: int) -> str:
        """Why none of its topics delivers; empty: one does."""
        watches = self._of(requirement)
        if not all(watch.is_silent(now_ns, self._silent_s) for watch in watches):
            return ""
        if heard := [watch for watch in watches if watch.has_delivered()]:
            return min(heard, key=lambda watch: watch.age_s(now_ns)).stop(now_ns)
        if published := [watch.name for watch in watches if watch.topic is not None]:
            return f"{published[0]} is published but nothing came yet: is its sender active?"
        if refused := [watch.refusal() for watch in watches if watch.refused]:
            return refused[0]
        nor = "".join(f", nor has {watch.name}" for watch in watches[1:])
        return f"{watches[0].name} has no publisher{nor}: start the node that sends it, or {requirement.without}"

    def _slowness(self, requirement: Requirement, now_ns: int) -> str:
        """The fastest of its topics counts: pictures may be sent both raw and, thinned out, compressed."""
        best = max(self._of(requirement), key=lambda watch: watch.rate_hz(now_ns))
        rate_hz = best.rate_hz(now_ns)
        if not best.is_settled(now_ns) or rate_hz >= _SLOW * requirement.rate_hz:
            return ""
        return f"{best.name} comes at {rate_hz:.0f} Hz instead of {requirement.rate_hz:g}"
