# SPDX-License-Identifier: Apache-2.0
"""The two kinds of stream the gate listens to: the robot's measured pose, and the commands of one source.

Each believes a message or refuses it with a reason, and knows its age by the receiver's steady clock (``now_ns``).
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_safety.checks import JointOrder, Refusal, RefusalKind, check_jump, check_range, check_stamps
from gr00t_safety.command_line import CommandLine
from gr00t_safety.config import GateConfig
from gr00t_safety.staleness import AgeLimits, Freshness, StreamAge

Vector = NDArray[np.float64]

_TOLD_S = 1.0  # how long a refusal is worth telling
_STANDS_S = 0.5  # and how long it is told rather than others that come instead
# Stamps that go back further than reordering explains: the clock was set. To wait until it has caught up would hold the robot,
# and from ``joint_state_damp_s`` on damp it.
_CLOCK_STEP_NS = 25_000_000


class MeasuredPose:
    """The newest believed joint state, and the leaps that no motion explains."""

    def __init__(self, embodiment: Embodiment, config: GateConfig) -> None:
        self.age = StreamAge(AgeLimits(config.joint_state_warn_s, config.joint_state_hold_s, config.joint_state_damp_s))
        self.positions: Vector | None = None
        self.stamp_ns = 0
        self.refused: Counter[RefusalKind] = Counter()
        self._refusal: tuple[int, Refusal] | None = None  # the newest, with its time of arrival
        self._standing: tuple[int, Refusal] | None = None  # the first of those that go on, with the newest one's time
        self._order = JointOrder(embodiment)
        self._lower = np.array([joint.lower_rad for joint in embodiment.joints])
        self._upper = np.array([joint.upper_rad for joint in embodiment.joints])
        self._config = config

    def forget(self) -> None:
        """Before activation: only what is measured from now on counts."""
        self.positions = None
        self.age.forget()
        self._refusal = self._standing = None

    def refuse(self, now_ns: int, refusal: Refusal) -> Refusal:
        """Count a message that is not used."""
        self.refused[refusal.kind] += 1
        if not refusal.kind.expected:
            self._refusal, standing = (now_ns, refusal), self._standing
            if standing is None or now_ns - standing[0] > 1e9 * _STANDS_S:
                self._standing = (now_ns, refusal)
            elif standing[1].like(refusal):
                self._standing = (now_ns, standing[1])
        return refusal

    def fault(self, now_ns: int, within_s: float = _TOLD_S) -> str:
        """Why the newest joint state that was refused in the last ``within_s`` was; '' if none was."""
        return _text_since(self._refusal, now_ns, within_s)

    def standing_fault(self, now_ns: int) -> str:
        """The same in words that stay while joint states like it come, whatever their numbers and whatever comes between them."""
        return _text_since(self._standing, now_ns, _TOLD_S)

    def why_missing(self, now_ns: int, silent_s: float) -> str:
        """One sentence for people on why no joint state was believed for ``silent_s``."""
        fault = self.fault(now_ns, silent_s)
        return f"no joint states for {1000 * silent_s:.0f} ms" + (f" that can be used: {fault}" if fault else "")

    def offer(self, now_ns: int, names: tuple[str, ...], positions: Vector, stamp_ns: int) -> Refusal | None:
        """Believe a joint state or say why not. A leap of the pose is returned too, though believed (kind JUMP)."""
        refusal = self._check_order(stamp_ns)
        measured = self._order.state(names, positions)
        if isinstance(measured, Refusal):
            refusal = measured
        elif refusal is None:
            slack_rad = self._config.max_beyond_limit_rad
            refusal = check_range(self._order.names, measured, self._lower, self._upper, slack_rad)
        if refusal is not None or isinstance(measured, Refusal):
            assert refusal is not None
            return self.refuse(now_ns, refusal)
        leap = None
        if self.positions is not None and self.age.freshness(now_ns) < Freshness.LOST:
            limit_rad = self._config.max_state_jump_rad
            leap = check_jump(self._order.names, measured, self.positions, limit_rad, "the measured pose leapt")
        self.positions, self.stamp_ns = measured, stamp_ns
        self.age.arrived(now_ns)
        return leap

    def _check_order(self, stamp_ns: int) -> Refusal | None:
        if self.positions is not None and 0 <= self.stamp_ns - stamp_ns < _CLOCK_STEP_NS:
            return Refusal(RefusalKind.OUT_OF_ORDER, "joint state is not newer than the one before it")
        return None


def _text_since(refusal: tuple[int, Refusal] | None, now_ns: int, within_s: float) -> str:
    return "" if refusal is None or now_ns - refusal[0] > 1e9 * within_s else refusal[1].text


class CommandStream:
    """The commands of one source: checked, placed in time, counted."""

    def __init__(self, source: str, embodiment: Embodiment, config: GateConfig) -> None:
        self.source = source
        self.age = StreamAge(AgeLimits(*config.command_ages_s(source)))
        self.line = CommandLine()
        self.publishers = 0
        self.accepted = 0
        self.refused: Counter[RefusalKind] = Counter()
        self.refusal: tuple[int, Refusal] | None = None  # the newest, with its time of arrival
        self._order = JointOrder(embodiment)
        self._lower = np.array([joint.lower_rad for joint in embodiment.joints])
        self._upper = np.array([joint.upper_rad for joint in embodiment.joints])
        self._config = config
        self._previous: tuple[int, int] | None = None

    def forget(self) -> None:
        """Drop what was commanded; only what arrives from now on counts."""
        self.age.forget()
        self.line.clear()
        self._previous = None
        self.refusal = None

    @property
    def refused_by_name(self) -> dict[str, int]:
        return {f"{self.source}.{kind.value}": count for kind, count in self.refused.items()}

    def clear_counters(self) -> None:
        self.accepted = 0
        self.refused.clear()

    def refuse(self, now_ns: int, refusal: Refusal) -> Refusal:
        """Count a message that is not used."""
        self.refused[refusal.kind] += 1
        if not refusal.kind.expected:
            self.refusal = (now_ns, refusal)
        return refusal

    def offer(self, now_ns: int, command: JointCommand, answers_ns: int, state_ns: int, base: Vector) -> Refusal | None:
        """Believe a command or say why not.

        answers_ns: stamp of the joint state it was computed from; state_ns: of the newest joint state; base (J,):
        where joints stay that the command does not name.
        """
        found = self._order.command(command.joint_names, command.positions)
        if isinstance(found, Refusal):
            return self.refuse(now_ns, found)
        columns, values = found
        refusal = self._check(now_ns, command, columns, answers_ns, state_ns)
        if refusal is not None:
            return self.refuse(now_ns, refusal)
        if self.age.freshness(now_ns) >= Freshness.STALE:
            self.line.clear()
        target = base.copy()
        target[columns] = values
        self.line.add(now_ns, command.stamp_ns, target)
        self.age.arrived(now_ns)
        self._previous = (answers_ns, command.stamp_ns)
        self.accepted += 1
        return None

    def _check(
        self, now_ns: int, command: JointCommand, columns: NDArray[np.intp], answers_ns: int, state_ns: int
    ) -> Refusal | None:
        config, names, values = self._config, command.joint_names, command.positions
        if self._previous is not None and self._previous[0] - state_ns > _CLOCK_STEP_NS:
            self._previous = None  # the stamping clock was set back
        refusal = check_stamps(
            answers_ns, command.stamp_ns, state_ns, self._previous, config.max_lead_s, config.max_lag_s
        )
        if refusal is None:
            refusal = check_range(
                names, values, self._lower[columns], self._upper[columns], config.max_beyond_limit_rad
            )
        newest = self.line.newest
        if refusal is None and newest is not None and self.age.freshness(now_ns) < Freshness.STALE:
            refusal = check_jump(
                names, values, newest[columns], config.max_jump_rad, "command jumped from the one before"
            )
        return refusal

    def present_cause(self, now_ns: int) -> str:
        """Why the source is not to be trusted just now; '' if nothing is known against it."""
        if self.publishers > 1:
            return f"{self.publishers} publishers command as '{self.source}'"
        is_broken = self.refusal is not None and self.refusal[1].kind.broken_source
        return f"'{self.source}' sent what it must not just now" if is_broken and self._is_recent(now_ns) else ""

    def _is_recent(self, now_ns: int) -> bool:
        return self.refusal is not None and now_ns - self.refusal[0] < 1e9 * self._config.healthy_s

    def is_refused(self, now_ns: int) -> bool:
        """Whether what came after the newest command that was believed is refused: then the stream has not ended."""
        return self.refusal is not None and (now_ns - self.refusal[0]) / 1e9 < self.age.age_s(now_ns)

    def why_missing(self, now_ns: int) -> str:
        """One sentence for people on why no fresh command is there."""
        if self.refusal is not None and now_ns - self.refusal[0] < 2e9 * self.age.limits.stale_s:
            return f"commands from '{self.source}' are refused: {self.refusal[1].text}"
        return f"no commands from '{self.source}' for {1000 * self.age.limits.stale_s:.0f} ms"
