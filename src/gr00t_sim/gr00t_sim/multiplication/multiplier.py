# SPDX-License-Identifier: Apache-2.0
"""One new demonstration from one seed: the scene, the source nearest to it, its segments played in physics, the referee."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_sim.multiplication.playback import LEAST_BRIDGE_STEPS, HandCommand, Playback
from gr00t_sim.multiplication.selection import choose_source
from gr00t_sim.multiplication.sources import Source, layout_now, shapes_of
from gr00t_sim.multiplication.subtasks import PlannedSubtask, plan
from gr00t_sim.multiplication.trace import place_now
from gr00t_sim.multiplication.wrists import Wrists
from gr00t_sim.recording import Choice, Demonstration, record
from gr00t_sim.robot import SIDES
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.place_task import is_lifted
from gr00t_sim.tasks.task import touches

_ASTRAY_M, _ASTRAY_PERIODS = 0.05, 20  # commanded against wanted: further and longer than this, it is out of reach
_MOST_BRIDGE_TICKS = 200  # all bridges of an attempt together
_SETTLE_PERIODS = 10  # after the last subtask
_ROUND = (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_SPHERE)


@dataclass(frozen=True)
class MotionSettings:
    """How segments are played. noise_m: standard deviation of what is added to each hand's targets, drawn every period."""

    noise_m: float = 0.001
    bridge_steps: int = LEAST_BRIDGE_STEPS
    ticks_per_picture: int = 2


@dataclass(frozen=True)
class Attempt:
    """What came of a seed. reason: why it is not kept, '' when it is; source: the episode it was made from."""

    demonstration: Demonstration
    reason: str
    detail: str
    source: int


class Multiplier:
    """Owns a simulator's hands and the sources; ``run`` depends on the seed and the sources alone."""

    def __init__(self, sim: TabletopSim, sources: Sequence[Source], settings: MotionSettings) -> None:
        self.sim = sim
        self._sources, self._settings = sources, settings
        self._wrists = Wrists(sim.embodiment, sim.task.name)

    def run(self, seed: int) -> Attempt:
        """Try the scene of ``seed``. Raises DatasetError when no source uses the hands that it needs."""
        sim = self.sim
        rng = np.random.default_rng([seed, 11])
        sim.reset(seed)
        subtasks = plan(sim.task)
        source = choose_source(self._sources, subtasks, layout_now(sim, subtasks), shapes_of(sim, subtasks), rng)
        player = _Player(sim, self._wrists, subtasks, source, self._settings, rng)
        most_ticks = _MOST_BRIDGE_TICKS + source.rows  # a person may take longer than an expert is given
        made = record(
            sim,
            seed,
            player.choose,
            most_ticks=most_ticks,
            ticks_per_picture=self._settings.ticks_per_picture,
            after_success_ticks=most_ticks,  # played to the end, as the source was
        )
        detail = sim.task_state().detail
        reason = "" if made.success else player.failure or "played to its end without success"
        return Attempt(made, reason, detail, source.index)

    def needs(self, seed: int) -> tuple[PlannedSubtask, ...]:
        """The subtasks of a scene, without trying it."""
        self.sim.reset(seed)
        return plan(self.sim.task)


class _Player:
    """Chooses the targets of one attempt and notices when it has failed."""

    def __init__(
        self,
        sim: TabletopSim,
        wrists: Wrists,
        subtasks: tuple[PlannedSubtask, ...],
        source: Source,
        settings: MotionSettings,
        rng: np.random.Generator,
    ) -> None:
        self._sim, self._wrists, self._subtasks = sim, wrists, subtasks
        self._noise_m, self._rng = settings.noise_m, rng
        targets = sim.joint_targets()
        wrists.continue_from(targets)
        start = {side: HandCommand(wrists.pose(side), targets[wrists.fingers[side]]) for side in SIDES}
        self._playback = Playback(
            subtasks,
            source.segments,
            start,
            lambda body: place_now(sim, body),
            lambda body: symmetry(sim, body),
            settings.bridge_steps,
        )
        self._checked: set[int] = set()
        self._astray = dict.fromkeys(SIDES, 0)
        self._idle = 0
        self.failure = ""

    def choose(self, tick: int, done: bool) -> Choice | None:
        """The next targets; None when it has failed, or is over and the referee content or waited for long enough."""
        commands = self._playback.step()
        if not done and not self._as_shown():
            return None
        if self._playback.over:
            self._idle += 1
            if self._idle > _SETTLE_PERIODS or self._sim.task_state().success:
                return None
        poses = self._disturbed(commands)
        fingers = {side: command.fingers for side, command in commands.items()}
        targets = self._wrists.follow(poses, fingers, self._sim.joint_targets())
        if not done and self._out_of_reach(poses):
            return None
        return Choice(targets, all(command.valid for command in commands.values()))

    def _as_shown(self) -> bool:
        """Whether each subtask that is done has done what it was for."""
        for number in sorted(self._playback.finished - self._checked):
            self._checked.add(number)
            one = self._subtasks[number]
            if one.until == "lifted" and not is_lifted(self._sim.task, self._sim.data, one.object):
                self.failure = "object not grasped"
            if one.until == "presented" and not self._touches(one.lead, one.object):
                self.failure = "object lost before it was presented"
            if one.until == "received" and not all(self._touches(hand, one.object) for hand in one.hands):
                self.failure = "object not received"
        return not self.failure

    def _touches(self, hand: str, name: str) -> bool:
        return touches(self._sim.model, self._sim.data, hand, name)

    def _disturbed(self, commands: dict[str, HandCommand]) -> dict[str, NDArray[np.float64]]:
        """Poses with noise added where hands move, the same to both, so that what they hold together is not torn."""
        noise = self._rng.normal(size=3) * self._noise_m
        poses = {side: command.pose.copy() for side, command in commands.items()}
        for side, command in commands.items():
            poses[side][:3, 3] += 0.0 if command.holds else noise
        return poses

    def _out_of_reach(self, poses: dict[str, NDArray[np.float64]]) -> bool:
        for side, pose in poses.items():
            error = float(np.linalg.norm(self._wrists.pose(side)[:3, 3] - pose[:3, 3]))
            self._astray[side] = self._astray[side] + 1 if error > _ASTRAY_M else 0
            if self._astray[side] > _ASTRAY_PERIODS:
                self.failure = f"out of the {side} hand's reach"
        return bool(self.failure)


def symmetry(sim: TabletopSim, body: str) -> int:
    """In how many turns a thing looks the same: 0 for round ones, 4 and 2 for boxes, 1 for all that is no loose object."""
    kind = next((kind for kind in sim.task.objects if kind.name == body), None)
    if kind is None:
        return 1
    if kind.geom in _ROUND:
        return 0
    return 4 if kind.size[0] == kind.size[1] else 2
