# SPDX-License-Identifier: Apache-2.0
"""The command gate's slots as another loop of the machine sees them: which rates keep a phase to them, and what it is.

The gate's slots are whole periods of the steady clock (phase 0 of ``PacedLoop``), so every process of the machine knows them. A
loop keeps a phase to them when one of the two rates is a whole multiple of the other. At 100 and 120 Hz there is none: each tick
is at another phase.
"""

from dataclasses import dataclass

_NS = 1e9
_OFF, _TIMES = (
    0.06,
    10,
)  # share by which the gate's measured rate may differ, and how often in a row: 5 s, less at its start
_EXACT = 1e-6  # of a ratio of two rates: a phase moves by less than a period a week then, and is corrected


@dataclass(frozen=True)
class GateGrid:
    """gate_ns: the gate's period; period_ns: the loop's, its whole multiple or (to a nanosecond) a whole part of it."""

    gate_ns: int
    period_ns: int

    @property
    def span_ns(self) -> int:
        """What a phase is counted in, the shorter period: what a command waits that is late for a slot, or a bit less."""
        return min(self.gate_ns, self.period_ns)

    def lead_ns(self, due_ns: int) -> int:
        """How long a tick at this time of the steady clock begins before the gate's slot that it is for, 0 to ``span_ns``."""
        return -due_ns % self.gate_ns % self.span_ns

    def off_ns(self, due_ns: int, lead_ns: int) -> int:
        """By how much ticks that are due then should come later (negative: earlier) to have that lead; the shorter way."""
        off_ns = (self.lead_ns(due_ns) - lead_ns) % self.span_ns
        return off_ns if 2 * off_ns <= self.span_ns else off_ns - self.span_ns


def gate_grid(rate_hz: float, gate_rate_hz: float) -> GateGrid | None:
    """None where a loop of this rate has no fixed phase to the gate's slots."""
    gate_ns = round(_NS / gate_rate_hz)
    ratio = max(rate_hz, gate_rate_hz) / min(rate_hz, gate_rate_hz)
    if abs(ratio - round(ratio)) > _EXACT * ratio:
        return None
    faster = rate_hz > gate_rate_hz
    return GateGrid(gate_ns, round(gate_ns / round(ratio)) if faster else gate_ns * round(ratio))


class GateRate:
    """Whether the gate ticks at the rate that the settings name, by what it tells of itself twice a second."""

    def __init__(self, expected_hz: float) -> None:
        self._expected_hz = expected_hz
        self._off = 0

    def told(self, rate_hz: float) -> str:
        """What is wrong, once, when it was several times in a row; else ''."""
        is_off = rate_hz > 0 and abs(rate_hz / self._expected_hz - 1.0) > _OFF
        self._off = self._off + 1 if is_off else 0
        if self._off != _TIMES:
            return ""
        said = f"the command gate ticks at {rate_hz:.1f} Hz and gate_rate_hz is {self._expected_hz:g}"
        other = "no tick is in time for another rate: set gate_rate_hz to the gate's tick_rate_hz"
        if rate_hz > self._expected_hz:
            return f"{said}; {other}"
        return (
            f"{said}; if it leaves out slots (slots_skipped of 'command_gate: loop' in /diagnostics), its machine is too busy; "
            f"else {other}"
        )
