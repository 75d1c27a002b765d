# SPDX-License-Identifier: Apache-2.0
"""What the stand-in sees: the robot's hands and the things on the table, as a person at the table would.

Drawn from the state that the simulator publishes for films (``sim/qpos``) in a copy of its scene. The robot's nodes
know nothing of it: it is a person's eyes, and what they see reaches the robot only as motion of the person's hands.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.experts.pick_place import PickPlaceExpert
from gr00t_sim.experts.registry import expert_of
from gr00t_sim.robot import SIDES
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.place_task import PlaceTask
from gr00t_sim.tasks.registry import make_task
from gr00t_teleop.retargeting.pose import Pose

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """One look, in the robot's world [m]: x ahead, y left, z up.

    wrists, grips: of the robot's hands; a grip is the place between its fingers. thing: centre of what is to be moved,
    half_height_m: of it; over: where its centre would lie on the table at the goal; release_m: so far above it is let go.
    """

    wrists: dict[str, Pose]
    grips: dict[str, Pose]
    side: str
    thing: Vector
    half_height_m: float
    over: Vector
    release_m: float
    delivered: bool


class Eyes:
    """Keeps a copy of the scene; ``look`` puts the newest state into it. One owner."""

    def __init__(self, task: str) -> None:
        """Raises ConfigError for a task that does not bring one thing to one place, TaskError for an unknown one."""
        asked = make_task(task)
        if expert_of(task) is not PickPlaceExpert or not isinstance(asked, PlaceTask):
            raise ConfigError(
                f"the scripted operator brings one thing to one place with one hand; '{task}' is another kind of task: "
                "take pick_named_object, choose_plate or choose_bin"
            )
        self._task, self._sim = asked, TabletopSim(asked)

    def scene(self, seed: int, sentence: str) -> None:
        """From now on it is this scene that is looked at."""
        self._sim.reset(seed, sentence or None)

    def look(self, positions: Vector) -> Sight:
        """positions: all generalised positions (nq,) of the running simulator."""
        sim, task = self._sim, self._task
        sim.data.qpos[:] = positions
        mujoco.mj_kinematics(sim.model, sim.data)
        goal = task.goal
        kind, place = task.kind(goal.object), task.destination(sim.model, sim.data, goal)
        return Sight(
            wrists={side: _pose(sim.data.body(f"{side}_end_effector_link")) for side in SIDES},
            grips={side: _pose(sim.data.site(f"{side}_grasp")) for side in SIDES},
            side=goal.side,
            thing=sim.place_of(goal.object),
            half_height_m=kind.height_m,
            over=np.array([*place.xy, TABLE_TOP_M + kind.height_m]),
            release_m=place.release_m,
            delivered=task.delivered(sim.model, sim.data, goal),
        )


def _pose(placed: object) -> Pose:
    return Pose(np.array(placed.xpos), np.array(placed.xmat).reshape(3, 3))  # type: ignore[attr-defined]
