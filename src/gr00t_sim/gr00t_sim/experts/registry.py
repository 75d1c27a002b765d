# SPDX-License-Identifier: Apache-2.0
"""Which expert does which task."""

from gr00t_sim.experts.close_door import CloseDoorExpert
from gr00t_sim.experts.drawer import CloseDrawerExpert, OpenDrawerExpert
from gr00t_sim.experts.hand_expert import HandExpert
from gr00t_sim.experts.handover import HandoverExpert
from gr00t_sim.experts.lift_box import LiftBoxExpert
from gr00t_sim.experts.pick_place import PickPlaceExpert
from gr00t_sim.experts.pour import PourExpert
from gr00t_sim.experts.push import PushExpert
from gr00t_sim.experts.put_in_drawer import PutInDrawerExpert
from gr00t_sim.experts.two_step import TwoStepExpert
from gr00t_sim.simulation import TabletopSim

EXPERTS: dict[str, type[HandExpert]] = {
    "two_step": TwoStepExpert,
    "push_to_zone": PushExpert,
    "open_drawer": OpenDrawerExpert,
    "close_drawer": CloseDrawerExpert,
    "put_in_drawer": PutInDrawerExpert,
    "close_door": CloseDoorExpert,
    "lift_box": LiftBoxExpert,
    "handover": HandoverExpert,
    "pour": PourExpert,
}
"""Tasks with an expert of their own; every other task is pick-and-place."""


def make_expert(sim: TabletopSim, period_s: float = 0.05) -> HandExpert:
    """The expert of the task that ``sim`` runs."""
    return expert_of(sim.task.name)(sim, period_s)


def expert_of(task: str) -> type[HandExpert]:
    """The kind of expert that does a task."""
    return EXPERTS.get(task, PickPlaceExpert)
