# SPDX-License-Identifier: Apache-2.0
"""What a command or a joint state must be before it is believed. Every refusal has a kind, and names the cause.

Values come in as named vectors in the model convention; nothing here keeps state or reads a clock.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment

Vector = NDArray[np.float64]

_NUMBER = re.compile(r"(?<![\w.'])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w'=])")
_FURTHEST_NS = 1_000_000_000  # a command is for now, not for later


class RefusalKind(Enum):
    """Why a message is not believed. ``broken_source``: whoever sent it must not drive until a person has looked."""

    NAMES = "names"
    SIZE = "size"
    NOT_FINITE = "not_finite"
    STAMP = "stamp"
    OUT_OF_ORDER = "out_of_order"
    BEYOND_LIMITS = "beyond_limits"
    JUMP = "jump"
    UNREADABLE = "unreadable"
    WRONG_SOURCE = "wrong_source"
    NOT_READY = "not_ready"

    @property
    def broken_source(self) -> bool:
        return self in (RefusalKind.NAMES, RefusalKind.SIZE, RefusalKind.NOT_FINITE, RefusalKind.UNREADABLE)

    @property
    def expected(self) -> bool:
        """Happens in normal running: counted, but nothing to tell people about."""
        return self in (RefusalKind.OUT_OF_ORDER, RefusalKind.WRONG_SOURCE, RefusalKind.NOT_READY)


@dataclass(frozen=True)
class Refusal:
    """A message that is not used, and why, in one sentence for people. joint: that it is about, where it is about one."""

    kind: RefusalKind
    text: str
    joint: str = ""

    def like(self, other: "Refusal") -> bool:
        """Whether it says the same apart from numbers; digits in the names of joints are none."""
        if self.kind is not other.kind:
            return False
        return self.text == other.text or _NUMBER.sub("", self.text) == _NUMBER.sub("", other.text)


class JointOrder:
    """Maps named values to a robot's joint order; permuted names give the same vector.

    Commands must name every policy joint and no unknown one; other driven joints (the neck) may be left out.
    Joint states must name every driven joint; joints the suite does not drive (legs, finger links) are ignored.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self.names = embodiment.joint_names
        self._column = {name: index for index, name in enumerate(self.names)}
        self._needed_in_command = frozenset(embodiment.policy_joint_names)
        self._robot = embodiment.name
        self._last_command: tuple[tuple[str, ...], NDArray[np.intp]] | None = None
        self._last_state: tuple[tuple[str, ...], NDArray[np.intp]] | None = None

    def command(self, names: tuple[str, ...], positions: Vector) -> tuple[NDArray[np.intp], Vector] | Refusal:
        """Columns of the robot's vector that a command sets, and its values for them (both (N,))."""
        if self._last_command is None or self._last_command[0] != names:
            refusal = self._check_command_names(names)
            if refusal is not None:
                return refusal
            self._last_command = (names, np.array([self._column[name] for name in names], dtype=np.intp))
        refusal = _check_values(names, positions, "command")
        return refusal if refusal is not None else (self._last_command[1], positions)

    def state(self, names: tuple[str, ...], positions: Vector) -> Vector | Refusal:
        """The measured positions (J,) of all driven joints."""
        if self._last_state is None or self._last_state[0] != names:
            missing = [name for name in self.names if name not in names]
            if missing or len(set(names)) != len(names):
                why = f"lacks {', '.join(missing)}" if missing else f"repeats {', '.join(_repeated(names))}"
                return Refusal(
                    RefusalKind.NAMES, f"joint state {why}; robot '{self._robot}' needs all its driven joints"
                )
            row = {name: index for index, name in enumerate(names)}
            self._last_state = (names, np.array([row[name] for name in self.names], dtype=np.intp))
        if len(positions) != len(names):
            return Refusal(RefusalKind.SIZE, f"joint state has {len(names)} names but {len(positions)} positions")
        measured = positions[self._last_state[1]]
        refusal = _check_values(self.names, measured, "joint state")
        return refusal if refusal is not None else measured

    def _check_command_names(self, names: tuple[str, ...]) -> Refusal | None:
        unknown = [name for name in names if name not in self._column]
        if unknown:
            text = (
                f"command names unknown joint(s) {_some(unknown)}; robot '{self._robot}' has: {', '.join(self.names)}"
            )
            return Refusal(RefusalKind.NAMES, text)
        if len(set(names)) != len(names):
            return Refusal(RefusalKind.NAMES, f"command repeats joint(s) {', '.join(_repeated(names))}")
        missing = sorted(self._needed_in_command.difference(names))
        if missing:
            return Refusal(
                RefusalKind.NAMES, f"command lacks joint(s) {', '.join(missing)}; nothing is filled in for them"
            )
        return None


