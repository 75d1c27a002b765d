# SPDX-License-Identifier: Apache-2.0
"""The least time a call can take because its weights must be read, by device: arithmetic on datasheets, nothing measured.

With one robot a chunk multiplies large matrices by a few rows, so memory, not arithmetic, is the limit on all of these.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gr00t_bringup.bench.timed_ways import WayOptions

_TICK_MS = 1e3 / 120
_PER_PARAMETER = {"16 bit": 2, "8 bit": 1}


@dataclass(frozen=True)
class Device:
    """bandwidth: of memory [bytes/s], from the maker's datasheet unless it was measured in this run."""

    name: str
    bandwidth: float


DEVICES = (
    Device("H200 SXM", 4.8e12),
    Device("H100 SXM", 3.35e12),
    Device("RTX 4090", 1.008e12),
    Device("L40", 0.864e12),
    Device("Jetson AGX Thor", 0.273e12),
    Device("Jetson AGX Orin", 0.2048e12),
)


@dataclass(frozen=True)
class Floor:
    """A call on a device: the bytes that must be read, and the time that takes at full bandwidth."""

    device: str
    bandwidth_gb_s: float
    call: str
    weights: str
    gigabytes: float
    floor_ms: float

    @property
    def fits_a_tick(self) -> bool:
        return self.floor_ms <= _TICK_MS


def floors(parameters: dict[str, int], here: Device) -> list[Floor]:
    """parameters: by call, how many it reads at least once (those of every Euler step again). here: this machine."""
    return [
        Floor(
            device.name,
            device.bandwidth / 1e9,
            call,
            weights,
            count * size / 1e9,
            1e3 * count * size / device.bandwidth,
        )
        for device in (here, *DEVICES)
        for call, count in parameters.items()
        for weights, size in _PER_PARAMETER.items()
    ]


def parameters_of(options: "WayOptions") -> dict[str, int]:
    """Call -> parameters read, with what is constant computed once. For a process of its own: it imports torch."""
    from gr00t_bringup.bench.timed_ways import STAGGERED_TICK, sizes_of
    from gr00t_policy.model.timed_paths import parameters_read

    config, tokens = sizes_of(options)
    read = parameters_read(config, tokens, cached=True)
    calls = ("encode", "act, chunk", STAGGERED_TICK) if options.staggered else ("encode", "act, chunk")
    return {call: read[call] for call in calls}


def table(made: list[Floor]) -> str:
    """The floors as text: one line a device, a column for each call and size of weights."""
    columns = list(dict.fromkeys((floor.call, floor.weights) for floor in made))
    size = {(floor.call, floor.weights): floor.gigabytes for floor in made}
    lines = [
        "least time to read the weights, ms: PREDICTIONS from memory bandwidth alone, not measurements; * = within 8.33 ms"
    ]
    lines.append(
        f"{'':<22} {'GB/s':>7}" + "".join(f"{f'{call}, {weights}':>{_width(call)}}" for call, weights in columns)
    )
    lines.append(
        f"{'bytes read, GB':<22} {'':>7}" + "".join(f"{size[column]:{_width(column[0])}.3f}" for column in columns)
    )
    for device in dict.fromkeys(floor.device for floor in made):
        own = {(floor.call, floor.weights): floor for floor in made if floor.device == device}
        cells = "".join(f"{own[c].floor_ms:{_width(c[0]) - 1}.2f}{'*' if own[c].fits_a_tick else ' '}" for c in columns)
        lines.append(f"{device:<22} {own[columns[0]].bandwidth_gb_s:7.0f}{cells}")
    return "\n".join(lines)


def _width(call: str) -> int:
    """Of a column with one of its two sizes of weights in the heading."""
    return max(22, len(call) + 11)
