# SPDX-License-Identifier: Apache-2.0
"""How long before the command gate's tick a loop that commands it begins its own, so that nothing waits longer than it must.

The gate's slots are whole periods of the steady clock (phase 0 of ``PacedLoop``), so every process of the machine knows them. A
command that comes too late for one waits a period for the next; one that comes too early answers an older joint state. How long
a tick takes differs between machines and with what else runs there, so it is measured while the loop runs.
"""

from gr00t_policy.runtime.pacing import PacedLoop

_HAND_OVER_NS = (
    700_000  # from the end of a tick to the gate's having read its message: 0.4 ms, 0.7 in the 99th percentile
)
_WARM_HEAD = (
    3.0  # between other processes the head's 99th percentile is so many times its median in a row (1.6 and 0.9 ms)
)
_LONGEST = 0.9  # of a period
_KNOWN_TICKS = 600  # before so many a 99th percentile is that of the first, slow ones
_SLACK_NS = 150_000  # a lead this near to the wanted one stays
_STEP_NS = 300_000  # by which a period may be longer or shorter, once a second: 4 % at 120 Hz


class TickLead:
    """The lead of a loop. asked_s: what the user wants, kept as it is; 0: measured. head_s: median of the head in a row."""

    def __init__(self, asked_s: float, head_s: float, period_ns: int) -> None:
        self._fixed = asked_s > 0.0
        self._longest_ns = round(_LONGEST * period_ns)
        wanted_ns = round(1e9 * asked_s) if self._fixed else round(1e9 * _WARM_HEAD * head_s) + _HAND_OVER_NS
        self.lead_ns = min(wanted_ns, self._longest_ns)

    def follow(self, loop: PacedLoop) -> None:
        """Move ``loop`` a little towards the lead that its last ten seconds ask for; to be called about once a second."""
        if self._fixed or loop.ticks < _KNOWN_TICKS:
            return
        wanted_ns = min(round(1e9 * loop.duration().p99_s) + _HAND_OVER_NS, self._longest_ns)
        more_ns = min(max(wanted_ns - self.lead_ns, -_STEP_NS), _STEP_NS)
        if abs(more_ns) > _SLACK_NS:
            self.lead_ns += more_ns
            loop.move(-more_ns)
