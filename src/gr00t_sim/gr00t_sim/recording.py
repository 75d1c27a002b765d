# SPDX-License-Identifier: Apache-2.0
"""One demonstration in the simulator as rows at 20 Hz: states, targets, pictures and labels, whoever chooses the targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.convert_scene import SEED, SIM_TASK, SUCCESS
from gr00t_policy.data.grounding import GOAL_UV
from gr00t_policy.data.valid_rows import VALID
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_sim.projection import project
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.simulation import TabletopSim

PERIOD_S = 0.05


@dataclass
class Demonstration:
    """Recorded rows at 20 Hz. states/actions (N, 29) policy joints [rad]; uv (N, 4): object and target in the row's picture."""

    sentence: str
    seed: int
    success: bool
    states: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    uv: list[NDArray[np.float32]] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """Joint targets (32,) for the end of the period, and whether they are to be imitated."""

    targets: NDArray[np.float64]
    valid: bool = True


Chooser = Callable[[int, bool], Choice | None]
"""(number of the period, whether the task was once done) -> what to do; None ends the episode."""


def record(
    sim: TabletopSim, seed: int, choose: Chooser, *, most_ticks: int, ticks_per_picture: int, after_success_ticks: int
) -> Demonstration:
    """Record the episode that has been set up in ``sim``, for ``most_ticks`` or until ``after_success_ticks`` past success.

    ticks_per_picture: rows that share a picture. success: done once and still so at the end.
    """
    made = Demonstration(sim.sentence, seed, False)
    index = policy_index(sim)
    steps = round(PERIOD_S / sim.timestep_s)
    done_at: int | None = None
    for tick in range(most_ticks):
        if tick % ticks_per_picture == 0:
            image = sim.render()
            places = goal_uv(sim)  # of the instant of the picture, also where rows share it
        state = sim.joint_positions()
        choice = choose(tick, done_at is not None)
        if choice is None:
            break
        made.images.append(image)
        made.states.append(state[index].astype(np.float32))
        made.actions.append(choice.targets[index].astype(np.float32))
        made.valid.append(choice.valid)
        made.uv.append(places)
        sim.set_targets(choice.targets, PERIOD_S)
        sim.step_physics(steps)
        if done_at is None and sim.task_state().success:
            done_at = tick
        if done_at is not None and tick >= done_at + after_success_ticks:
            break
    made.success = done_at is not None and sim.task_state().success
    return made


def policy_index(sim: TabletopSim) -> NDArray[np.int64]:
    """Where the policy's joints (29,) are among all (32,)."""
    names = sim.embodiment.joint_names
    return np.array([names.index(name) for name in sim.embodiment.policy_joint_names])


def goal_uv(sim: TabletopSim) -> NDArray[np.float32]:
    """(4,) picture coordinates of the goal's object and target: the labels of the auxiliary localisation loss."""
    goal = sim.task.goal_now(sim.model, sim.data)
    points = (sim.place_of(goal.object), sim.place_of(goal.target))
    return np.concatenate([project(sim.model, sim.data, HEAD_CAMERA, point) for point in points])


def add_to(writer: LeRobotWriter, made: Demonstration, task: str, info: Mapping[str, Any]) -> None:
    """Append one demonstration of a task with its validity flags and localisation labels. info: more facts about it."""
    writer.add_episode(
        np.stack(made.states),
        np.stack(made.actions),
        {HEAD_CAMERA: np.stack(made.images)},
        made.sentence,
        extra={VALID: np.array(made.valid, dtype=np.float32)[:, None], GOAL_UV: np.stack(made.uv)},
        episode_info={SEED: made.seed, SUCCESS: made.success, SIM_TASK: task, **info},
    )
