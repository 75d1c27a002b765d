# SPDX-License-Identifier: Apache-2.0
"""Time in the bag as a function of the steady clock: a straight line of slope ``rate``, that can be stopped and moved."""


class Timeline:
    """Times are integer nanoseconds. Lateness never adds up: every moment is computed from the last change of the line."""

    def __init__(self, bag_ns: int, steady_ns: int, rate: float) -> None:
        """At ``steady_ns`` it is ``bag_ns``, and not later before: a start in the future is a delay."""
        self._bag_ns, self._steady_ns = bag_ns, steady_ns
        self.rate = rate
        self.is_paused = False

    def bag_at(self, steady_ns: int) -> int:
        """The time in the bag."""
        if self.is_paused:
            return self._bag_ns
        return self._bag_ns + round(max(steady_ns - self._steady_ns, 0) * self.rate)

    def steady_at(self, bag_ns: int) -> int | None:
        """When that time in the bag is there; None: not while it is paused."""
        if self.is_paused:
            return None
        return self._steady_ns + round((bag_ns - self._bag_ns) / self.rate)

    def pause(self, steady_ns: int) -> None:
        self._bag_ns = self.bag_at(steady_ns)
        self.is_paused = True

    def resume(self, steady_ns: int) -> None:
        self._steady_ns, self.is_paused = steady_ns, False

    def set_rate(self, rate: float, steady_ns: int) -> None:
        """From now on; what was played stays where it was."""
        if not self.is_paused and steady_ns > self._steady_ns:
            self._bag_ns, self._steady_ns = self.bag_at(steady_ns), steady_ns
        self.rate = rate

    def jump(self, bag_ns: int) -> None:
        """While it is paused: stand at another time."""
        assert self.is_paused, "the line is moved only while it stands"
        self._bag_ns = bag_ns
