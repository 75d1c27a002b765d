# SPDX-License-Identifier: Apache-2.0
"""A demonstration done again in the simulator, in its seed's scene: where things were and what the hands touched.

Datasets hold joints and pictures only; everything else that the segmentation needs comes from here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import Gr00tError
from gr00t_sim.multiplication.geometry import Place
from gr00t_sim.multiplication.source_data import RecordedEpisode
from gr00t_sim.multiplication.subtasks import PlannedSubtask, bodies_of, plan
from gr00t_sim.recording import PERIOD_S, policy_index
from gr00t_sim.robot import SIDES, finger_indices
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.task import touches


class SegmentationError(Gr00tError):
    """A demonstration does not show what its task's subtasks end with."""


@dataclass(frozen=True)
class Trace:
    """What was seen before each of N rows. Bodies are those of the plan, its references and its goals' objects.

    places: body -> N places; upright: body -> (N,) cosine of its tilt; touching: (side, body) -> (N,) bool; grasp_points:
    side -> (N, 3) [m]; targets: (N, 32) joint targets commanded in each row [rad]; fingers: side -> (N, 6), those of them.
    """

    plan: tuple[PlannedSubtask, ...]
    places: dict[str, list[Place]]
    upright: dict[str, NDArray[np.float64]]
    touching: dict[tuple[str, str], NDArray[np.bool_]]
    grasp_points: dict[str, NDArray[np.float64]]
    targets: NDArray[np.float64]
    fingers: dict[str, NDArray[np.float64]]
    success: bool
    detail: str

    def __len__(self) -> int:
        return len(self.targets)


def replay(sim: TabletopSim, episode: RecordedEpisode) -> Trace:
    """Play the recorded targets in the scene of the recorded seed, from the recorded first state. Raises TaskError."""
    sim.reset(episode.seed, episode.sentence)
    index = policy_index(sim)
    start = sim.home.copy()
    start[index] = episode.states[0]
    sim.place_joints(start)
    subtasks = plan(sim.task)
    bodies = bodies_of(subtasks)
    places: dict[str, list[Place]] = {body: [] for body in bodies}
    upright: dict[str, list[float]] = {body: [] for body in bodies}
    touching: dict[tuple[str, str], list[bool]] = {(side, body): [] for side in SIDES for body in bodies}
    points: dict[str, list[NDArray[np.float64]]] = {side: [] for side in SIDES}
    targets = np.tile(start, (len(episode), 1))
    targets[:, index] = episode.actions
    success = False
    for row in targets:
        for body in bodies:
            places[body].append(place_now(sim, body))
            upright[body].append(float(sim.data.body(body).xmat[8]))
        for (side, body), seen in touching.items():
            seen.append(touches(sim.model, sim.data, side, body))
        for side in SIDES:
            points[side].append(sim.data.site(f"{side}_grasp").xpos.copy())
        sim.set_targets(row, PERIOD_S)
        sim.step_physics(round(PERIOD_S / sim.timestep_s))
        status = sim.task_state()
        success = success or status.success
    return Trace(
        subtasks,
        places,
        {body: np.array(cosines) for body, cosines in upright.items()},
        {key: np.array(rows) for key, rows in touching.items()},
        {side: np.array(found) for side, found in points.items()},
        targets,
        {side: targets[:, joints] for side, joints in finger_indices(sim.embodiment).items()},
        success and status.success,
        status.detail,
    )


def place_now(sim: TabletopSim, body: str) -> Place:
    """Where a body stands at this instant."""
    view = sim.data.body(body)
    return Place.of(view.xpos, view.xmat.reshape(3, 3))
