# SPDX-License-Identifier: Apache-2.0
"""The least time a call can take because its weights must be read and multiplied, by device: arithmetic on datasheets,
nothing measured.

With one robot a chunk multiplies large matrices by a few rows, so memory is the limit on all of these; of the encoder's
stages, with hundreds of rows, it is arithmetic on some.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gr00t_bringup.bench.timed_ways import WayOptions

_TICK_MS = 1e3 / 120
_PER_PARAMETER = {"16 bit": 2, "8 bit": 1}
Parts = tuple[tuple[int, int], ...]  # of a call, one after the other: parameters read, multiplications


@dataclass(frozen=True)
class Device:
    """bandwidth: of memory [bytes/s], from the maker's datasheet unless it was measured in this run. operations: a second, on
    dense matrices of 16-bit numbers, by the same datasheet, 8-bit ones take half the time; infinite where it is not known."""

    name: str
    bandwidth: float
    operations: float = float("inf")


DEVICES = (
    Device("H200 SXM", 4.8e12, 989e12),
    Device("H100 SXM", 3.35e12, 989e12),
    Device("RTX 4090", 1.008e12, 165e12),
    Device("L40", 0.864e12, 181e12),
    Device("Jetson AGX Thor", 0.273e12, 258e12),
    Device("Jetson AGX Orin", 0.2048e12, 42.5e12),
)


@dataclass(frozen=True)
class Floor:
    """A call on a device: the bytes that must be read, and the least time that it takes."""

    device: str
    bandwidth_gb_s: float
    call: str
    weights: str
    gigabytes: float
    floor_ms: float

    @property
    def fits_a_tick(self) -> bool:
        return self.floor_ms <= _TICK_MS


def floors(calls: dict[str, Parts], here: Device) -> list[Floor]:
    """calls: what each must read and multiply at least (that of every Euler step again). here: this machine."""
    return [
        Floor(
            device.name,
            device.bandwidth / 1e9,
            call,
            weights,
            sum(read for read, _ in parts) * size / 1e9,
            sum(_part_ms(part, size, device) for part in parts),
        )
        for device in (here, *DEVICES)
        for call, parts in calls.items()
        for weights, size in _PER_PARAMETER.items()
    ]


def _part_ms(part: tuple[int, int], size: int, device: Device) -> float:
    """Reading and multiplying overlap: the slower of the two counts."""
    read, multiplied = part
    return 1e3 * max(read * size / device.bandwidth, multiplied * size / device.operations)


def parts_of(options: "WayOptions") -> dict[str, Parts]:
    """Call -> what it reads and multiplies, with what is constant computed once. For a process of its own: it imports torch."""
    from gr00t_bringup.bench.timed_ways import STAGGERED_TICK, checkpoint_of, inputs_of
    from gr00t_policy.model.timed_paths import encode_parts, parameters_read

    checkpoint = checkpoint_of(options)
    config, views = checkpoint.config, len(checkpoint.embodiment.cameras)
    tokens = inputs_of(checkpoint).input_ids.shape[1]
    rows = 1 + config.head.future_tokens + config.head.horizon  # of the head: state, N1.5's own tokens, actions
    read = parameters_read(config, tokens, cached=True)
    calls = {f"encode, {views} camera{'s' * (views > 1)}": encode_parts(config, tokens, views)}
    calls["act, chunk"] = ((read["act, chunk"], read["act, chunk"] * rows),)
    if options.staggered:
        tick = read[STAGGERED_TICK]
        calls[STAGGERED_TICK] = ((tick, tick * rows * config.head.steps),)
    return calls


def table(made: list[Floor]) -> str:
    """The floors as text: one line a device, a column for each call and size of weights."""
    columns = list(dict.fromkeys((floor.call, floor.weights) for floor in made))
    size = {(floor.call, floor.weights): floor.gigabytes for floor in made}
    lines = [
        "least time to read and multiply the weights, ms: PREDICTIONS from datasheets, not measurements; * = within 8.33 ms"
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
