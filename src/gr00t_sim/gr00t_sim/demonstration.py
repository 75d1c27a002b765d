# SPDX-License-Identifier: Apache-2.0
"""One demonstration by the expert: states, targets and pictures at 20 Hz, with disturbances it must recover from.

Frames during a disturbance are recorded but marked invalid: what the hand is made to do then is not to be imitated,
what the expert does afterwards is.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_sim.experts.registry import make_expert
from gr00t_sim.projection import project
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.rollout import PolicyDriver
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim

PERIOD_S = 0.05
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


@dataclass
class Demonstration:
    """Recorded rows at 20 Hz. states/actions (N, 29) policy joints [rad]; uv (N, 4): object and target in the picture."""

    sentence: str
    seed: int
    success: bool
    states: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    uv: list[NDArray[np.float32]] = field(default_factory=list)


class Demonstrator:
    """Owns a simulator and its expert and makes demonstrations, one per seed."""

    def __init__(self, sim: TabletopSim, variety: Variety | None = None) -> None:
        self.sim = sim
        self.expert = make_expert(sim, PERIOD_S)
        self._variety = variety or Variety()
        names = sim.embodiment.joint_names
        self.policy_index = np.array([names.index(name) for name in sim.embodiment.policy_joint_names])
        self._steps = round(PERIOD_S / sim.timestep_s)

    def run(self, seed: int, driver: PolicyDriver | None = None) -> Demonstration:
        """Record one episode. A ``driver`` moves the robot for a random while somewhere in it; those frames are invalid."""
        rng = np.random.default_rng([seed, 1])
        sentence = self.sim.reset(seed)
        self._random_start(rng)
        self.expert.restart()
        pushes = self._plan_pushes(rng)
        first, last = self._plan_drive(rng) if driver is not None else (0, 0)
        record = Demonstration(sentence, seed, False)
        done_at: int | None = None
        was_driven = False
        for tick in range(round(self.sim.task.time_limit_s / PERIOD_S)):
            if tick % self._variety.ticks_per_picture == 0:
                image = self.sim.render()
            state = self.sim.joint_positions()
            driven = first <= tick < last and done_at is None
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
            self._append(record, image, state, chosen, valid=not driven and push is None)
            self.sim.set_targets(chosen, PERIOD_S)
            self.sim.step_physics(self._steps)
            if done_at is None and self.sim.task_state().success:
                done_at = tick
            if done_at is not None and tick >= done_at + self._variety.after_success_ticks:
                break
        record.success = done_at is not None and self.sim.task_state().success
        return record

    def _plan_drive(self, rng: np.random.Generator) -> tuple[int, int]:
        first = int(rng.integers(0, 40)) if rng.random() < 0.5 else 0
        return first, first + int(rng.integers(*self._variety.driven_ticks))

    def _append(
        self,
        record: Demonstration,
        image: NDArray[np.uint8],
        state: NDArray[np.float64],
        targets: NDArray[np.float64],
        *,
        valid: bool,
    ) -> None:
        record.images.append(image)
        record.states.append(state[self.policy_index].astype(np.float32))
        record.actions.append(targets[self.policy_index].astype(np.float32))
        record.valid.append(valid)
        record.uv.append(goal_uv(self.sim))

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


def goal_uv(sim: TabletopSim) -> NDArray[np.float32]:
    """(4,) picture coordinates of the goal's object and target: the labels of the auxiliary localisation loss."""
    goal = sim.task.goal_now(sim.model, sim.data)
    points = (sim.place_of(goal.object), sim.place_of(goal.target))
    return np.concatenate([project(sim.model, sim.data, HEAD_CAMERA, point) for point in points])
