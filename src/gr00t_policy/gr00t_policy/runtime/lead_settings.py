# SPDX-License-Identifier: Apache-2.0
"""What may be set about a loop that commands the gate, and is to be in time for its ticks."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.gate_grid import GateGrid, gate_grid
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.settings import setting

GATE_RATE_HELP = "the command gate's tick_rate_hz"


@dataclass(frozen=True)
class LeadSettings(LoopSettings):
    """Inherited by the settings of controller and retargeter."""

    rate_hz: float = setting(120.0, "rate of commands", "Hz", 10.0, 500.0)
    gate_rate_hz: float = setting(120.0, GATE_RATE_HELP, "Hz", 50.0, 500.0)
    tick_lead_s: float = setting(
        0.0, "a tick begins so long before the command gate's; 0: as the ticks measured need it", "s", 0.0, 0.1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tick_lead_s == 0:
            return
        grid = self.grid
        if grid is None:
            raise ConfigError(f"tick_lead_s is {self.tick_lead_s:g}, but {self.no_lead}; set tick_lead_s to 0")
        if 1e9 * self.tick_lead_s >= grid.span_ns:
            raise ConfigError(
                f"tick_lead_s is {self.tick_lead_s:g}; at rate_hz {self.rate_hz:g} and gate_rate_hz {self.gate_rate_hz:g} a lead "
                f"is shorter than {grid.span_ns / 1e9:.6f} s; 0 measures it"
            )

    @property
    def grid(self) -> GateGrid | None:
        """The gate's slots, None where there is no fixed phase to them."""
        return gate_grid(self.rate_hz, self.gate_rate_hz)

    @property
    def no_lead(self) -> str:
        """Why there is no lead, '' where there is one."""
        if self.grid is not None:
            return ""
        return (
            f"ticks at rate_hz {self.rate_hz:g} keep no phase to the command gate's at gate_rate_hz {self.gate_rate_hz:g}, "
            "neither of which is a whole multiple of the other"
        )
