# SPDX-License-Identifier: Apache-2.0
"""How long before the command gate's tick a loop that commands it begins its own, so that nothing waits longer than it must.

A command that comes too late for a slot of the gate waits a period for the next; one that comes too early answers an older
joint state. What a command needs from its tick's slot until it is sent (waking up included) differs between machines and with
what else runs there, so it is measured in every tick, and the lead follows:

- it grows at once, when more commands of the last twenty seconds were late than may be, to what all but those would have needed;
- it shrinks slowly, when for twenty seconds less would have done, and not for a little;
- where the input comes at a fixed phase (``arrivals.py``), it is no longer than leaves most ticks theirs: a tick that begins
  before its input answers one that is a period older, which is as bad as to be late, so both together are to be few.
"""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.runtime.gate_grid import GateGrid
from gr00t_policy.runtime.latency import DurationRing
from gr00t_policy.runtime.pacing import PacedLoop

# From the end of publishing a command to the gate's having read it, in the 99th percentile and in the median.
HAND_OVER_NS, USUAL_HAND_OVER_NS = 700_000, 400_000
_WINDOW_S = 20.0  # in which the second-longest time is exceeded by less than one in 1000 that follow, at 120 Hz
# Shares of the gate's period (or the loop's, if that is shorter), at 120 Hz: 7.5, 0.3, 0.17 and 0.04 ms.
_LONGEST = 0.9
_STEP = 0.036  # shorter, a second
_SLACK = 0.02  # a lead that is so much too long stays
_EXACT = 0.005  # ticks that are so near to their phase stay there
_AS_GOOD = 0.001  # two leads that make so few more old commands are as good
_WORTH = 0.1  # what waiting for inputs must save, to begin with it
_TRIED = 128  # leads
_FEW_S = 5  # of commands: of fewer as many may be late as of these, which at the start some are
_IN_TIME_AT_A_PRICE = 0.99  # where inputs come at any time every command is older by the whole lead
_THERE = 95.0  # percent of the inputs that have come, before any command was measured


class TickLead:
    """Told by the loop's thread how long each command took (``sent``). in_time: share of commands that are to be."""

    def __init__(
        self, grid: GateGrid, asked_s: float, first_ns: int, in_time: float, hand_over_ns: int = HAND_OVER_NS
    ) -> None:
        """asked_s: what the user wants, kept as it is; 0: measured, ``first_ns`` until more is known. hand_over_ns: from a
        command's sending to the gate's having read it."""
        self.grid, self.fixed, self._in_time, self._hand_over_ns = grid, asked_s > 0.0, in_time, hand_over_ns
        self._longest_ns = round(_LONGEST * grid.span_ns)
        self.lead_ns = round(1e9 * asked_s) if self.fixed else min(first_ns, self._longest_ns)
        self.late = 0  # commands that may have missed their slot of the gate: many need a shorter hand-over
        self.input_ns: int | None = None  # longest lead that leaves ticks their input; None: any does, or none
        self._waits = True  # for its input
        self._second = max(round(1e9 / grid.period_ns), 2)  # in ticks
        self._seen = 0
        self._needed = DurationRing(round(_WINDOW_S * self._second))

    def sent(self, loop: PacedLoop, now_ns: int) -> None:
        """In a tick of ``loop``, whose command has just been published: note it, and move the loop where it should be."""
        due_ns = loop.slots.due_ns
        self.add(now_ns - due_ns, self.grid.lead_ns(due_ns))
        off_ns = self.grid.off_ns(due_ns, self.lead_ns)
        is_off = abs(off_ns) > _EXACT * self.grid.span_ns
        loop.move(off_ns if is_off else 0)  # always, since an earlier move may still wait

    def add(self, needed_ns: int, had_ns: int) -> None:
        """A command was sent so long after its tick's slot, which lay ``had_ns`` before the gate's: not always ``lead_ns``, since
        a loop with long ticks cannot be moved at once. The law; ``lead_ns`` is what follows from it."""
        self._seen += 1
        if not self.fixed:
            self.lead_ns = min(self.lead_ns, self._bound_ns())
        if self._seen <= self._second:  # the first ticks are slow
            return
        self._needed.add(needed_ns / 1e9)
        is_late = needed_ns + self._hand_over_ns > had_ns
        self.late += is_late
        if self.fixed:
            return
        if is_late:
            self.lead_ns = max(self.lead_ns, min(self._wanted_ns(), self._bound_ns()))
        if self._seen % self._second == 0:
            self._look()

    def look_at_inputs(self, leads_ns: NDArray[np.float64] | None) -> None:
        """How long before the gate's slots inputs came (N,); None: at any time. Any one thread, about once a second."""
        if leads_ns is None:
            self.input_ns = None
            return
        needed_ns = 1e9 * self._needed.values() + USUAL_HAND_OVER_NS
        if len(needed_ns) == 0:
            self.input_ns = max(round(float(np.percentile(leads_ns, 100.0 - _THERE))), 0)
            return
        tried = np.linspace(0.0, self._longest_ns, _TRIED)
        before_input = np.searchsorted(np.sort(leads_ns), tried) / len(leads_ns)
        in_time = np.searchsorted(np.sort(needed_ns), tried, side="right") / len(needed_ns)
        old = before_input - in_time
        best = int(np.flatnonzero(old <= old.min() + _AS_GOOD)[-1])
        saved = old[-1] - old[best]
        self._waits = before_input[best] < 0.5 and (self._waits or saved > _WORTH)
        self.input_ns = round(float(tried[best])) if self._waits else None

    def _look(self) -> None:
        """Once a second."""
        wanted_ns = self._wanted_ns()
        if 0 < wanted_ns < self.lead_ns - _SLACK * self.grid.span_ns:
            self.lead_ns = max(wanted_ns, self.lead_ns - round(_STEP * self.grid.span_ns))

    def _wanted_ns(self) -> int:
        """What all but the slowest commands would have needed; one alone never counts."""
        needed = self._needed.values()
        # The next one is slower than the k-th longest of n with probability k / (n + 1).
        in_time = self._in_time if self.input_ns is not None else min(self._in_time, _IN_TIME_AT_A_PRICE)
        slower = int((1.0 - in_time) * (max(len(needed), _FEW_S * self._second) + 1)) - 1
        place = len(needed) - 1 - max(slower, 1)
        return round(1e9 * float(np.partition(needed, place)[place])) + self._hand_over_ns if place >= 0 else 0

    def _bound_ns(self) -> int:
        input_ns = self.input_ns
        return self._longest_ns if input_ns is None else min(input_ns, self._longest_ns)
