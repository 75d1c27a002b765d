# SPDX-License-Identifier: Apache-2.0
"""One closed-loop episode of a policy in the simulator, with the two rates and the delays it has on the robot.

The head is evaluated every control period (20 Hz here, 120 Hz live) on the newest joint state; the planner sees a picture
every second period and its tokens arrive one period later, so pictures are 50 to 150 ms old when acted upon. Staggered, a chunk
is begun in each of the last ticks (of 120 Hz) of a period, and the one that is finished at its end is as old as on the robot.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ConditioningTokens, Observation
from gr00t_policy.runtime.chunk_modes import make_plan
from gr00t_policy.runtime.config import BLEND_TIME_S
from gr00t_policy.runtime.policy import Policy
from gr00t_policy.runtime.staggering import StaggeredChunks, WholeChunks
from gr00t_sim.lasting_success import LastingSuccess
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.simulation import TabletopSim

PERIOD_S = 0.05
_PERIODS_PER_PICTURE = 2
_TOKEN_DELAY_PERIODS = 1
_NS = 1_000_000_000
_TICK_S = 1 / 120  # of the controller on the robot

Watcher = Callable[[TabletopSim, int], object]
"""Called with the simulator and the number of the control period that has just ended."""


@dataclass(frozen=True)
class Outcome:
    """How an episode ended. success: as in ``lasting_success.py``; taken: the objects that ended in any bin; steps: control
    periods used, of a success to its beginning.

    progress: the best (0 to 1) that the referee saw, best_detail what it said then; detail: its last word; sentence: what
    it judged by.
    """

    success: bool
    goal_object: str
    taken: tuple[str, ...]
    steps: int
    detail: str
    progress: float = 0.0
    best_detail: str = ""
    sentence: str = ""


class PolicyDriver:
    """A policy in the loop: asked once per control period, gives joint targets (32,) for its end.

    head_every: control periods from one evaluation of the head to the next; between them the plan is followed. chunk_mode,
    interpolation, staggered: as in the controller. Raises ConfigError for a policy that cannot be staggered.
    """

    def __init__(
        self,
        sim: TabletopSim,
        policy: Policy,
        blend_time_s: float = BLEND_TIME_S,
        head_every: int = 1,
        chunk_mode: str = "blend",
        interpolation: str = "linear",
        *,
        staggered: bool = False,
    ) -> None:
        self._sim, self._policy, self._head_every = sim, policy, head_every
        self._chunks = StaggeredChunks[None](policy) if staggered else WholeChunks[None](policy)
        self.looks_before_s = tuple(_TICK_S * ticks for ticks in range(self._chunks.steps - 1, 0, -1))
        names = sim.embodiment.joint_names
        self._index = np.array([names.index(name) for name in policy.embodiment.policy_joint_names])
        self._plan = make_plan(chunk_mode, len(self._index), blend_time_s, interpolation)
        self.start(0, "")

    def start(self, seed: int, sentence: str) -> None:
        """Forget everything and obey ``sentence``; the flow's noise comes from ``seed``."""
        self._policy.start_episode(seed)
        self._chunks.flush()
        self._plan.reset()
        self._sentence = sentence
        self._waiting: ConditioningTokens | None = None
        self._periods = 0

    def targets(self) -> NDArray[np.float64]:
        """Look (every second period), think, and say where all joints should be one period from now."""
        period, self._periods = self._periods, self._periods + 1
        now_ns = round(period * PERIOD_S * _NS)
        state = self._sim.joint_positions()[self._index]
        if period % _PERIODS_PER_PICTURE == 0:
            images = {HEAD_CAMERA: self._sim.render()}
            observation = Observation(images, state.astype(np.float32), self._sentence, now_ns, now_ns)
            self._waiting = self._policy.encode(observation, sequence=period)
        if self._waiting is not None and (period == 0 or period % _PERIODS_PER_PICTURE == _TOKEN_DELAY_PERIODS):
            self._policy.accept(self._waiting)
        if period % self._head_every == 0:
            guide = self._plan.guide(now_ns + round(PERIOD_S * _NS), now_ns)  # here chunks are there at once
            made = self._chunks.evaluate(state, now_ns, None, guide)
            if made is not None:
                self._plan.update(made[0])
        targets = self._sim.joint_targets()
        targets[self._index] = self._plan.sample(now_ns + round(PERIOD_S * _NS))
        return targets

    def look(self, before_s: float) -> None:
        """Begin a chunk so long before the end of the period: what is finished by that is of a tick that commands nothing."""
        if self._periods % self._head_every == 0:
            stamp_ns = round((self._periods * PERIOD_S - before_s) * _NS)
            self._chunks.evaluate(self._sim.joint_positions()[self._index], stamp_ns, None)


def rollout(
    sim: TabletopSim,
    driver: PolicyDriver,
    seed: int,
    *,
    sentence: str | None = None,
    told: str | None = None,
    max_s: float = 12.0,
    on_step: Callable[[int], object] | None = None,
) -> Outcome:
    """Run scene ``seed``. sentence: what the referee judges (None: the scene's own); told: what the policy hears, if other.

    max_s: for a success to begin in; it then has the time that it must last. on_step: called in that time too.
    """
    spoken = sim.reset(seed, sentence)
    driver.start(seed, spoken if told is None else told)
    steps_per_period = round(PERIOD_S / sim.timestep_s)
    best, success, solved = sim.task_state(), LastingSuccess(PERIOD_S), False
    limit = round(max_s / PERIOD_S)
    step = 0
    while not solved and (step < limit or success.began is not None):
        sim.set_targets(driver.targets(), PERIOD_S)
        done = 0
        for before_s in driver.looks_before_s:
            wanted = round((PERIOD_S - before_s) / sim.timestep_s)
            sim.step_physics(wanted - done)
            driver.look(before_s)
            done = wanted
        sim.step_physics(steps_per_period - done)
        if on_step is not None:
            on_step(step)
        status = sim.task_state()
        best = status if status.success or status.progress > best.progress else best
        solved = success.see(step, status.success)
        step += 1
    status = sim.task_state()
    taken = tuple(kind.name for kind in sim.task.objects if sim.task.bin_of(sim.model, sim.data, kind.name))
    return Outcome(
        success=solved,
        goal_object=sim.task.goal.object,
        taken=taken,
        steps=limit if success.began is None else success.began + 1,
        detail=status.detail,
        progress=round(float(best.progress), 4),
        best_detail=best.detail,
        sentence=status.sentence,
    )
