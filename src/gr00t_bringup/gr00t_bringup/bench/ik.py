# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench ik``: random motions of both wrists through inverse kinematics and gate; does the robot ever meet itself?"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.bench.self_contacts import SelfContacts
from gr00t_bringup.bench.wild_operator import TICKS_OF_A_PERSON, Tick, WildOperator
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.measure import Percentiles, percentiles
from gr00t_bringup.nodes import parameter_files
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_safety.config import GateConfig
from gr00t_safety.testing import MotionJudge
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.inverse_kinematics import VETO_GAP_M
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.retargeting.self_collision import SelfCollision
from gr00t_teleop.testing import JointJudge

Vector = NDArray[np.float64]
_ROUNDING_M = 1e-6
Settings = TypeVar("Settings", GateConfig, RetargeterConfig)


@dataclass(frozen=True)
class IkBenchConfig:
    """Wrists of made-up people swing, leap, get lost and come back, 5 s each, every other one with the waist. No ROS, no clock.
    Exit code 0: every goal was reached."""

    motions: int = 10_000
    """ticks in all, 120 to a second; docs/teleoperation.md publishes 100000"""
    seed: int = 0
    """of the people"""
    contacts_every: int = 1
    """ticks from one pose that MuJoCo judges to the next"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if self.motions < 1 or self.contacts_every < 1 or self.seed < 0:
            raise ConfigError(
                "motions and contacts_every must be 1 or more and seed not negative, "
                f"got {self.motions}, {self.contacts_every} and {self.seed}"
            )


@dataclass(frozen=True)
class IkFigures:
    """gap_*_m: the smallest between spheres, before the gate (what is commanded) and behind it (what the robot gets).
    From a pose nearer than the veto's that the gate stopped the robot in, commands only have to lead away.

    contacts: judged poses behind the gate in which MuJoCo finds parts inside each other, by the pair of links;
    deepest_mm of any of them; limits: ticks beyond a limit, of the commands and behind the gate.
    """

    motions: int
    commanded: int
    driven: int
    gap_before_m: float
    gap_behind_m: float
    judged_by_mujoco: int
    poses_with_contact: int
    contacts: dict[str, int]
    deepest_mm: float
    neighbours_left_out: int
    touching_at_rest_left_out: list[str]
    vetoed: int
    unsolved: int
    limits_passed_before: int
    limits_passed_behind: int
    step_ms: Percentiles


def run(config: IkBenchConfig) -> int:
    """Measure and print; 1 when a goal is missed. Raises Gr00tError."""
    figures = measure(config, load_embodiment("gr1"))
    goals = ik_goals(figures)
    _print(figures, goals)
    if config.json is not None:
        machine = asdict(this_machine())
        write_json(config.json, {**asdict(figures), "load_average": list(os.getloadavg()), "machine": machine})
    return 0 if all(goal.reached for goal in goals) else 1


def ik_goals(figures: IkFigures) -> list[Goal]:
    """What is to be reached, beside what was measured."""
    return [
        Goal("smallest gap before the gate", 1e3 * figures.gap_before_m, "mm", 1e3 * VETO_GAP_M, float("inf")),
        Goal("smallest gap behind the gate", 1e3 * figures.gap_behind_m, "mm", 1e-9, float("inf")),
        Goal("poses in contact, by MuJoCo", figures.poses_with_contact, "", 0.0, 0.0),
        Goal("steps without solution", figures.unsolved, "", 0.0, 0.0),
        Goal("limits passed before the gate", figures.limits_passed_before, "", 0.0, 0.0),
        Goal("limits passed behind the gate", figures.limits_passed_behind, "", 0.0, 0.0),
        Goal("a step, p99", figures.step_ms.p99, "ms", 0.0, 0.5),
    ]


def measure(config: IkBenchConfig, embodiment: Embodiment) -> IkFigures:
    """As many people as the motions need, one after the other."""
    rng, judge = np.random.default_rng(config.seed), _Judge(embodiment, config.contacts_every)
    gate = _deployed(GateConfig, "command_gate", default_source="teleop")
    left, vetoed, unsolved = config.motions, 0, 0
    while left > 0:
        use_waist = left // TICKS_OF_A_PERSON % 2 == 0
        person = WildOperator(embodiment, _deployed(RetargeterConfig, "retargeter", use_waist=use_waist), gate, rng)
        judge.take(person.ticks(min(left, TICKS_OF_A_PERSON)))
        vetoed, unsolved = vetoed + person.pose.arms.vetoed, unsolved + person.pose.arms.unsolved
        left -= TICKS_OF_A_PERSON
    contacts = judge.contacts
    return IkFigures(
        motions=config.motions,
        commanded=len(judge.steps_s),
        driven=judge.driven,
        gap_before_m=judge.gaps_m["before"],
        gap_behind_m=judge.gaps_m["behind"],
        judged_by_mujoco=judge.judged,
        poses_with_contact=judge.poses_with_contact,
        contacts={" - ".join(pair): count for pair, count in judge.found.most_common()},
        deepest_mm=1e3 * judge.deepest_m,
        neighbours_left_out=contacts.neighbours,
        touching_at_rest_left_out=[" - ".join(pair) for pair in sorted(contacts.touching_at_rest)],
        vetoed=vetoed,
        unsolved=unsolved,
        limits_passed_before=judge.passed["before"],
        limits_passed_behind=judge.passed["behind"],
        step_ms=percentiles(1e3 * np.array(judge.steps_s)),
    )


@dataclass
class _Judge:
    """Looks at each tick from outside: spheres of its own, MuJoCo, the table of joints."""

    embodiment: Embodiment
    contacts_every: int
    gaps_m: dict[str, float] = field(default_factory=lambda: {"before": float("inf"), "behind": float("inf")})
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    steps_s: list[float] = field(default_factory=list)
    driven: int = 0
    judged: int = 0
    poses_with_contact: int = 0
    deepest_m: float = 0.0

    def __post_init__(self) -> None:
        groups = ("left_arm", "right_arm", "waist")
        self._columns = [i for i, joint in enumerate(self.embodiment.joints) if joint.group in groups]
        model = RobotModel(self.embodiment, tuple(self.embodiment.joint_names[column] for column in self._columns))
        self._model, self._spheres = model, SelfCollision(model)
        self.contacts = SelfContacts(self.embodiment)
        self._ticks, self._from_m = 0, float("inf")

    def take(self, ticks: Iterable[Tick]) -> None:
        """The ticks of one person."""
        dt_s = 1 / _deployed(GateConfig, "command_gate").tick_rate_hz
        behind, before = MotionJudge(self.embodiment, dt_s), JointJudge(self.embodiment, self._names, dt_s)
        for tick in ticks:
            self._ticks += 1
            self.driven += tick.is_driven
            behind.applied.append(tick.given)
            self._measure("behind", tick.given)
            if tick.commanded is None:
                self._finish(before)  # what is commanded after a silence begins anew
                before = JointJudge(self.embodiment, self._names, dt_s)
            else:
                self.steps_s.append(tick.step_s)
                before.path.append(tick.commanded)
                self._measure_command(tick.commanded, is_driven=tick.is_driven)
            if self._ticks % self.contacts_every == 0:
                self._touch(tick.given)
        self._finish(before)
        self.passed["behind"] += sum(behind.violations().values())

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.embodiment.joint_names)

    def _measure(self, where: str, positions: Vector) -> None:
        self.gaps_m[where] = min(self.gaps_m[where], self._gap_m(positions))

    def _measure_command(self, positions: Vector, *, is_driven: bool) -> None:
        """While the gate holds, what is commanded is the pose that it holds."""
        gap_m, from_m = self._gap_m(positions), self._from_m
        self._from_m = gap_m
        leads_away = from_m - _ROUNDING_M <= gap_m < VETO_GAP_M
        if is_driven and not leads_away:
            self.gaps_m["before"] = min(self.gaps_m["before"], gap_m)

    def _gap_m(self, positions: Vector) -> float:
        self._model.update(positions[self._columns])
        return float(self._spheres.gaps().gaps.min())

    def _touch(self, positions: Vector) -> None:
        inside = self.contacts.between(positions)
        self.judged += 1
        self.poses_with_contact += bool(inside)
        self.found.update(inside.keys())
        self.deepest_m = max([self.deepest_m, *inside.values()])

    def _finish(self, before: JointJudge) -> None:
        if before.path:
            self.passed["before"] += sum(before.violations().values())


def _deployed(kind: type[Settings], node: str, **changed: object) -> Settings:
    """The node's settings as shipped, with some changed."""
    given = yaml.safe_load(parameter_files("gr1", "mujoco", node)[0].read_text())[f"/**/{node}"]["ros__parameters"]
    known = {each.name for each in fields(kind)}
    values: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    return kind(**{**values, **changed})


