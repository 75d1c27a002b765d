# SPDX-License-Identifier: Apache-2.0
"""For tests: a gate on a fake steady clock with a robot that obeys at once, and an independent judge of its motion.

The judge shares no code with the limiter: it only knows the joint table and looks at differences of what was applied.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.types import JointCommand
from gr00t_safety.checks import Refusal
from gr00t_safety.config import GateConfig
from gr00t_safety.gate import Gate
from gr00t_safety.ladder import State

Vector = NDArray[np.float64]

GR1 = load_embodiment("gr1")
_ROBOT_CLOCK_NS = 1_700_000_000 * 10**9  # stamps never come from the steady clock


@dataclass
class MotionJudge:
    """Keeps every applied command; ``violations`` counts ticks that break a promise of the limits."""

    embodiment: Embodiment
    tick_s: float
    applied: list[Vector] = field(default_factory=list)
    rests: list[int] = field(default_factory=list)

    def rested(self) -> None:
        """Nothing was applied for so long that the robot came to rest by itself: what follows begins at rest."""
        self.rests.append(len(self.applied))

    def violations(self) -> dict[str, int]:
        """Ticks with a value that is not finite, out of position limits, too fast, or too quickly changed."""
        counts = Counter(dict.fromkeys(("not finite", "position", "velocity", "acceleration"), 0))
        for first, last in pairwise([0, *self.rests, len(self.applied)]):
            if last > first:
                counts.update(self._violations(np.array(self.applied[first:last])))
        return dict(counts)

    def _violations(self, path: Vector) -> dict[str, int]:
        """Of (N, J) that begins at rest."""
        joints = self.embodiment.joints
        lower = np.array([joint.lower_rad for joint in joints])
        upper = np.array([joint.upper_rad for joint in joints])
        step = np.array([joint.max_velocity_rad_s for joint in joints]) * self.tick_s
        change = np.array([joint.max_acceleration_rad_s2 for joint in joints]) * self.tick_s**2
        path = np.concatenate([path[:1], path])  # it starts at rest
        return {
            "not finite": int((~np.isfinite(path)).any(axis=1).sum()),
            "position": int(((path < lower) | (path > upper)).any(axis=1).sum()),
            "velocity": int((np.abs(np.diff(path, axis=0)) > step).any(axis=1).sum()),
            "acceleration": int((np.abs(np.diff(path, n=2, axis=0)) > change).any(axis=1).sum()),
        }


class GateRig:
    """A gate, its clock, and a robot that is wherever it was last told to be."""

    def __init__(self, embodiment: Embodiment, config: GateConfig, start: Vector | None = None) -> None:
        self.embodiment = embodiment
        self.gate = Gate(embodiment, config)
        self.now_ns = 5_000_000_000
        self.robot = embodiment.positions_by_name(embodiment.home) if start is None else start.copy()
        self.judge = MotionJudge(embodiment, 1 / config.tick_rate_hz)
        self.names = embodiment.policy_joint_names
        self.columns = np.array([embodiment.joint_names.index(name) for name in self.names])
        self._home: Vector = embodiment.positions_by_name(embodiment.home)[self.columns]

    @property
    def state(self) -> State:
        return self.gate.state

    @property
    def reason(self) -> str:
        return self.gate.report(self.now_ns).reason

    @property
    def stamp_ns(self) -> int:
        """The robot's own clock."""
        return _ROBOT_CLOCK_NS + self.now_ns

    def home(self) -> Vector:
        """Home pose of the policy's joints (J,)."""
        return np.array(self._home)

    def measure(self, positions: Vector | None = None) -> Refusal | None:
        positions = self.robot if positions is None else positions
        return self.gate.joint_state(self.now_ns, self.embodiment.joint_names, positions, self.stamp_ns)

    def command(
        self, positions: Vector, source: str = "policy", names: tuple[str, ...] | None = None
    ) -> Refusal | None:
        names = self.names if names is None else names
        command = JointCommand(self.stamp_ns + self.gate.tick_ns, names, positions)
        return self.gate.command(self.now_ns, source, command, self.stamp_ns)

    def tick(self) -> Vector | None:
        """One tick of the gate; the robot obeys."""
        self.now_ns += self.gate.tick_ns
        command = self.gate.tick(self.now_ns)
        if command is None:
            return None
        self.robot = command.positions
        self.judge.applied.append(self.robot)
        return self.robot

    def run(
        self,
        seconds: float,
        positions: Vector | None = None,
        *,
        source: str = "policy",
        measure: bool = True,
        command: bool = True,
    ) -> None:
        """Ticks with all streams healthy, or without some. positions: the policy's joints, home if None."""
        for _ in range(round(seconds * 1e9 / self.gate.tick_ns)):
            if measure:
                self.measure()
            if command:
                self.command(self.home() if positions is None else positions, source)
            self.tick()

    def start(self) -> None:
        """Activate and run until the source drives."""
        self.gate.activate()
        self.run(0.4)
        assert self.state is State.ACTIVE, self.reason


def rig(start: Vector | None = None, **settings: object) -> GateRig:
    """An inactive gate for the GR-1 with these settings; the robot stands at ``start``, home if None."""
    return GateRig(GR1, GateConfig(**settings), start)  # type: ignore[arg-type]


def started(**settings: object) -> GateRig:
    """The same, driven by its source."""
    gate_rig = rig(**settings)  # type: ignore[arg-type]
    gate_rig.start()
    return gate_rig
