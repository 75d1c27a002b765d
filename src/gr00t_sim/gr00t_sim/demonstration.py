# SPDX-License-Identifier: Apache-2.0
"""One demonstration by the expert: states, targets and pictures at 20 Hz, with disturbances it must recover from.

Frames during a disturbance are recorded but marked invalid: what the hand is made to do then is not to be imitated,
what the expert does afterwards is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.experts.registry import make_expert
from gr00t_sim.recording import PERIOD_S, Choice, Demonstration, record
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim

_OVERLAP_M = 0.003  # a hand that was put deeper into something than any contact presses it
_RANDOM_START_LOW = np.array([0.24, 0.04, TABLE_TOP_M + 0.10])
_RANDOM_START_HIGH = np.array([0.46, 0.38, TABLE_TOP_M + 0.30])


@dataclass(frozen=True)
class Variety:
    """How demonstrations are made to cover more than the straight way. Probabilities per episode, speeds in m/s."""

    random_start: float = 0.35
    pushed: float = 0.6
    max_pushes: int = 3
    push_m_s: float = 0.30
    push_ticks: tuple[int, int] = (4, 12)
    after_success_ticks: int = 22
    driven_ticks: tuple[int, int] = (5, 100)  # a policy, if one is given, drives this long before the expert takes over
    ticks_per_picture: int = 2  # the planner looks at 10 Hz; the row between repeats the picture


class Demonstrator:
    """Owns a simulator and its expert and makes demonstrations, one per seed."""

    def __init__(self, sim: TabletopSim, variety: Variety | None = None) -> None:
        self.sim = sim
        self.expert = make_expert(sim, PERIOD_S)
        self._variety = variety or Variety()

    def run(self, seed: int, driver: PolicyDriver | None = None) -> Demonstration:
        """Record one episode. A ``driver`` moves the robot for a random while somewhere in it; those frames are invalid."""
        rng = np.random.default_rng([seed, 1])
        sentence = self.sim.reset(seed)
        self._random_start(rng)
        self.expert.restart()
        pushes = self._plan_pushes(rng)
        first, last = self._plan_drive(rng) if driver is not None else (0, 0)
        was_driven = False

        def choose(tick: int, done: bool) -> Choice:
            nonlocal was_driven
            driven = first <= tick < last and not done
            push = None
            if driver is not None and driven:
                if not was_driven:
                    driver.start(seed, sentence)
                chosen = driver.targets()
            else:
                if was_driven:
                    self.expert.restart()
                push = next((p for start, end, p in pushes if start <= tick < end), None)
                chosen = self.expert.act(push)
            was_driven = driven
            return Choice(chosen, valid=not driven and push is None)

        return record(
            self.sim,
            seed,
            choose,
            most_ticks=round(self.sim.task.time_limit_s / PERIOD_S),
            ticks_per_picture=self._variety.ticks_per_picture,
            after_success_ticks=self._variety.after_success_ticks,
        )

    def _plan_drive(self, rng: np.random.Generator) -> tuple[int, int]:
        first = int(rng.integers(0, 40)) if rng.random() < 0.5 else 0
        return first, first + int(rng.integers(*self._variety.driven_ticks))

    def _random_start(self, rng: np.random.Generator) -> None:
        if rng.random() >= self._variety.random_start:
            return
        side, position = random_reach_targets(rng)
        self.sim.place_joints(self.expert.reach(side, position))
        if self.sim.data.contact.dist.min(initial=0.0) < -_OVERLAP_M:  # things would fly apart
            self.sim.place_joints(self.sim.home)

    def _plan_pushes(self, rng: np.random.Generator) -> list[tuple[int, int, NDArray[np.float64]]]:
        if rng.random() >= self._variety.pushed:
            return []
        pushes = []
        for _ in range(rng.integers(1, self._variety.max_pushes + 1)):
            start = int(rng.integers(2, 70))
            push = rng.normal(size=3)
            push *= self._variety.push_m_s * rng.uniform(0.4, 1.0) / np.linalg.norm(push)
            pushes.append((start, start + int(rng.integers(*self._variety.push_ticks)), push))
        return pushes


def random_reach_targets(rng: np.random.Generator) -> tuple[str, NDArray[np.float64]]:
    """A side and a place (3,) over that side of the table for its hand."""
    side = str(rng.choice(["left", "right"]))
    position = rng.uniform(_RANDOM_START_LOW, _RANDOM_START_HIGH)
    position[1] *= 1 if side == "left" else -1
    return side, position