def _print(figures: IkFigures, goals: list[Goal]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine, console = this_machine(), Console()
    table = Table(title=f"{machine.cpu}, {figures.motions} motions", title_justify="left")
    for column in ("figure", "measured", "goal", ""):
        table.add_column(column)
    for goal in goals:
        wanted = "> 0" if goal.low == 1e-9 else goal.wanted
        table.add_row(goal.name, f"{goal.value:.2f} {goal.unit}".strip(), wanted, "ok" if goal.reached else "missed")
    console.print(table)
    console.print(
        f"{figures.commanded} commands, {figures.driven} of them passed on by the gate; {figures.vetoed} steps vetoed; "
        f"a step {figures.step_ms.p50:.3f} ms p50; load average {os.getloadavg()[0]:.1f}"
    )
    at_rest = ", ".join(figures.touching_at_rest_left_out) or "no pair"
    console.print(
        f"MuJoCo judged {figures.judged_by_mujoco} poses behind the gate; left out: {figures.neighbours_left_out} pairs of "
        f"neighbours, and of those that touch in the rest pose {at_rest}"
    )
    for pair, count in figures.contacts.items():
        console.print(f"  in contact {count} times: {pair}")
    if figures.contacts:
        console.print(f"  deepest {figures.deepest_mm:.1f} mm")