def check_stamps(
    stamp_ns: int,
    reach_ns: int,
    newest_state_ns: int,
    previous: tuple[int, int] | None,
    max_lead_s: float,
    max_lag_s: float,
) -> Refusal | None:
    """A command must answer a recent joint state and come after ``previous`` (stamp, reach).

    Both stamps are compared with the newest joint state's, not with a clock: steps of the system clock move them
    together. max_lead_s, max_lag_s: how far the command's stamp may lie after and before that joint state's.
    """
    ahead_s = (stamp_ns - newest_state_ns) / 1e9
    if ahead_s > max_lead_s:
        return Refusal(
            RefusalKind.STAMP,
            f"command stamp is {ahead_s:.3f} s ahead of the newest joint state (at most {max_lead_s} s)",
        )
    if -ahead_s > max_lag_s:
        return Refusal(
            RefusalKind.STAMP,
            f"command answers a joint state {-ahead_s:.3f} s older than the newest (at most {max_lag_s} s)",
        )
    if reach_ns < stamp_ns or reach_ns - max(stamp_ns, newest_state_ns) > _FURTHEST_NS:
        return Refusal(
            RefusalKind.STAMP,
            f"time_from_start is {(reach_ns - stamp_ns) / 1e9:.3f} s; expected 0 or more, and at most 1 s from now",
        )
    if previous is not None and (stamp_ns < previous[0] or reach_ns <= previous[1]):
        return Refusal(RefusalKind.OUT_OF_ORDER, "command is not newer than the one before it")
    return None


def check_range(
    names: tuple[str, ...], positions: Vector, lower: Vector, upper: Vector, slack_rad: float
) -> Refusal | None:
    """Values (N,) may pass their limits a little (they are clamped); far beyond them, units or joints are mixed up."""
    beyond = np.maximum(lower - positions, positions - upper)
    worst = int(beyond.argmax())
    if beyond[worst] <= slack_rad:
        return None
    text = (
        f"'{names[worst]}' = {positions[worst]:.3f} rad is {beyond[worst]:.3f} rad beyond its limits "
        f"[{lower[worst]:.3f}, {upper[worst]:.3f}] (at most {slack_rad} rad is taken for clamping); degrees?"
    )
    return Refusal(RefusalKind.BEYOND_LIMITS, text)


def check_jump(
    names: tuple[str, ...], positions: Vector, reference: Vector, max_jump_rad: float | Vector, of: str
) -> Refusal | None:
    """No joint may be further than ``max_jump_rad`` (one for all, or (N,)) from ``reference`` (N,).

    of: what jumped, for people.
    """
    away = np.abs(positions - reference)
    over = away - max_jump_rad
    worst = int(over.argmax())
    if over[worst] <= 0:
        return None
    limit = np.broadcast_to(max_jump_rad, away.shape)
    text = f"{of}: '{names[worst]}' by {away[worst]:.2f} rad (at most {limit[worst]:g} rad)"
    return Refusal(RefusalKind.JUMP, text, names[worst])


def _check_values(names: tuple[str, ...], positions: Vector, what: str) -> Refusal | None:
    if positions.shape != (len(names),):
        return Refusal(RefusalKind.SIZE, f"{what} has {len(names)} joint names but {positions.size} positions")
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions))[0])
        return Refusal(RefusalKind.NOT_FINITE, f"{what} has {positions[bad]} for joint '{names[bad]}'")
    return None


def _repeated(names: tuple[str, ...]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
