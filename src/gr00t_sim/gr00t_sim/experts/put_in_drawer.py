# SPDX-License-Identifier: Apache-2.0
"""Pick-and-place into the open drawer with one hand, then the drawer's expert with the other; the idle hand goes home."""

from gr00t_sim.experts.drawer import CloseDrawerExpert
from gr00t_sim.experts.hand_expert import Step
from gr00t_sim.experts.pick_place import PickPlaceExpert
from gr00t_sim.kinematics import Pose
from gr00t_sim.tasks.place_task import hand_distance
from gr00t_sim.tasks.put_in_drawer import PutInDrawer

_CLEAR_M = 0.22  # from the object in the drawer to the hand that put it there


class PutInDrawerExpert(PickPlaceExpert, CloseDrawerExpert):
    """The drawer is pushed once the object lies in it and the hand that put it there is out of the way."""

    def decide(self) -> dict[str, Step]:
        task, goal = self.task, self.task.goal
        assert isinstance(task, PutInDrawer)
        delivered = task.delivered(self._sim.model, self._sim.data, goal)
        if delivered and hand_distance(self._sim.data, goal.side, goal.object) > _CLEAR_M:
            return {task.closing_side: self.close_drawer(task.closing_side)}
        self.shapes[goal.side] = self.shape
        return super().decide()

    def idle(self, side: str) -> Pose | None:
        return self.homewards(side)
